"""The real ``bao`` command line, typed at our server and at OpenBao."""

from __future__ import annotations

import base64

import pytest

from tests.peer.cli import Terminal, Terminals, run


@pytest.fixture
def bao_cli(pair, tmp_path):
    """Shells at the two dev servers, with the root token."""
    terminals = []
    for side, server, name in ((pair.ours, pair.servers[0], "ours"), (pair.peer, pair.servers[1], "peer")):
        home = tmp_path / f"home-{name}"
        home.mkdir()
        terminals.append(Terminal(server.address, home, {**side.names, "dir": str(home)}))
    return Terminals(*terminals)


@pytest.fixture
def operators(sealed_pair, tmp_path):
    """Shells at two fresh servers that are not initialised, without a token."""
    both = sealed_pair(
        unsafe_allow_api_audit_creation=True,
        listener_options={"disable_unauthed_rekey_endpoints": False},
    )
    terminals = []
    for server, name in zip(both.servers, ("ours", "peer"), strict=True):
        home = tmp_path / f"home-{name}"
        home.mkdir()
        terminals.append(Terminal(server.address, home, {"m": both.word, "dir": str(home)}, token=None))
    return Terminals(*terminals)


def write_policy(terminals: Terminals, text: str) -> None:
    for terminal in (terminals.ours, terminals.peer):
        (terminal.home / "policy.hcl").write_text(text.replace("${m}", terminal.names["m"]))


def test_status(bao_cli):
    bao_cli.run(run("status"), run("status", "-format=json"))


def test_login_and_logout(bao_cli):
    bao_cli.run(
        run(
            "token", "create", "-policy=default", "-ttl=1h", "-format=json", save={"app": "auth.client_token"}
        ),
        run("login", "-no-print", "${app}"),
        run("login", "${app}"),
        run("login", "-", stdin="${app}"),
        run("login", "nonsense", code=2),
        run("print", "token", output=False),
    )


def test_secrets_enable_tune_move_disable(bao_cli):
    bao_cli.run(
        run("secrets", "enable", "-path=${m}", "-version=2", "-description=d", "kv"),
        run("secrets", "enable", "-path=${m}", "kv", code=2),
        run("secrets", "enable", "-path=${m}x", "nonsense", code=2),
        run("secrets", "tune", "-default-lease-ttl=1h", "-max-lease-ttl=2h", "${m}"),
        run("secrets", "tune", "-description=other", "${m}nothing", code=2),
        run("read", "sys/mounts/${m}/tune"),
        run("kv", "put", "${m}/app", "a=1"),
        run("secrets", "move", "${m}", "${m}new"),
        run("kv", "get", "${m}new/app"),
        run("secrets", "disable", "${m}new"),
        run("secrets", "disable", "${m}new"),
        run("kv", "get", "${m}new/app", code=2),
    )


def test_secrets_list(bao_cli):
    bao_cli.run(run("secrets", "list", ignore=("identity/",)), run("auth", "list"))


def test_kv_version_2(bao_cli):
    bao_cli.run(
        run("secrets", "enable", "-path=${m}", "kv-v2"),
        run("kv", "get", "-mount=${m}", "app", code=2),
        run("kv", "put", "-mount=${m}", "app", "user=app", "pass=secret"),
        run("kv", "get", "-mount=${m}", "app"),
        run("kv", "get", "-format=json", "${m}/app"),
        run("kv", "get", "-field=user", "${m}/app"),
        run("kv", "get", "-field=nothing", "${m}/app", code=1),
        run("kv", "patch", "-mount=${m}", "app", "pass=new"),
        run("kv", "patch", "-method=rw", "-mount=${m}", "app", "more=1"),
        run("kv", "get", "-version=1", "${m}/app"),
        run("kv", "put", "-cas=1", "${m}/app", "a=1", code=2),
        run("kv", "put", "-cas=3", "${m}/app", "a=1"),
        run("kv", "rollback", "-version=1", "${m}/app"),
        run("kv", "get", "${m}/app"),
        run("kv", "delete", "${m}/app"),
        run("kv", "get", "${m}/app", ignore=("created_time", "deletion_time")),
        run("kv", "undelete", "-versions=5", "${m}/app"),
        run("kv", "get", "${m}/app"),
        run("kv", "destroy", "-versions=1,2", "${m}/app"),
        run("kv", "get", "-version=1", "${m}/app", ignore=("created_time", "deletion_time")),
        run("kv", "list", "${m}"),
        run("kv", "list", "${m}/nothing", code=2),
        run("list", "${m}/metadata"),
    )


