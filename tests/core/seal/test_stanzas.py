"""From the ``seal`` stanzas of a file, and the environment, to seals: what is built, and what a mistake says."""

import pytest

from broker.core.plugins import load_catalog
from broker.core.seals import build_seals
from broker.plugin.errors import ConfigError
from broker.server import command

KEY = "1f" * 32
STATIC = f'seal "static" {{\n  current_key_id = "a"\n  current_key = "{KEY}"\n}}\n'
OLD = STATIC.replace("}", "  disabled = true\n}")


@pytest.fixture(scope="module")
def types():
    return load_catalog().seals


@pytest.fixture
def config(tmp_path):
    """Read a file with these seal stanzas; they begin on line 3."""

    def read(stanzas):
        path = tmp_path / "broker.hcl"
        path.write_text(f'storage "inmem" {{}}\nlistener "tcp" {{ tls_disable = true }}\n{stanzas}')
        options = command._parser().parse_args([f"-config={path}"])
        return command._configuration(options)

    return read


@pytest.mark.parametrize(
    ("stanzas", "current", "retired"),
    [
        ("", "shamir", None),
        ('seal "shamir" {}', "shamir", None),
        (STATIC, "static", None),
        (OLD, "shamir", "static"),
        (OLD + 'seal "shamir" {}', "shamir", "static"),
        (STATIC + OLD, "static", "static"),
    ],
)
def test_one_seal_is_in_use_and_a_disabled_one_is_left(config, types, stanzas, current, retired):
    seals = build_seals(config(stanzas).seals, types)
    assert seals.current.type == current
    assert (seals.retired.type if seals.retired else None) == retired


@pytest.mark.parametrize(
    ("stanzas", "said"),
    [
        (
            STATIC + STATIC,
            ":7: expected one of the two seal stanzas to have disabled = true, neither is disabled",
        ),
        (OLD + OLD, ":8: expected one of the two seal stanzas to have disabled = true, both are disabled"),
        (STATIC + OLD + OLD, ":12: expected at most two seal stanzas, one of them with disabled = true"),
        ('seal "shamir" {\n disabled = "true"\n}', ':3: expected no seal "shamir" that is disabled'),
        (STATIC.replace(KEY, "hunter2"), ":5: expected current_key to be a key of 32 bytes"),
        (STATIC.replace("current_key =", "curent_key ="), ":5: seal \"static\" has no setting 'curent_key'"),
        (OLD.replace('current_key_id = "a"', ""), ':3: seal "static" needs current_key_id'),
        ('seal "shamir" {\n key = "x"\n}', ":4: seal \"shamir\" has no setting 'key'"),
        ('seal "statik" {}', ':3: seal "statik" is unknown; seals: shamir, static'),
    ],
)
def test_a_mistake_is_one_line_with_its_place(config, types, stanzas, said):
    with pytest.raises(ConfigError) as caught:
        build_seals(config(stanzas).seals, types)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value) and KEY not in str(caught.value)


def test_a_key_file_that_others_read_is_named_with_its_line(config, types, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        build_seals(config(STATIC.replace(KEY, f"file://{key}")).seals, types)
    said = str(caught.value).replace(str(tmp_path), "")
    assert said == (
        "/broker.hcl:5: expected a key file that is closed to others (chmod o= /key), its mode is 0644"
    )


def test_the_environment_speaks_before_the_stanza_in_use_and_not_for_the_one_to_leave(config, types):
    environ = {"BAO_STATIC_SEAL_CURRENT_KEY": "hunter2"}
    with pytest.raises(ConfigError, match=r"^the environment: expected current_key") as caught:
        build_seals(config(STATIC).seals, types, environ)
    assert "hunter2" not in str(caught.value)
    assert build_seals(config(OLD).seals, types, environ).retired.type == "static"


@pytest.mark.parametrize("name", ["BROKER_SEAL_TYPE", "BAO_SEAL_TYPE", "VAULT_SEAL_TYPE"])
def test_the_environment_may_name_the_seal(config, types, monkeypatch, name):
    monkeypatch.setenv(name, "static")
    environ = {"BAO_STATIC_SEAL_CURRENT_KEY": KEY, "BROKER_STATIC_SEAL_CURRENT_KEY_ID": "e"}
    for stanzas in ("", 'seal "shamir" {}'):
        assert build_seals(config(stanzas).seals, types, environ).current.type == "static"
        with pytest.raises(ConfigError, match=r"^the environment: .* needs current_key,"):
            build_seals(config(stanzas).seals, types, {})
    assert build_seals(config(STATIC).seals, types).current.type == "static", "its stanza counts"
    monkeypatch.setenv(name, "shamir")
    seals = build_seals(config(STATIC + OLD).seals, types)
    assert (seals.current.type, seals.retired.type) == ("shamir", "static")


def test_no_repr_shows_a_key(config, types):
    read = config(STATIC + OLD)
    shown = repr((read, read.seals, build_seals(read.seals, types)))
    assert KEY not in shown and "1f1f" not in shown
