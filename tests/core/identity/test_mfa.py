"""Logins that need a second proof: a code by the clock."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.core.identity.conftest import PASSWORD, People, open_people

DENIED = "1 error occurred:\n\t* permission denied\n\n"


class Phone:
    """An authenticator app with one account."""

    def __init__(self, uri: str) -> None:
        import base64

        facts = parse_qs(urlsplit(uri).query)
        text = facts["secret"][0]
        self.key = base64.b32decode(text + "=" * (-len(text) % 8))
        self.period = int(facts["period"][0])

    def code(self, away: int = 0) -> str:
        maker = TOTP(self.key, 6, SHA1(), self.period, enforce_key_length=False)
        return maker.generate(int(time.time()) + away * self.period).decode()

    def wrong(self) -> str:
        near = {self.code(away) for away in range(-3, 4)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in near)


class Guarded:
    """People whose logins need a code, by an enforcement on their mount."""

    def __init__(self, people: People, word: str, **method: object) -> None:
        self.people = people
        # A long period, so that a test does not run over the end of one.
        made = {"issuer": "Acme", "method_name": word, "period": 3600, **method}
        self.method = people.data("POST", "identity/mfa/method/totp", made)["method_id"]
        self.rule = f"identity/mfa/login-enforcement/{word}"

    def enforce(self, **which: object) -> None:
        which = which or {"auth_method_accessors": [self.people.accessor]}
        self.people.done("POST", self.rule, {"mfa_method_ids": [self.method], **which})

    def enrol(self, entity: str) -> Phone:
        made = self.people.data(
            "POST", "identity/mfa/method/totp/admin-generate", {"method_id": self.method, "entity_id": entity}
        )
        return Phone(made["url"])

    def log_in(self, name: str, header: str = "") -> object:
        return self.people.api._client.send(
            "POST",
            f"/v1/auth/{self.people.mount}/login/{name}",
            {"X-Vault-MFA": header} if header else {},
            b'{"password":"%b"}' % PASSWORD.encode(),
        )

    def begin(self, name: str) -> str:
        reply = self.log_in(name)
        assert reply.status == 200, reply
        request_id: str = reply.body["auth"]["mfa_requirement"]["mfa_request_id"]
        return request_id

    def validate(self, request_id: str, code: object, method: str = "") -> object:
        payload = {method or self.method: code if isinstance(code, list) else [code]}
        body = {"mfa_request_id": request_id, "mfa_payload": payload}
        return self.people.ask("POST", "sys/mfa/validate", body, "")


@pytest.fixture
def guarded(people: People, word: str):
    made = Guarded(people, word)
    yield made
    people.done("DELETE", made.rule)
    people.done("DELETE", f"identity/mfa/method/totp/{made.method}")


def test_a_login_becomes_a_token_once_the_code_is_shown(guarded):
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    reply = guarded.log_in("ann")
    auth = reply.body["auth"]
    assert auth["client_token"] == ""
    assert auth["accessor"] == ""
    assert "mfa/validate" in reply.body["warnings"][0]
    (constraint,) = auth["mfa_requirement"]["mfa_constraints"].values()
    assert constraint["any"][0]["id"] == guarded.method
    request_id = auth["mfa_requirement"]["mfa_request_id"]
    assert guarded.validate(request_id, phone.wrong()).status == 403
    done = guarded.validate(request_id, phone.code())
    assert done.status == 200, done
    token = done.body["auth"]["client_token"]
    about = guarded.people.data("GET", "auth/token/lookup-self", token=token)
    assert about["path"] == f"auth/{guarded.people.mount}/login/ann"
    assert about["entity_id"] == entity
    assert guarded.validate(request_id, phone.code()).body["errors"] == ["permission denied"]


def test_a_code_in_the_login_itself_saves_the_second_request(guarded, word):
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    wrong = guarded.log_in("ann", f"{guarded.method}:{phone.wrong()}")
    assert (wrong.status, wrong.body) == (403, {"errors": ["permission denied"]})
    code = phone.code()
    assert guarded.log_in("ann", f"{word}:{code}").body["auth"]["client_token"]
    again = guarded.log_in("ann", f"{guarded.method}:{code}")
    assert (again.status, again.body) == (wrong.status, wrong.body)  # used up reads as wrong


def test_a_code_works_once_wherever_it_is_shown(guarded):
    more = {"issuer": "Acme", "period": 3600, "max_validation_attempts": 20}
    guarded.people.done("POST", f"identity/mfa/method/totp/{guarded.method}", more)
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    first, second = guarded.begin("ann"), guarded.begin("ann")
    code = phone.code()
    assert guarded.validate(first, code).status == 200
    for spelled in (code, f" {code}", f"{code} ", f"0{code}"):
        assert guarded.validate(second, spelled).status == 403
    assert guarded.validate(second, phone.code(-1)).status == 403  # an earlier step is over, too
    assert guarded.validate(second, phone.code(1)).status == 200


def test_of_many_at_once_with_one_code_exactly_one_gets_in(node, word):
    people = open_people(node(workers=2), word)
    guarded = Guarded(people, word, max_validation_attempts=100)
    _, entity = people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    for away in (0, 1):
        waiting = [guarded.begin("ann") for _ in range(12)]
        code = phone.code(away)

        def show(request_id: str, code: str = code) -> int:
            api = type(people.api)(people.api.server, people.api.token)
            try:
                other = Guarded.__new__(Guarded)
                other.people, other.method = People(api, people.mount, people.accessor), guarded.method
                return other.validate(request_id, code).status
            finally:
                api.close()

        with ThreadPoolExecutor(12) as pool:
            statuses = sorted(pool.map(show, waiting))
        assert statuses == [200] + [403] * 11


def test_wrong_codes_are_few_before_all_codes_are_refused(guarded):
    more = {"issuer": "Acme", "period": 3600, "max_validation_attempts": 2}
    guarded.people.done("POST", f"identity/mfa/method/totp/{guarded.method}", more)
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    request_id = guarded.begin("ann")
    for _ in range(2):
        assert "MFA credentials" in guarded.validate(request_id, phone.wrong()).body["errors"][0]
    refused = guarded.validate(request_id, phone.code())
    assert refused.status == 403
    assert "Please try again in" in refused.body["errors"][0]


def test_who_needs_a_code_is_said_by_mount_type_group_or_entity(guarded):
    people = guarded.people
    people.person("bob")
    _, entity = people.person("ann")
    group = people.data(
        "POST", "identity/group", {"name": f"{guarded.rule[-9:]}-in", "member_entity_ids": [entity]}
    )
    above = people.data(
        "POST", "identity/group", {"name": f"{guarded.rule[-9:]}-up", "member_group_ids": [group["id"]]}
    )
    for which in ({"identity_entity_ids": [entity]}, {"identity_group_ids": [above["id"]]}):
        guarded.enforce(**which)
        assert guarded.log_in("ann").body["auth"]["mfa_requirement"]
        assert guarded.log_in("bob").body["auth"]["client_token"]
        people.done("DELETE", guarded.rule)
    assert guarded.log_in("ann").body["auth"]["client_token"]


def test_who_has_no_key_does_not_get_in_and_reads_nothing_else(guarded):
    guarded.people.person("ann")
    guarded.enforce()
    refused = guarded.validate(guarded.begin("ann"), "123456")
    assert refused.status == 403
    assert "MFA credentials not supplied or incorrect" in refused.body["errors"][0]


def test_a_key_is_shown_once_and_its_owner_may_make_it(guarded):
    people = guarded.people
    text = 'path "identity/mfa/method/totp/generate" { capabilities = ["update"] }'
    people.add("ann", token_policies=people.policy(f"{people.mount}-own", text))
    token = people.log_in("ann")["client_token"]
    made = people.data("POST", "identity/mfa/method/totp/generate", {"method_id": guarded.method}, token)
    again = people.ask("POST", "identity/mfa/method/totp/generate", {"method_id": guarded.method}, token)
    assert again.body["data"] is None
    assert "already has a secret" in again.body["warnings"][0]
    guarded.enforce()
    assert guarded.validate(guarded.begin("ann"), Phone(made["url"]).code()).status == 200


def test_a_disabled_entity_does_not_get_in_between_the_proofs(guarded):
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    request_id = guarded.begin("ann")
    guarded.people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert guarded.validate(request_id, phone.code()).status == 403


def test_a_login_waits_in_its_own_namespace_only(api, word):
    api.done("PUT", f"sys/namespaces/{word}", {})
    inside = open_people(api, word, word)
    guarded = Guarded(inside, word)
    _, entity = inside.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    reply = api.ask("POST", f"auth/{word}/login/ann", {"password": PASSWORD}, token="", namespace=word)
    request_id = reply.body["auth"]["mfa_requirement"]["mfa_request_id"]
    body = {"mfa_request_id": request_id, "mfa_payload": {guarded.method: [phone.code()]}}
    assert api.ask("POST", "sys/mfa/validate", body, token="").body["errors"] == ["permission denied"]
    assert api.ask("POST", "sys/mfa/validate", body, token="", namespace=word).status == 200


@pytest.mark.parametrize(
    "payload", [{"m": [1]}, {"m": {"a": "b"}}, {"m": None}, ["m"], "m", {f"m{n}": ["1"] for n in range(100)}]
)
def test_a_payload_of_another_shape_is_a_mistake_of_the_caller(guarded, payload):
    _, entity = guarded.people.person("ann")
    guarded.enrol(entity)
    guarded.enforce()
    body = {"mfa_request_id": guarded.begin("ann"), "mfa_payload": payload}
    reply = guarded.people.ask("POST", "sys/mfa/validate", body, "")
    assert reply.status in (400, 403)


# A login that waits is over once its first proof might no longer be one


@pytest.fixture
def waiting(guarded):
    """Begin a login of ann's that waits for its code: ``(request id, entity, phone)``."""
    _, entity = guarded.people.person("ann")
    phone = guarded.enrol(entity)
    guarded.enforce()
    return guarded.begin("ann"), entity, phone