def test_kv_metadata(bao_cli):
    bao_cli.run(
        run("secrets", "enable", "-path=${m}", "kv-v2"),
        run("kv", "metadata", "put", "-max-versions=3", "-custom-metadata=owner=team", "${m}/app"),
        run("kv", "put", "${m}/app", "a=1"),
        run("kv", "metadata", "get", "${m}/app"),
        run("kv", "metadata", "patch", "-custom-metadata=tier=gold", "${m}/app"),
        run("kv", "metadata", "get", "-format=json", "${m}/app"),
        run("kv", "metadata", "delete", "${m}/app"),
        run("kv", "metadata", "get", "${m}/app", code=2),
        run("kv", "get", "${m}/app", code=2),
    )


def test_kv_version_1(bao_cli):
    bao_cli.run(
        run("secrets", "enable", "-path=${m}", "-version=1", "kv"),
        run("kv", "put", "${m}/app", "a=1", "b=@/dev/null"),
        run("kv", "get", "${m}/app"),
        run("kv", "list", "${m}"),
        run("kv", "delete", "${m}/app"),
        run("kv", "get", "${m}/app", code=2),
        run("kv", "enable-versioning", "${m}"),
    )


def test_read_write_delete(bao_cli):
    bao_cli.run(
        run("write", "cubbyhole/${m}", "a=1", "b=two"),
        run("read", "cubbyhole/${m}"),
        run("read", "-field=b", "cubbyhole/${m}"),
        run("read", "-format=json", "cubbyhole/${m}"),
        run("write", "cubbyhole/${m}", "-", stdin='{"json": [1, 2]}'),
        run("read", "-format=yaml", "cubbyhole/${m}", ignore=("request_id",)),
        run("delete", "cubbyhole/${m}"),
        run("read", "cubbyhole/${m}", code=2),
        run("write", "cubbyhole/${m}", code=1),
        run("read", "nothing/${m}", code=2),
        run("list", "sys/policies/acl", output=False),
    )


def test_policies(bao_cli):
    write_policy(bao_cli, 'path "${m}/*" { capabilities = ["read", "list"] }\n')
    bao_cli.run(
        run("policy", "write", "${m}", "${dir}/policy.hcl"),
        run("policy", "read", "${m}"),
        run("policy", "fmt", "${dir}/policy.hcl", output=False),
        run("policy", "write", "${m}", "-", stdin='path "a" { capabilities = ["update"] }'),
        run("policy", "read", "${m}"),
        run("policy", "write", "${m}", "-", stdin="nonsense {", code=2, output=False),
        run("policy", "list", output=False),
        run("policy", "read", "${m}nothing", code=2),
        run("policy", "delete", "${m}"),
        run("policy", "read", "${m}", code=2),
    )


