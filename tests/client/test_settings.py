"""The environment: ours first, then Vault's, then OpenBao's."""

import pytest

from broker.client import Settings, Tls
from broker.plugin.errors import ConfigError

NAMES = ("ADDR", "TOKEN", "NAMESPACE", "CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY", "TLS_SERVER_NAME")


def flat(settings: Settings) -> list[str]:
    tls = settings.tls
    token = settings.token.reveal() if settings.token else ""
    paths = [tls.ca_cert, tls.ca_path, tls.client_cert, tls.client_key, tls.server_name]
    return [settings.address, token, settings.namespace, *paths]


@pytest.mark.parametrize(
    "prefixes", [["BROKER_"], ["VAULT_"], ["BAO_"], ["BROKER_", "VAULT_", "BAO_"], ["VAULT_", "BAO_"]]
)
def test_the_first_of_broker_vault_and_bao_wins(prefixes):
    environ = {prefix + name: f"{prefix}{name}" for prefix in prefixes for name in NAMES}
    assert flat(Settings.from_env(environ)) == [prefixes[0] + name for name in NAMES]


def test_nothing_set_means_vaults_default_address_and_no_token():
    assert Settings.from_env({}) == Settings("https://127.0.0.1:8200", None, "", Tls())


def test_an_empty_variable_counts_as_unset():
    assert Settings.from_env({"BROKER_ADDR": "", "VAULT_ADDR": "http://v"}).address == "http://v"


@pytest.mark.parametrize(
    ("text", "skip"), [("true", True), ("1", True), ("false", False), ("0", False), ("T", True)]
)
def test_skip_verify_is_a_yes_or_no(text, skip):
    assert Settings.from_env({"VAULT_SKIP_VERIFY": text}).tls.skip_verify is skip


def test_an_unclear_skip_verify_is_refused():
    with pytest.raises(ConfigError, match="SKIP_VERIFY"):
        Settings.from_env({"BROKER_SKIP_VERIFY": "maybe"})


def test_settings_do_not_show_the_token():
    assert "canary" not in repr(Settings.from_env({"BROKER_TOKEN": "canary"}))