def _alias_of(people: People, entity: str) -> str:
    alias: str = people.data("GET", f"identity/entity/id/{entity}")["aliases"][0]["id"]
    return alias


ENDS = {
    "another password": lambda g, e: g.people.add("ann", password="another password"),
    "the password again": lambda g, e: g.people.done(
        "POST", f"auth/{g.people.mount}/users/ann/password", {"password": PASSWORD}
    ),
    "other policies": lambda g, e: g.people.done(
        "POST", f"auth/{g.people.mount}/users/ann/policies", {"token_policies": "less"}
    ),
    "user deleted": lambda g, e: g.people.done("DELETE", f"auth/{g.people.mount}/users/ann"),
    "entity disabled": lambda g, e: g.people.done("POST", f"identity/entity/id/{e}", {"disabled": True}),
    "entity deleted": lambda g, e: g.people.done("DELETE", f"identity/entity/id/{e}"),
    "alias deleted": lambda g, e: g.people.done(
        "DELETE", f"identity/entity-alias/id/{_alias_of(g.people, e)}"
    ),
    "mount disabled": lambda g, e: g.people.done("DELETE", f"sys/auth/{g.people.mount}"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_login_that_waits_is_over_once_what_it_rests_on_is_not_as_it_was(guarded, waiting, how):
    request_id, entity, phone = waiting
    ENDS[how](guarded, entity)
    late = guarded.validate(request_id, phone.code())
    assert (late.status, late.body["errors"]) == (403, ["permission denied"]), late
    if how == "mount disabled":
        guarded.people.done("POST", f"sys/auth/{guarded.people.mount}", {"type": "userpass"})
        assert guarded.validate(request_id, phone.code(1)).status == 403


def test_a_user_who_is_made_anew_with_the_same_password_does_not_complete_the_old_login(guarded, waiting):
    request_id, _, phone = waiting
    guarded.people.done("DELETE", f"auth/{guarded.people.mount}/users/ann")
    guarded.people.add("ann")
    assert guarded.validate(request_id, phone.code()).status == 403
    assert guarded.validate(guarded.begin("ann"), phone.code()).status == 200  # and no code was lost to it


def test_an_alias_that_leads_to_somebody_else_by_now_completes_no_login(guarded, waiting):
    request_id, entity, phone = waiting
    other = guarded.people.data("POST", "identity/entity", {"name": f"{guarded.people.mount}-other"})["id"]
    alias = _alias_of(guarded.people, entity)
    moved = {"name": "ann", "canonical_id": other, "mount_accessor": guarded.people.accessor}
    guarded.people.done("POST", f"identity/entity-alias/id/{alias}", moved)
    assert guarded.validate(request_id, phone.code()).status == 403


def test_what_others_do_meanwhile_ends_no_login_that_waits(guarded, waiting):
    request_id, _, phone = waiting
    guarded.people.add("bob")
    guarded.people.add("ben")
    guarded.people.done("DELETE", f"auth/{guarded.people.mount}/users/ben")
    guarded.begin("ann")
    guarded.people.ask("POST", f"auth/{guarded.people.mount}/login/ann", {"password": "wrong"}, "")
    assert guarded.validate(request_id, phone.code()).status == 200


def test_a_waiting_login_outlives_the_rotation_of_the_keyring(guarded, waiting):
    request_id, _, phone = waiting
    guarded.people.done("POST", "sys/rotate")
    assert guarded.validate(request_id, phone.code()).status == 200