def test_tokens(bao_cli):
    bao_cli.run(
        run("token", "create", "-policy=default", "-ttl=1h", "-display-name=app", "-metadata=a=b"),
        run(
            "token",
            "create",
            "-policy=default",
            "-ttl=1h",
            "-format=json",
            save={"app": "auth.client_token", "accessor": "auth.accessor"},
        ),
        run("token", "lookup", "${app}", ignore=("expire_time", "issue_time")),
        run("token", "lookup", "-accessor", "${accessor}", ignore=("expire_time", "issue_time")),
        run("token", "renew", "-increment=30m", "${app}"),
        run("token", "renew", "-accessor", "-increment=20m", "${accessor}"),
        run("token", "capabilities", "${app}", "sys/mounts"),
        run("token", "capabilities", "${app}", "cubbyhole/x"),
        run("token", "revoke", "${app}"),
        run("token", "lookup", "${app}", code=2),
        run("token", "revoke", "-accessor", "${accessor}", output=False),
        run("token", "create", "-orphan", "-period=1h", "-policy=default"),
        run("token", "create", "-use-limit=2", "-policy=default"),
        run("token", "create", "-ttl=nonsense", code=1),
    )


TIMES = ("wrapping_token_creation_time", "wrapped_accessor")


def test_wrapping(bao_cli):
    bao_cli.run(
        run("write", "cubbyhole/${m}", "a=1"),
        run("read", "-wrap-ttl=60s", "cubbyhole/${m}", ignore=("wrapping_token_creation_time",)),
        run(
            "read",
            "-wrap-ttl=60s",
            "-format=json",
            "cubbyhole/${m}",
            save={"w": "wrap_info.token"},
            ignore=("request_id",),
        ),
        run("unwrap", "${w}"),
        run("unwrap", "${w}", code=2),
    )


def test_wrapping_a_token_and_unwrapping_as_it(bao_cli):
    bao_cli.run(
        run("token", "create", "-policy=default", "-ttl=1h", "-wrap-ttl=5m", ignore=TIMES),
        run("token", "create", "-policy=default", "-wrap-ttl=5m", "-field=wrapping_token", output=False),
        run(
            "token",
            "create",
            "-policy=default",
            "-ttl=1h",
            "-wrap-ttl=5m",
            "-format=json",
            save={"w": "wrap_info.token"},
            ignore=("request_id",),
        ),
        run("unwrap", "-format=json", "${w}", save={"app": "auth.client_token"}),
        run("unwrap", "${w}", code=2),
        run("token", "lookup", "${app}", ignore=("expire_time", "issue_time")),
        run("write", "-wrap-ttl=1m", "-force", "sys/wrapping/wrap", ignore=TIMES),
        run("write", "sys/wrapping/unwrap", "token=nothing", code=2),
    )


def test_token_roles_and_batch_tokens(bao_cli):
    bao_cli.run(
        run("write", "auth/token/roles/${m}", "allowed_policies=default", "orphan=true", "token_period=1h"),
        run("read", "auth/token/roles/${m}"),
        run("token", "create", "-role=${m}", "-format=json", save={"app": "auth.client_token"}),
        run("token", "lookup", "${app}", ignore=("expire_time", "issue_time")),
        run("token", "renew", "${app}"),
        run("token", "create", "-role=${m}", "-policy=other", code=2),
        run("token", "create", "-role=${m}", "-type=batch"),
        run("delete", "auth/token/roles/${m}"),
        run("token", "create", "-role=${m}", code=2),
        run("token", "create", "-type=batch", "-policy=default", "-ttl=30m"),
        run(
            "token",
            "create",
            "-type=batch",
            "-policy=default",
            "-format=json",
            save={"bat": "auth.client_token"},
        ),
        run("token", "lookup", "${bat}", ignore=("expire_time", "issue_time")),
        run("token", "renew", "${bat}", code=2),
        run("token", "revoke", "${bat}", code=2),
    )


def test_namespaces(bao_cli):
    bao_cli.run(
        run("namespace", "create", "${m}", ignore=("uuid", "id")),
        run("namespace", "lookup", "${m}", ignore=("uuid", "id")),
        run("secrets", "enable", "-namespace=${m}", "-path=kv", "kv-v2"),
        run("kv", "put", "-namespace=${m}", "-mount=kv", "app", "a=1"),
        run("kv", "get", "-namespace=${m}", "-mount=kv", "app"),
        run("kv", "get", "-mount=kv", "app", code=2),
        run("namespace", "delete", "${m}", output=False),
    )


