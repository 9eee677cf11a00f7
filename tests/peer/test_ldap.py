"""The ldap method beside OpenBao's, both asking the same directory; OpenBao's answers are recorded (see ``tape``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.directory import Directory
from tests.fixtures.servers import RunningServer, dev_server
from tests.peer.client import Client
from tests.peer.conftest import _remove_leftovers
from tests.peer.harness import Pair, Side
from tests.peer.mode import SELF_CHECK
from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs
from tests.peer.tape import Playing, Recording, Tape

RECORD = os.environ.get("PEER_RECORD", "")
STRICTER = Differs("stricter-input", status=400, body=False)
DOWN = Differs("directory-down", status=503, body=False)
PASSWORDLESS = Differs("no-passwordless-bind", status=200, body=False)
CONFIG = {
    "url": "${url}",
    "userdn": "ou=people,dc=example,dc=org",
    "userattr": "uid",
    "groupdn": "ou=groups,dc=example,dc=org",
    "binddn": "cn=reader,dc=example,dc=org",
    "bindpass": "reader-password",
}
ENABLE = POST("sys/auth/${m}", {"type": "ldap"}, 204)
CONFIGURE = POST("auth/${m}/config", CONFIG, 204)


def configure(**more: object):
    return POST("auth/${m}/config", {**CONFIG, **more}, 204)


def login(name: str, password: str | None = None, *rest, **more):
    given = f"{name}-password" if password is None else password
    return POST(f"auth/${{m}}/login/{name}", {"password": given}, *rest, token=None, **more)


@pytest.fixture(scope="module")
def tape() -> Iterator[Tape]:
    made = Tape(Path(__file__).parent / "recorded" / "ldap.json")
    if RECORD:
        made.answers = {}
    yield made
    if RECORD:
        made.save()


@pytest.fixture(scope="module")
def recorded_peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer | None]:
    """The server to record, if one was given."""
    if not RECORD:
        yield None
        return
    program = Path(RECORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.fixtures.servers.BIN", program.parent)
        server = dev_server(program.name, tmp_path_factory.mktemp("peer"), "bao-recorded")
    yield server
    server.stop()


@pytest.fixture
def pair(
    ours_dev: RunningServer,
    recorded_peer: RunningServer | None,
    directory: Directory,
    tape: Tape,
    word: str,
    request: pytest.FixtureRequest,
) -> Iterator[Pair]:
    if SELF_CHECK:
        pytest.skip("the peer at hand has no ldap")
    names = {"m": word, "url": directory.url, "tls": directory.tls_url, "ca": directory.ca}
    test = request.node.name
    peer = (
        Recording(recorded_peer.address, tape, test, names)
        if recorded_peer is not None
        else Playing(tape, test, names)
    )
    known = {**names, "root": "root"}
    both = Pair(
        Side(Client(ours_dev.address), dict(known)),
        Side(peer, dict(known)),  # type: ignore[arg-type]
        word,
        servers=(ours_dev,),
    )
    yield both
    _remove_leftovers(both.ours, word)
    both.ours.client.close()
    both.peer.client.close()


def test_the_defaults(pair):
    pair.run(
        ENABLE,
        GET("auth/${m}/config"),
        GET("auth/${m}/config", 403, token=None),
        LIST("auth/${m}/groups", 404),
        LIST("auth/${m}/users", 404),
        DELETE("auth/${m}/config", 405, differs=WRONG),
        LIST("auth/${m}/config", 404, differs=WRONG),
    )


def test_a_configuration_is_kept_and_its_secrets_are_not_shown(pair):
    pair.run(
        ENABLE,
        CONFIGURE,
        GET("auth/${m}/config"),
        POST("auth/${m}/config", {"groupattr": "memberOf", "discoverdn": True}, 204),
        PUT("auth/${m}/config", {"url": "LDAP://A.example,ldaps://B.example:1636"}, 204),
        POST("auth/${m}/config", {"userattr": "SAMAccountName", "upndomain": "example.org"}, 204),
        GET("auth/${m}/config"),
        POST(
            "auth/${m}/config",
            {
                "anonymous_group_search": True,
                "case_sensitive_names": True,
                "certificate": "${ca}",
                "connection_timeout": "5s",
                "dereference_aliases": "always",
                "insecure_tls": True,
                "max_page_size": 100,
                "request_timeout": 7,
                "starttls": True,
                "tls_max_version": "tls13",
                "tls_min_version": "tls13",
                "use_pre111_group_cn_behavior": True,
                "use_token_groups": True,
                "username_as_alias": True,
            },
            204,
        ),
        GET("auth/${m}/config"),
    )


def test_token_parameters(pair):
    pair.run(
        ENABLE,
        POST(
            "auth/${m}/config",
            {
                "token_ttl": "10m",
                "token_max_ttl": 3600,
                "token_policies": "a,b",
                "token_bound_cidrs": "127.0.0.0/8",
                "token_num_uses": 3,
                "token_no_default_policy": True,
                "token_type": "service",
            },
            204,
        ),
        GET("auth/${m}/config"),
        POST("auth/${m}/config", {"token_ttl": "2h"}, 400),
        POST("auth/${m}/config", {"token_type": "nonsense"}, 400),
        POST("auth/${m}/config", {"token_period": "1h", "token_explicit_max_ttl": "3h"}, 204),
        GET("auth/${m}/config"),
    )


def test_configurations_that_make_no_sense(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/config", {"userfilter": "{{"}, 400),
        POST("auth/${m}/config", {"groupfilter": "{{"}, 400),
        POST("auth/${m}/config", {"tls_min_version": "tls99"}, 400),
        POST("auth/${m}/config", {"tls_max_version": "1.2"}, 400),
        POST("auth/${m}/config", {"tls_min_version": "tls13"}, 400),
        POST("auth/${m}/config", {"certificate": "nonsense"}, 400),
        POST("auth/${m}/config", {"client_tls_cert": "nonsense"}, 400),
        POST("auth/${m}/config", {"client_tls_cert": "a", "client_tls_key": "b"}, 400),
        POST("auth/${m}/config", {"request_timeout": "soon"}, 400),
        POST("auth/${m}/config", {"request_timeout": -1}, 400),
        POST("auth/${m}/config", {"max_page_size": "many"}, 400),
        POST("auth/${m}/config", {"discoverdn": "maybe"}, 400),
        POST("auth/${m}/config", {"url": "http://a"}, 204, differs=STRICTER),
        POST("auth/${m}/config", {"userfilter": "(("}, 200, differs=STRICTER),
        POST("auth/${m}/config", {"dereference_aliases": "maybe"}, 200, differs=STRICTER),
        POST("auth/${m}/config", {"max_page_size": -1}, 200, differs=STRICTER),
    )


def test_a_filter_without_userattr_is_warned_of(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/config", {**CONFIG, "userfilter": "(mail={{.Username}}@example.org)"}, 200),
        GET("auth/${m}/config"),
        login("alice"),
        POST("auth/${m}/config", {"userfilter": "(uid={{.Username}})"}, 204),
        login("alice"),
    )


def test_groups(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/groups/Engineers", {"policies": "eng, Base"}, 204),
        GET("auth/${m}/groups/engineers"),
        GET("auth/${m}/groups/ENGINEERS"),
        GET("auth/${m}/groups/none", 404),
        PUT("auth/${m}/groups/empty", {}, 204),
        GET("auth/${m}/groups/empty"),
        POST("auth/${m}/groups/rooted", {"policies": ["root"]}, 204, differs=STRICTER),
        LIST("auth/${m}/groups", only=("data.keys.0",)),
        GET("auth/${m}/groups?list=true", only=("data.keys.0",)),
        DELETE("auth/${m}/groups/empty", 204),
        DELETE("auth/${m}/groups/empty", 204),
        GET("auth/${m}/groups/empty", 404),
        GET("auth/${m}/groups/engineers", 403, token=None),
    )


def test_users(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/users/Bob", {"groups": "Extra,engineers,Extra", "policies": "bobs,Admin"}, 204),
        GET("auth/${m}/users/bob"),
        GET("auth/${m}/users/BOB"),
        POST("auth/${m}/users/empty", {}, 204),
        GET("auth/${m}/users/empty"),
        GET("auth/${m}/users/none", 404),
        LIST("auth/${m}/users"),
        DELETE("auth/${m}/users/bob", 204),
        LIST("auth/${m}/users"),
        DELETE("auth/${m}/users/none", 204),
    )


def test_logins(pair):
    pair.run(
        ENABLE,
        CONFIGURE,
        login("bob"),
        login("BOB", "bob-password"),
        login("bob", "wrong", 400),
        login("bob", "", 400),
        login("nobody", "wrong", 400),
        login("*", "bob-password", 400),
        login("*)(uid=*", "bob-password", 400),
        login("bob*", "bob-password", 400),
        POST("auth/${m}/login/bob", {}, 400, token=None),
        GET("auth/${m}/login/bob", 405, differs=WRONG),
        login("dave"),
        login("carol", save={"t": "auth.client_token"}),
        POST("auth/${m}/config", {"deny_null_bind": False}, 204, differs=PASSWORDLESS),
        login("bob", "", 400),
        login("nobody", "", 400),
    )


def test_policies_of_groups_and_users(pair):
    pair.run(
        ENABLE,
        configure(token_policies="base", token_ttl="10m", token_max_ttl="1h"),
        POST("auth/${m}/groups/engineers", {"policies": "eng"}, 204),
        POST("auth/${m}/groups/support", {"policies": "sup"}, 204),
        POST("auth/${m}/groups/local", {"policies": "loc"}, 204),
        POST("auth/${m}/users/bob", {"policies": "bobs", "groups": "local"}, 204),
        login("bob"),
        login("carol"),
        login("alice"),
    )


def test_people_in_no_group_are_told(pair):
    pair.run(
        ENABLE,
        configure(groupfilter="(cn=nothing)"),
        login("bob"),
        configure(groupdn="ou=nowhere,dc=example,dc=org"),
        login("bob", None, 400, differs=DOWN),
        configure(userdn="ou=nowhere,dc=example,dc=org"),
        login("bob", None, 400),
    )


def test_names_put_together_instead_of_searched_for(pair):
    pair.run(
        ENABLE,
        configure(binddn="", bindpass=""),
        login("bob"),
        login("bob", "wrong", 400),
        login("nobody", "wrong", 400),
        login("bob,ou=people", "bob-password", 400),
    )


def test_anonymous_searches(pair):
    pair.run(
        ENABLE,
        configure(binddn="", bindpass="", discoverdn=True),
        login("bob"),
        login("nobody", "wrong", 400),
        configure(anonymous_group_search=True),
        login("bob"),
    )


def test_groups_in_other_shapes(pair):
    pair.run(
        ENABLE,
        POST("auth/${m}/groups/engineers", {"policies": "eng"}, 204),
        configure(
            groupdn="ou=people,dc=example,dc=org", groupfilter="(uid={{.Username}})", groupattr="memberOf"
        ),
        login("alice"),
        configure(groupfilter="(&(objectClass=groupOfNames)(member={{.UserDN}}))", max_page_size=1),
        login("alice"),
        configure(use_token_groups=True),
        login("alice"),
        configure(username_as_alias=True),
        login("alice"),
    )


def test_tls(pair):
    pair.run(
        ENABLE,
        configure(url="${tls}", certificate="${ca}"),
        login("bob"),
        configure(url="${url}", certificate="${ca}", starttls=True),
        login("bob"),
        configure(url="ldap://127.0.0.1:1,${url}"),
        login("bob"),
        configure(url="${tls}", insecure_tls=True, certificate="", starttls=False),
        login("bob"),
        configure(url="${tls}", insecure_tls=False),
        login("bob", None, 400, differs=DOWN),
        configure(url="ldap://127.0.0.1:1"),
        login("bob", None, 400, differs=DOWN),
        configure(url="${url}", bindpass="wrong"),
        login("bob", None, 400, differs=DOWN),
    )


def test_a_login_from_elsewhere(pair):
    pair.run(ENABLE, configure(token_bound_cidrs="10.0.0.0/8"), login("bob", None, 403))


def test_a_token_of_a_login(pair):
    pair.run(
        ENABLE,
        configure(token_ttl="10m", token_policies="default"),
        login("bob", save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        POST("auth/token/renew-self", {}, token="${t}"),
        POST("auth/${m}/users/bob", {"policies": "more"}, 204),
        POST(
            "auth/token/renew-self",
            {},
            500,
            token="${t}",
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
    )
