"""Logging in at our own server, with our command and with OpenBao's."""

import pytest

from tests.cli.conftest import Server
from tests.core.system.conftest import Api

WORD = "c0rrect-horse"


@pytest.fixture(scope="module")
def own_dev(broker_dev, tmp_path_factory):
    """Our dev server with a user and a role."""
    server = Server(broker_dev.address, "root", tmp_path_factory.mktemp("logins"))
    api = Api(broker_dev)
    for kind in ("userpass", "approle"):
        api.done("POST", f"sys/auth/cli-{kind}", {"type": kind})
    api.done("POST", "auth/cli-userpass/users/ann", {"password": WORD})
    api.done("POST", "auth/cli-approle/role/app", {})
    server.keys = [
        api.data("GET", "auth/cli-approle/role/app/role-id")["role_id"],
        api.data("POST", "auth/cli-approle/role/app/secret-id", {})["secret_id"],
    ]
    (server.home / "secret-id").write_text(server.keys[1])
    yield server
    for kind in ("userpass", "approle"):
        api.done("DELETE", f"sys/auth/cli-{kind}")
    api.close()


def alone(home):
    """The environment of somebody who has no token yet."""
    home.mkdir(exist_ok=True)
    return {"BROKER_TOKEN": "", "BAO_TOKEN": "", "HOME": str(home)}


def test_a_password_comes_from_stdin_or_a_file_and_the_token_is_kept(own_dev, tmp_path):
    (own_dev.home / "password").write_text(WORD)
    login = ["login", "-method=userpass", "-path=cli-userpass", "username=ann"]
    for number, (word, stdin) in enumerate((("password=-", WORD), ("password=@password", ""))):
        mine = alone(tmp_path / str(number))
        done = own_dev.broker(*login, word, stdin=stdin, **mine)
        assert done.code == 0, done.err
        assert WORD not in done.out + done.err
        assert "token_meta_username" in done.out
        assert own_dev.broker("token", "lookup", "-format=json", **mine).json["data"]["meta"] == {
            "username": "ann"
        }


def test_a_secret_on_the_command_line_is_taken_with_a_warning(own_dev, tmp_path):
    role, secret = own_dev.keys
    given = own_dev.broker(
        "login",
        "-method=approle",
        "-path=cli-approle",
        f"role_id={role}",
        f"secret_id={secret}",
        **alone(tmp_path),
    )
    assert given.code == 0
    assert "secret_id given on the command line" in given.err
    assert secret not in given.err + given.out
    named = ["login", "-method=approle", "-path=cli-approle", f"role_id={role}", "secret_id=@secret-id"]
    assert "command line" not in own_dev.broker(*named, **alone(tmp_path)).err


def test_a_password_is_asked_for_without_echo(own_dev, tmp_path):
    words = ["login", "-method=userpass", "-path=cli-userpass", "-no-store", "username=Ann"]
    with own_dev.terminal(*words, **alone(tmp_path)) as terminal:
        terminal.expect("Password (will be hidden):")
        terminal.type(WORD + "\n")
        terminal.expect("token_meta_username")
        assert terminal.end() == 0
        assert WORD not in terminal.screen


def test_nobody_to_ask_is_a_plain_mistake(own_dev, tmp_path):
    done = own_dev.broker(
        "login", "-method=userpass", "-path=cli-userpass", "username=ann", **alone(tmp_path)
    )
    assert done.code == 1
    assert "stdin is not a terminal" in done.err


def test_the_other_command_logs_in_here_too(own_dev, tmp_path):
    role, _ = own_dev.keys
    login = ["login", "-method=userpass", "-path=cli-userpass", "-format=json", "username=ann", "password=-"]
    done = own_dev.bao(*login, stdin=WORD, **alone(tmp_path / "a"))
    assert done.code == 0, done.err
    assert done.json["auth"]["metadata"] == {"username": "ann"}
    assert own_dev.bao("token", "lookup", **alone(tmp_path / "a")).code == 0
    machine = own_dev.bao(
        "write", "-format=json", "auth/cli-approle/login", f"role_id={role}", "secret_id=@secret-id"
    )
    assert machine.json["auth"]["metadata"] == {"role_name": "app"}
    refused = own_dev.bao(*login, stdin="wrong", **alone(tmp_path / "b"))
    assert refused.code == 2
    assert "invalid username or password" in refused.err