def test_path_help(bao_cli):
    bao_cli.run(run("path-help", "sys/mounts", output=False), run("path-help", "secret", output=False))


INIT = run(
    "operator",
    "init",
    "-key-shares=3",
    "-key-threshold=2",
    "-format=json",
    save={
        "k0": "unseal_keys_b64.0",
        "k1": "unseal_keys_b64.1",
        "k2": "unseal_keys_hex.2",
        "token": "root_token",
    },
    output=False,
)
UNSEAL = (run("operator", "unseal", "${k0}"), run("operator", "unseal", "${k1}"))


def test_init_unseal_seal(operators):
    operators.run(
        run("status", code=2),
        run("operator", "init", "-status", code=2),
        INIT,
        run("operator", "init", "-status"),
        run("status", code=2),
        run("operator", "unseal", "not a key", code=2, output=False),
        *UNSEAL,
        run("status"),
        run("operator", "init", code=2),
        run("operator", "seal"),
        run("status", code=2),
        run("operator", "unseal", "${k2}"),
        run("operator", "unseal", "${k0}"),
    )


def test_init_in_words(operators):
    operators.run(run("operator", "init", "-key-shares=1", "-key-threshold=1", output=False))


def test_rotate_and_rekey(operators):
    operators.run(
        INIT,
        *UNSEAL,
        run("operator", "key-status"),
        run("operator", "rotate", output=False),
        run("operator", "key-status"),
        run(
            "operator",
            "rekey",
            "-init",
            "-key-shares=2",
            "-key-threshold=2",
            "-format=json",
            save={"nonce": "nonce"},
            output=False,
        ),
        run("operator", "rekey", "-status"),
        run("operator", "rekey", "-nonce=${nonce}", "${k0}"),
        run(
            "operator",
            "rekey",
            "-nonce=${nonce}",
            "-format=json",
            "${k1}",
            save={"n0": "keys_base64.0", "n1": "keys_base64.1"},
            output=False,
        ),
        run("operator", "rekey", "-cancel"),
        run("operator", "seal"),
        run("operator", "unseal", "${n0}"),
        run("operator", "unseal", "${n1}"),
    )


def test_generate_root(operators):
    operators.run(
        INIT,
        *UNSEAL,
        run(
            "operator",
            "generate-root",
            "-init",
            "-format=json",
            save={"nonce": "nonce", "otp": "otp"},
            output=False,
        ),
        run("operator", "generate-root", "-status"),
        run("operator", "generate-root", "-nonce=${nonce}", "${k0}"),
        run(
            "operator",
            "generate-root",
            "-nonce=${nonce}",
            "-format=json",
            "${k1}",
            save={"encoded": "encoded_token"},
            output=False,
        ),
    )
    for terminal in (operators.ours, operators.peer):
        encoded = terminal.names["encoded"]
        mask, otp = base64.b64decode(encoded + "=" * (-len(encoded) % 4)), terminal.names["otp"].encode()
        terminal.names["token"] = bytes(a ^ b for a, b in zip(mask, otp, strict=True)).decode()
    operators.run(
        run("token", "lookup", ignore=("path", "display_name", "expire_time", "issue_time", "renewable"))
    )


def test_audit(operators):
    operators.run(
        INIT,
        *UNSEAL,
        run("audit", "list", code=2),
        run("audit", "enable", "-path=${m}", "file", "file_path=${dir}/audit.log"),
        run("audit", "list"),
        run("audit", "list", "-detailed", output=False),
        run("audit", "enable", "-path=${m}", "file", "file_path=${dir}/audit.log", code=2),
        run("audit", "disable", "${m}"),
        run("audit", "enable", "nonsense", code=2),
    )
