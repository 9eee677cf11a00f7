"""``hvac``, the usual Python client, used the same way at our server and at OpenBao."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hvac
import pytest
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError

from tests.peer.compare import differences, masked


class Both:
    """Two clients that are told the same; each result must be alike after masking."""

    def __init__(self, ours: hvac.Client, peer: hvac.Client) -> None:
        self.ours, self.peer = ours, peer

    def do(self, action: Callable[[hvac.Client], Any], *ignore: str) -> tuple[Any, Any]:
        """The results of both, compared but for dotted paths that begin with one of ``ignore``."""
        results = [_outcome(action, client) for client in (self.ours, self.peer)]
        kinds = [type(result).__name__ for result in results]
        assert kinds[0] == kinds[1], f"ours: {results[0]!r}, the peer: {results[1]!r}"
        plain = [masked(_without_mount_type(result)) for result in results]
        found = [line for line in differences(*plain) if not line.startswith(ignore or ("\0",))]
        assert found == []
        return results[0], results[1]

    def fails(self, action: Callable[[hvac.Client], Any], error: type[VaultError]) -> None:
        """Both raise exactly this error."""
        for client in (self.ours, self.peer):
            with pytest.raises(error):
                action(client)


def _outcome(action: Callable[[hvac.Client], Any], client: hvac.Client) -> Any:
    result = action(client)
    if isinstance(result, requests.Response):
        return {"status": result.status_code, "body": result.text}
    return result


def _without_mount_type(result: Any) -> Any:
    return {k: v for k, v in result.items() if k != "mount_type"} if isinstance(result, dict) else result


@pytest.fixture
def both(pair) -> Iterator[Both]:
    clients = [hvac.Client(url=server.address, token="root") for server in pair.servers]
    yield Both(*clients)
    for client in clients:
        client.adapter.close()


def test_it_knows_itself_logged_in(both):
    both.do(
        lambda c: {"in": c.is_authenticated(), "sealed": c.sys.is_sealed(), "init": c.sys.is_initialized()}
    )
    both.do(lambda c: c.sys.read_health_status(method="GET"))
    both.do(lambda c: c.sys.read_seal_status())
    both.do(lambda c: {"leader": c.sys.read_leader_status()["ha_enabled"]})


# hvac warns about its own defaults when it reads inside ``patch``.
@pytest.mark.filterwarnings("ignore:The raise_on_deleted_version:DeprecationWarning")
def test_kv_version_2(both, word):
    both.do(lambda c: c.sys.enable_secrets_engine("kv", path=word, options={"version": "2"}))
    kv = lambda c: c.secrets.kv.v2  # noqa: E731
    both.do(lambda c: kv(c).create_or_update_secret("app", {"a": 1}, mount_point=word))
    both.do(lambda c: kv(c).read_secret_version("app", mount_point=word, raise_on_deleted_version=True))
    both.do(lambda c: kv(c).patch("app", {"b": 2}, mount_point=word))
    both.fails(
        lambda c: kv(c).create_or_update_secret("app", {"a": 2}, cas=0, mount_point=word), InvalidRequest
    )
    both.do(lambda c: kv(c).read_secret_metadata("app", mount_point=word))
    both.do(
        lambda c: kv(c).update_metadata("app", max_versions=4, custom_metadata={"k": "v"}, mount_point=word)
    )
    both.do(lambda c: kv(c).list_secrets("", mount_point=word))
    both.do(lambda c: kv(c).delete_latest_version_of_secret("app", mount_point=word))
    both.fails(
        lambda c: kv(c).read_secret_version("app", mount_point=word, raise_on_deleted_version=True),
        InvalidPath,
    )
    both.do(lambda c: kv(c).read_secret_version("app", mount_point=word, raise_on_deleted_version=False))
    both.do(lambda c: kv(c).undelete_secret_versions("app", [2], mount_point=word))
    both.do(lambda c: kv(c).destroy_secret_versions("app", [1], mount_point=word))
    both.do(lambda c: kv(c).read_configuration(mount_point=word))
    both.do(lambda c: kv(c).configure(max_versions=3, mount_point=word))
    both.do(lambda c: kv(c).delete_metadata_and_all_versions("app", mount_point=word))
    both.fails(lambda c: kv(c).read_secret_metadata("app", mount_point=word), InvalidPath)


def test_kv_version_1(both, word):
    both.do(lambda c: c.sys.enable_secrets_engine("kv", path=word, options={"version": "1"}))
    kv = lambda c: c.secrets.kv.v1  # noqa: E731
    both.do(lambda c: kv(c).create_or_update_secret("app", {"a": 1}, mount_point=word))
    both.do(lambda c: kv(c).read_secret("app", mount_point=word))
    both.do(lambda c: kv(c).list_secrets("", mount_point=word))
    both.do(lambda c: kv(c).delete_secret("app", mount_point=word))
    both.fails(lambda c: kv(c).read_secret("app", mount_point=word), InvalidPath)


def test_mounts(both, word):
    both.do(lambda c: c.sys.enable_secrets_engine("kv", path=word, description="d"))
    both.fails(lambda c: c.sys.enable_secrets_engine("kv", path=word), InvalidRequest)
    both.do(lambda c: c.sys.tune_mount_configuration(word, default_lease_ttl="1h", max_lease_ttl="2h"))
    both.do(lambda c: c.sys.read_mount_configuration(word))
    both.do(lambda c: c.sys.list_mounted_secrets_engines()["data"][f"{word}/"])
    both.do(lambda c: c.sys.disable_secrets_engine(word))
    both.do(lambda c: c.sys.list_auth_methods()["data"]["token/"])


def test_policies(both, word):
    policy = f'path "{word}/*" {{ capabilities = ["read"] }}'
    both.do(lambda c: c.sys.create_or_update_policy(word, policy))
    both.do(lambda c: c.sys.read_policy(word))
    both.do(lambda c: {"there": word in c.sys.list_policies()["data"]["policies"]})
    both.do(lambda c: c.sys.create_or_update_acl_policy(word, policy))
    both.do(lambda c: c.sys.read_acl_policy(word))
    both.do(lambda c: {"there": word in c.sys.list_acl_policies()["data"]["keys"]})
    both.do(lambda c: c.get_policy(word, parse=False))
    both.do(lambda c: c.sys.delete_policy(word))
    both.fails(lambda c: c.sys.read_policy(word), InvalidPath)


def test_tokens(both):
    ours, peer = both.do(lambda c: c.auth.token.create(policies=["default"], ttl="1h", meta={"a": "b"}))
    tokens = {id(both.ours): ours["auth"], id(both.peer): peer["auth"]}
    auth = lambda c: tokens[id(c)]  # noqa: E731
    both.do(lambda c: c.auth.token.lookup(auth(c)["client_token"]))
    both.do(lambda c: c.auth.token.lookup_accessor(auth(c)["accessor"]))
    both.do(lambda c: c.auth.token.renew(auth(c)["client_token"], increment="30m"))
    both.do(lambda c: c.auth.token.renew_accessor(auth(c)["accessor"], increment="30m"))
    both.do(lambda c: {"there": auth(c)["accessor"] in c.auth.token.list_accessors()["data"]["keys"]})
    both.do(lambda c: c.sys.get_capabilities(["sys/mounts", "cubbyhole/x"], token=auth(c)["client_token"]))
    both.do(lambda c: c.auth.token.revoke_accessor(auth(c)["accessor"]))
    both.fails(lambda c: c.auth.token.lookup(auth(c)["client_token"]), Forbidden)
    both.do(lambda c: c.auth.token.create_orphan(policies=["default"]))
    both.fails(lambda c: c.auth.token.create(policies=["default"], ttl="soon"), InvalidRequest)


def test_a_token_that_may_little(both):
    clients = []
    for client in (both.ours, both.peer):
        token = client.auth.token.create(policies=["default"])["auth"]["client_token"]
        clients.append(hvac.Client(url=client.url, token=token))
    small = Both(*clients)
    small.do(lambda c: c.auth.token.lookup_self())
    small.fails(lambda c: c.sys.list_mounted_secrets_engines(), Forbidden)
    small.do(lambda c: c.auth.token.renew_self(increment="20m"))
    small.do(lambda c: c.write_data("cubbyhole/x", data={"a": 1}))
    small.do(lambda c: c.read("cubbyhole/x"))
    small.do(lambda c: c.list("cubbyhole"))
    small.do(lambda c: c.auth.token.revoke_self())
    small.do(lambda c: {"in": c.is_authenticated()})
    for client in clients:
        client.adapter.close()


def test_wrapping(both):
    ours, peer = both.do(lambda c: c.auth.token.create(policies=["default"], wrap_ttl="60s"), "request_id")
    tokens = {id(both.ours): ours["wrap_info"]["token"], id(both.peer): peer["wrap_info"]["token"]}
    both.do(lambda c: c.sys.unwrap(tokens[id(c)]))
    both.fails(lambda c: c.sys.unwrap(tokens[id(c)]), InvalidRequest)


def test_userpass(both, word):
    both.do(lambda c: c.sys.enable_auth_method("userpass", path=word))
    login = lambda c, password: c.auth.userpass.login("ann", password, use_token=False, mount_point=word)  # noqa: E731
    both.do(
        lambda c: c.auth.userpass.create_or_update_user("Ann", "first", policies="default", mount_point=word)
    )
    both.do(lambda c: c.auth.userpass.list_user(mount_point=word))
    both.do(lambda c: c.auth.userpass.read_user("ann", mount_point=word))
    both.do(lambda c: login(c, "first"), "auth.expires_at", "auth.capped_by")
    both.fails(lambda c: login(c, "wrong"), InvalidRequest)
    both.do(lambda c: c.auth.userpass.update_password_on_user("ann", "second", mount_point=word))
    both.fails(lambda c: login(c, "first"), InvalidRequest)
    both.do(lambda c: login(c, "second"), "auth.expires_at", "auth.capped_by")
    both.do(lambda c: c.auth.userpass.delete_user("ann", mount_point=word))
    both.fails(lambda c: c.auth.userpass.read_user("ann", mount_point=word), InvalidPath)
    both.do(lambda c: c.sys.disable_auth_method(word))


def test_approle(both, word):
    role_id, at = f"{word}-role", {"mount_point": word}
    both.do(lambda c: c.sys.enable_auth_method("approle", path=word))
    both.do(lambda c: c.auth.approle.create_or_update_approle("app", token_policies=["a"], **at))
    both.do(lambda c: c.auth.approle.list_roles(**at))
    both.do(lambda c: c.auth.approle.read_role("app", **at))
    both.do(lambda c: c.auth.approle.update_role_id("app", role_id, **at))
    both.do(lambda c: c.auth.approle.read_role_id("app", **at))

    def generated(client):
        made = client.auth.approle.generate_secret_id("app", metadata={"k": "v"}, **at)["data"]
        return made["secret_id"], made["secret_id_accessor"]

    def life(client):
        secret, accessor = generated(client)
        approle = client.auth.approle
        about = approle.read_secret_id("app", secret, **at)["data"]
        by_accessor = approle.read_secret_id_accessor("app", accessor, **at)["data"]
        auth = approle.login(role_id, secret, use_token=False, **at)["auth"]
        listed = approle.list_secret_id_accessors("app", **at)["data"]["keys"] == [accessor]
        ended = approle.destroy_secret_id("app", secret, **at).status_code
        return about == by_accessor, about["metadata"], auth["metadata"], auth["policies"], listed, ended

    both.do(lambda c: {"life": list(life(c))})
    both.fails(lambda c: c.auth.approle.login(role_id, "no", use_token=False, **at), InvalidRequest)

    def custom(client):
        accessor = client.auth.approle.create_custom_secret_id("app", "mine", **at)["data"][
            "secret_id_accessor"
        ]
        auth = client.auth.approle.login(role_id, "mine", use_token=False, **at)["auth"]
        return auth["policies"], client.auth.approle.destroy_secret_id_accessor(
            "app", accessor, **at
        ).status_code

    both.do(lambda c: {"custom": list(custom(c))})
    both.do(lambda c: c.auth.approle.delete_role("app", **at))
    both.fails(lambda c: c.auth.approle.read_role("app", **at), InvalidPath)
    both.do(lambda c: c.sys.disable_auth_method(word))


def test_wrapping_seen_by_who_unwraps(both, word):
    ours, peer = both.do(lambda c: c.sys.wrap({"a": 1, "b": {"c": [2]}}, ttl="60"), "request_id")
    tokens = {id(both.ours): ours["wrap_info"]["token"], id(both.peer): peer["wrap_info"]["token"]}
    both.do(lambda c: c.write_data("sys/wrapping/lookup", data={"token": tokens[id(c)]}))
    users = Both(*(hvac.Client(url=c.url, token=tokens[id(c)]) for c in (both.ours, both.peer)))
    tokens = {id(users.ours): "", id(users.peer): ""}
    users.do(lambda c: c.sys.unwrap())
    users.fails(lambda c: c.sys.unwrap(), InvalidRequest)
    both.fails(lambda c: c.sys.unwrap("nothing"), InvalidRequest)


def test_token_roles(both, word):
    both.do(
        lambda c: c.auth.token.create_or_update_role(
            word, allowed_policies=["default"], orphan=True, token_period="1h", path_suffix="sfx"
        )
    )
    both.do(lambda c: c.auth.token.read_role(word))
    both.do(lambda c: {"there": word in c.auth.token.list_roles()["data"]["keys"]})
    ours, peer = both.do(lambda c: c.auth.token.create(role_name=word))
    tokens = {id(both.ours): ours["auth"], id(both.peer): peer["auth"]}
    both.do(lambda c: c.auth.token.lookup(tokens[id(c)]["client_token"]))
    both.do(lambda c: c.auth.token.renew(tokens[id(c)]["client_token"]))
    both.fails(lambda c: c.auth.token.create(role_name=word, policies=["other"]), InvalidRequest)
    both.do(lambda c: c.auth.token.delete_role(word))
    both.fails(lambda c: c.auth.token.read_role(word), InvalidPath)
    both.fails(lambda c: c.auth.token.create(role_name=word), InvalidRequest)


def test_batch_tokens(both):
    ours, peer = both.do(lambda c: c.auth.token.create(type="batch", policies=["default"], ttl="1h"))
    tokens = {id(both.ours): ours["auth"], id(both.peer): peer["auth"]}
    both.do(lambda c: c.auth.token.lookup(tokens[id(c)]["client_token"]))
    both.fails(lambda c: c.auth.token.renew(tokens[id(c)]["client_token"]), InvalidRequest)
    both.fails(lambda c: c.auth.token.revoke(tokens[id(c)]["client_token"]), InvalidRequest)


@pytest.fixture
def fresh(sealed_pair) -> Iterator[Both]:
    clients = [hvac.Client(url=server.address) for server in sealed_pair().servers]
    yield Both(*clients)
    for client in clients:
        client.adapter.close()


def test_init_and_unseal(fresh):
    fresh.do(lambda c: {"init": c.sys.is_initialized(), "sealed": c.sys.is_sealed()})
    made = {id(c): c.sys.initialize(secret_shares=3, secret_threshold=2) for c in (fresh.ours, fresh.peer)}
    fresh.do(lambda c: c.sys.submit_unseal_key(made[id(c)]["keys"][0]))
    fresh.do(lambda c: c.sys.submit_unseal_keys(made[id(c)]["keys_base64"][1:]))
    for client in (fresh.ours, fresh.peer):
        client.token = made[id(client)]["root_token"]
    fresh.do(lambda c: {"in": c.is_authenticated()})
    fresh.do(
        lambda c: (
            c.sys.read_encryption_key_status()
            if hasattr(c.sys, "read_encryption_key_status")
            else c.key_status
        )
    )
    fresh.do(lambda c: c.sys.rotate_encryption_key())
    fresh.do(lambda c: c.sys.seal())
    fresh.do(lambda c: {"sealed": c.sys.is_sealed()})
