import base64
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.barrier import custodians
from broker.barrier.generate_root import TOKEN_LENGTH, GenerateRoot, decode_token, encode_token, new_otp
from broker.barrier.issue import ShareRequest, issue
from broker.barrier.shares import Group, Share, combine
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

SECRET = Secret(bytes(range(32)))


def test_only_the_custodian_reads_what_was_encrypted_for_him():
    private, public = custodians.keygen()
    blob = custodians.encrypt_for(public, "academic acid")
    assert custodians.decrypt(private, blob).reveal() == "academic acid"
    with pytest.raises(InvalidRequest, match="does not open"):
        custodians.decrypt(custodians.keygen()[0], blob)
    with pytest.raises(InvalidRequest, match="does not open"):
        custodians.decrypt(private, blob[:-1] + bytes([blob[-1] ^ 1]))


@pytest.mark.parametrize(
    "key", ["", "x", "aaaa", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(32)).decode()]
)
def test_a_bad_custodian_key_is_refused(key):
    with pytest.raises(InvalidRequest, match="custodian key"):
        custodians.encrypt_for(key, "x")


@pytest.mark.parametrize(
    "point", ["01" + "00" * 31, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"]
)
def test_a_key_of_low_order_would_encrypt_to_everybody_and_is_refused(point):
    with pytest.raises(InvalidRequest, match="usable"):
        custodians.check_public_key(base64.b64encode(bytes.fromhex(point)).decode())


def test_a_private_key_shows_only_its_mask():
    assert repr(custodians.keygen()[0]) == "<secret>"


def test_a_pgp_message_opens_with_the_private_key(pgp_key, pgp_decrypt):
    message = custodians.pgp_encrypt(pgp_key, "abc123")
    assert pgp_decrypt(custodians.to_base64(message)) == "abc123"


def test_an_armoured_pgp_key_is_the_same_key(pgp_key, pgp_pair):
    armoured = str(pgp_pair.pubkey)
    expected = str(pgp_pair.fingerprint).lower()
    assert custodians.pgp_fingerprint(pgp_key) == custodians.pgp_fingerprint(armoured) == expected


@pytest.mark.parametrize("key", ["", "x", "!!!!", "aaaa", "a" * 400, "A" * 200_000])
def test_a_bad_pgp_key_is_refused(key):
    with pytest.raises(InvalidRequest, match="given PGP key"):
        custodians.pgp_fingerprint(key)


def test_a_private_pgp_key_is_refused_before_it_is_stored_anywhere(pgp_pair):
    with pytest.raises(InvalidRequest, match="given PGP key"):
        custodians.pgp_fingerprint(base64.b64encode(bytes(pgp_pair)).decode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_pgp_key_is_refused_or_works_and_never_an_internal_error(pgp_key, data):
    raw = bytearray(base64.b64decode(pgp_key))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidRequest):
        custodians.check_pgp_key(base64.b64encode(raw[: data.draw(st.integers(0, len(raw)))]).decode())


def test_a_pgp_key_that_may_only_sign_is_refused_before_the_ceremony(signing_pgp_key):
    with pytest.raises(InvalidRequest, match="no key in it may encrypt"):
        ShareRequest.of(1, 1, pgp_keys=[signing_pgp_key]).checked()
    with pytest.raises(InvalidRequest, match="error parsing PGP key"):
        GenerateRoot.start(pgp_key=signing_pgp_key, random=os.urandom)


def test_pgpy_neither_warns_nor_loads_until_it_is_needed():
    """A server whose custodians use no PGP never imports it; one that does sees none of its warnings."""
    program = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from broker.barrier import custodians, ceremonies\n"
        "assert 'pgpy' not in sys.modules\n"
        "try: custodians.pgp_fingerprint('aaaa')\n"
        "except Exception as e: assert 'PGP key' in str(e), e\n"
        "assert 'pgpy' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_shares_for_custodians_are_nowhere_in_clear():
    pairs = [custodians.keygen() for _ in range(3)]
    request = ShareRequest((Group(2, 3),), custodian_keys=tuple(public for _, public in pairs)).checked()
    _, issued = issue(SECRET, request, os.urandom)
    assert "keys_mnemonic" not in issued.answer()
    shares = [
        Share.parse(custodians.decrypt(p, k).reveal()) for (p, _), k in zip(pairs, issued.keys, strict=True)
    ]
    assert combine(shares[:2]) == SECRET.reveal()
    assert not any(share.packed in key for share in shares for key in issued.keys)


def test_shares_for_pgp_keys_are_hex_inside_as_vaults_are(pgp_key, pgp_pair, pgp_decrypt):
    request = ShareRequest.of(2, 2, pgp_keys=[pgp_key] * 2).checked()
    _, issued = issue(SECRET, request, os.urandom)
    answer = issued.answer()
    assert [base64.b64decode(key).hex() for key in answer["keys_base64"]] == answer["keys"]
    assert combine([Share.parse(pgp_decrypt(key)) for key in answer["keys_base64"]]) == SECRET.reveal()
    assert issued.fingerprints == (str(pgp_pair.fingerprint).lower(),) * 2


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (ShareRequest.of(5, 3, pgp_keys=["a"]), "count mismatch between number of provided PGP keys"),
        (ShareRequest.of(1, 1, pgp_keys=["a"]), "error decoding given PGP key: illegal base64 data"),
        (ShareRequest((Group(2, 3),), custodian_keys=("a",)), "number of provided custodian keys"),
        (ShareRequest((Group(1, 1),), pgp_keys=("a",), custodian_keys=("a",)), "not both"),
        (ShareRequest((Group(2, 3),), backup=True), "cannot request a backup"),
    ],
)
def test_a_request_for_shares_is_checked_before_anything_is_made(request_, text):
    with pytest.raises(InvalidRequest, match=text):
        request_.checked()


def test_groups_are_named_beside_their_keys():
    request = ShareRequest((Group(2, 3, "security"), Group(1, 1, "board")), 2)
    _, issued = issue(SECRET, request, os.urandom)
    assert issued.answer()["keys_group"] == ["security", "security", "security", "board"]
    assert "keys_group" not in issue(SECRET, ShareRequest.of(3, 2), os.urandom)[1].answer()
    assert repr(issued) == "<4 issued shares>"


def test_a_token_comes_back_with_its_password_only():
    token = "hvs." + "a1B2" * 6
    otp = new_otp(os.urandom)
    encoded = encode_token(token, otp)
    assert "=" not in encoded
    assert decode_token(encoded, otp).reveal() == token
    assert len(otp) == len(token) == TOKEN_LENGTH
    for wrong in (otp[:-1], "", otp + "x"):
        with pytest.raises(InvalidRequest):
            decode_token(encoded, wrong)
    with pytest.raises(InvalidRequest):
        decode_token("!" + encoded[1:], otp)


def test_every_character_of_a_password_is_equally_likely():
    """256 is no multiple of 62: bytes that would favour some characters are dropped, not folded."""
    every_byte = iter(bytes(range(256)) * 28)
    drawn = "".join(new_otp(lambda n: bytes(next(every_byte) for _ in range(n))) for _ in range(100))
    assert len(set(drawn)) == 62
    assert new_otp(lambda n: bytes([255] * (n - 1) + [0])) == "0" * TOKEN_LENGTH
