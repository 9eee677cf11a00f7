"""The clients of the field log in with a certificate: both command lines and hvac."""

import json
import subprocess

import hvac
import pytest

from tests.fixtures.servers import BIN, clean_environment

from .authority import authority, client

ROOT = authority("Machines")


@pytest.fixture(scope="module", autouse=True)
def roles(site, wire):
    site.keep(app=client(ROOT, "app"))
    body = {"certificate": ROOT.pem, "token_policies": "app"}
    assert wire.ask("POST", "auth/cert/certs/app", body).status == 204


def shell(server, command, home, *words):
    folder = server.site.folder
    environment = clean_environment(
        HOME=str(home),
        VAULT_ADDR=server.tls,
        VAULT_CACERT=str(folder / "root.pem"),
        VAULT_CLIENT_CERT=str(folder / "app.pem"),
        VAULT_CLIENT_KEY=str(folder / "app.key"),
        BAO_ADDR=server.tls,
        BAO_CACERT=str(folder / "root.pem"),
        BAO_CLIENT_CERT=str(folder / "app.pem"),
        BAO_CLIENT_KEY=str(folder / "app.key"),
    )
    return subprocess.run(
        [str(BIN / command), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", ["broker", "bao"])
@pytest.mark.parametrize("words", [(), ("name=app",)])
def test_a_command_line_logs_in(server, command, words, tmp_path):
    done = shell(server, command, tmp_path, "login", "-method=cert", "-format=json", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["auth"]["metadata"]["common_name"] == "app"
    renewed = shell(server, command, tmp_path, "token", "renew", "-format=json")
    assert renewed.returncode == 0, renewed.stderr


@pytest.mark.parametrize("command", ["broker", "bao"])
def test_a_role_that_does_not_fit_is_refused(server, command, tmp_path):
    assert shell(server, command, tmp_path, "login", "-method=cert", "name=other").returncode == 2


def test_hvac_manages_roles_and_logs_in(server, site):
    files = (str(site.folder / "app.pem"), str(site.folder / "app.key"))
    verify = str(site.folder / "root.pem")
    admin = hvac.Client(url=server.tls, token=server.root, verify=verify)
    cert = admin.auth.cert
    cert.create_ca_certificate_role(
        name="hvac",
        certificate=ROOT.pem,
        allowed_common_names=["app"],
        token_policies=["p"],
        mount_point="cert",
    )
    assert cert.read_ca_certificate_role("hvac")["data"]["allowed_common_names"] == ["app"]
    assert "hvac" in cert.list_certificate_roles()["data"]["keys"]
    cert.configure_tls_certificate(disable_binding=False)
    user = hvac.Client(url=server.tls, cert=files, verify=verify)
    answer = user.auth.cert.login(name="hvac", cert_pem=files[0], key_pem=files[1])
    assert answer["auth"]["metadata"]["cert_name"] == "hvac"
    assert user.is_authenticated()
    user.auth.token.renew_self()
    cert.delete_certificate_role("hvac")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        user.auth.token.renew_self()
    for made in (admin, user):
        made.adapter.close()
