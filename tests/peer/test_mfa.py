"""Login MFA: methods, keys, enforcements, and logins that wait for a code."""

from __future__ import annotations

import base64
import time
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.peer.script import DELETE, GET, POST, Compute, Differs

NO_LOGIN = Differs("mfa-without-a-login", status=403, body=False)
NO_5XX = Differs("no-5xx-for-bad-input", status=400, body=False)
METHOD = "identity/mfa/method/totp"
RULE = "identity/mfa/login-enforcement/${m}"
MAKE = POST(
    METHOD, {"issuer": "Acme", "method_name": "${m}", "period": 3600}, save={"method": "data.method_id"}
)
PERSON = (
    POST("sys/auth/${m}", {"type": "userpass"}, 204),
    GET("sys/auth/${m}", save={"accessor": "data.accessor"}),
    POST("auth/${m}/users/ann", {"password": "p"}, 204),
    POST("auth/${m}/login/ann", {"password": "p"}, token=None, save={"entity": "auth.entity_id"}),
)
ENFORCE = POST(RULE, {"mfa_method_ids": ["${method}"], "auth_method_accessors": ["${accessor}"]}, 204)
BEGIN = POST(
    "auth/${m}/login/ann", {"password": "p"}, token=None, save={"wait": "auth.mfa_requirement.mfa_request_id"}
)
ENROL = POST(
    f"{METHOD}/admin-generate",
    {"method_id": "${method}", "entity_id": "${entity}"},
    save={"uri": "data.url"},
    ignore=("data.url", "data.barcode"),
)
END = (DELETE(RULE, 204), DELETE(METHOD + "/${method}", 204), DELETE("sys/auth/${m}", 204))


def code(saved, away=0):
    facts = parse_qs(urlsplit(saved["uri"]).query)
    text = facts["secret"][0]
    key = base64.b32decode(text + "=" * (-len(text) % 8))
    maker = TOTP(key, 6, SHA1(), int(facts["period"][0]), enforce_key_length=False)
    return maker.generate(int(time.time()) + away * int(facts["period"][0])).decode()


def wrong(saved):
    near = {code(saved, away) for away in range(-3, 4)}
    return next(text for text in ("000000", "111111", "222222", "333333") if text not in near)


def show(text, status=None, wait="${wait}", **more):
    body = {"mfa_request_id": wait, "mfa_payload": {"${method}": [text]}}
    return POST("sys/mfa/validate", body, *([status] if status else []), token=None, **more)


def test_methods_are_made_read_changed_and_removed(pair):
    pair.run(
        MAKE,
        GET(METHOD + "/${method}"),
        GET("identity/mfa/method/${method}"),
        POST(METHOD + "/${method}", {"issuer": "Other", "digits": 8, "algorithm": "SHA256", "skew": 0}, 204),
        GET(METHOD + "/${method}"),
        POST(METHOD, {}, 400),
        POST(METHOD, {"issuer": "x", "algorithm": "MD5"}, 400),
        POST(METHOD, {"issuer": "x", "digits": 7}, 400),
        POST(METHOD, {"issuer": "x", "period": 0}, 400),
        POST(METHOD, {"issuer": "x", "skew": 2}, 400),
        POST(METHOD, {"issuer": "x", "key_size": 0}, 400),
        POST(METHOD, {"issuer": "x", "max_validation_attempts": -1}, 400),
        DELETE(METHOD + "/${method}", 204),
        DELETE(METHOD + "/${method}", 204),
        GET(METHOD + "/${method}", 404),
    )


def test_enforcements_name_what_there_is(pair):
    pair.run(
        MAKE,
        *PERSON,
        GET(RULE, 404),
        POST(RULE, {}, 400),
        POST(RULE, {"mfa_method_ids": ["${method}"]}, 400),
        POST(RULE, {"mfa_method_ids": ["nope"], "auth_method_types": ["userpass"]}, 400),
        POST(RULE, {"mfa_method_ids": ["${method}"], "auth_method_accessors": ["nope"]}, 400),
        POST(RULE, {"mfa_method_ids": ["${method}"], "identity_group_ids": ["nope"]}, 400),
        POST(RULE, {"mfa_method_ids": ["${method}"], "identity_entity_ids": ["nope"]}, 400),
        ENFORCE,
        GET(RULE),
        DELETE(METHOD + "/${method}", 500, differs=NO_5XX),
        POST(RULE, {"mfa_method_ids": ["${method}"], "identity_entity_ids": ["${entity}"]}, 204),
        GET(RULE),
        *END,
        DELETE(RULE, 204),
    )


def test_keys_are_made_once(pair):
    key = {"method_id": "${method}", "entity_id": "${entity}"}
    pair.run(
        MAKE,
        *PERSON,
        POST(f"{METHOD}/admin-generate", {}, 400),
        POST(f"{METHOD}/admin-generate", {"method_id": "x", "entity_id": "${entity}"}, 400),
        POST(f"{METHOD}/admin-generate", {"method_id": "${method}", "entity_id": "x"}, 400),
        POST(f"{METHOD}/generate", {"method_id": "${method}"}, 400),
        POST(f"{METHOD}/admin-generate", key, ignore=("data.url", "data.barcode")),
        POST(f"{METHOD}/admin-generate", key),
        POST(f"{METHOD}/admin-destroy", key, 204),
        POST(f"{METHOD}/admin-destroy", key, 204),
        POST(f"{METHOD}/admin-generate", key, ignore=("data.url", "data.barcode")),
        DELETE(METHOD + "/${method}", 204),
    )


def test_a_login_waits_for_its_code(pair):
    pair.run(
        MAKE,
        *PERSON,
        ENROL,
        ENFORCE,
        BEGIN,
        POST("sys/mfa/validate", {}, 400, token=None, differs=NO_LOGIN),
        POST("sys/mfa/validate", {"mfa_request_id": "x"}, 400, token=None, differs=NO_LOGIN),
        show("123456", 400, wait="x", differs=NO_LOGIN),
        POST("sys/mfa/validate", {"mfa_request_id": "${wait}", "mfa_payload": {}}, 403, token=None),
        POST("sys/mfa/validate", {"mfa_request_id": "${wait}", "mfa_payload": {"x": ["1"]}}, 403, token=None),
        Compute("wrong", wrong),
        show("${wrong}", 403),
        Compute("code", code),
        show("${code}", save={"t": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${t}"),
        show("${code}", 400, differs=NO_LOGIN),
        BEGIN,
        show("${code}", 403),
        *END,
    )


def test_a_code_in_the_header_completes_the_login(pair):
    def log_in(header, status):
        return POST(
            "auth/${m}/login/ann", {"password": "p"}, status, token=None, headers={"X-Vault-MFA": header}
        )

    pair.run(
        MAKE,
        *PERSON,
        ENROL,
        ENFORCE,
        Compute("wrong", wrong),
        Compute("code", code),
        log_in("${method}:${wrong}", 403),
        log_in("${method}", 403),
        log_in("${m}:${code}", 200),
        log_in("${method}:${code}", 403),
        *END,
    )
