"""What only our own server has: shares as words, groups of custodians, encrypted shares, explanations."""

import re
import stat

import pytest

GROUPS = ["-secret-groups=security:2/3,board:1/1", "-group-threshold=2"]


def hand_over(terminal) -> str:
    """Play one custodian: read the words, prove to have them, and return them."""
    terminal.expect("press Enter to see your share")
    terminal.type("\n")
    shown = terminal.expect("Write it down")
    words = [
        word
        for _, word in sorted(
            (int(n), w) for n, w in re.findall(r"(\d+) ([a-z]+)", shown.partition("\n\n")[2])
        )
    ]
    terminal.expect("it disappears")
    terminal.type("\n")
    for _ in range(2):
        terminal.expect("Word ")
        place = int(terminal.expect(":").rstrip(":"))
        terminal.type(words[place - 1][:4] + "\n")
    return " ".join(words)


def test_a_ceremony_with_groups_hands_out_words_that_unseal_by_their_first_letters(own):
    with own.terminal("operator", "ceremony", "init", *GROUPS, "-cards=cards") as room:
        room.expect("security: 2 of 3")
        room.expect("Press Enter to make the keys")
        room.type("\n")
        shares = [hand_over(room) for _ in range(4)]
        room.expect("Press Enter to see it")
        room.type("\n")
        room.expect("Initial Root Token:")
        room.expect("it disappears")
        room.type("\n")
        room.expect("4 shares handed out")
        assert room.end() == 0
    assert all(len(share.split()) == 33 for share in shares)
    cards = sorted((own.home / "cards").iterdir())
    assert [card.name for card in cards][-1] == "custodian-04-board.html"
    for card, share in zip(cards, shares, strict=True):
        assert stat.S_IMODE(card.stat().st_mode) == 0o600
        assert re.findall(r"<li>(\w+)</li>", card.read_text()) == share.split()
    with own.terminal("operator", "ceremony", "unseal") as room:
        for share in (shares[0], shares[3], shares[2]):
            room.expect("then type your share")
            room.type("\n")
            room.expect("Unseal Key")
            room.type("".join(word[:4] + " " for word in share.split()) + "\r")
        room.expect("Unsealed.")
        assert room.end() == 0
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", room.screen)
        assert re.search(r"security +\[#+\.+\] 1/2", shown)
        assert not any(share in shown for share in shares)


def test_unsealing_tells_which_group_is_missing(own):
    made = own.broker("operator", "init", *GROUPS, "-format=json").json
    for share in made["unseal_keys_mnemonic"][:2]:
        told = own.broker("operator", "unseal", "-", stdin=share)
    for seen in (told.out, own.broker("status").out):
        assert re.search(r"^Unseal Progress +1/2 groups$", seen, re.MULTILINE)
        assert re.search(r"^ +security +2/2$", seen, re.MULTILINE)
        assert re.search(r"^ +board +0/1$", seen, re.MULTILINE)
        assert re.search(r"^Missing +board \(1 share\)$", seen, re.MULTILINE)
    opened = own.broker("operator", "unseal", "-", stdin=made["unseal_keys_mnemonic"][3])
    assert re.search(r"^Sealed +false$", opened.out, re.MULTILINE)


def test_a_wrong_share_costs_the_ceremony_nothing(own):
    keys = own.broker("operator", "init", "-n=2", "-t=2", "-format=json").json["unseal_keys_mnemonic"]
    with own.terminal("operator", "ceremony") as room:
        for share, answer in [
            (keys[0], "Taken"),
            (keys[0], "NOT taken: "),
            (keys[1], "Unsealed."),
        ]:
            room.expect("then type your share")
            room.type("\n")
            room.expect("Unseal Key")
            room.type(share + "\r")
            room.expect(answer)
        assert room.end() == 0


def test_an_interrupted_hand_over_goes_on_and_loses_no_share(own):
    with own.terminal("operator", "ceremony", "init", "-n=2", "-t=2") as room:
        room.expect("Press Enter to make the keys")
        room.type("\n")
        room.expect("press Enter to see your share")
        room.type("\x03")
        room.expect("2 shares have not been handed out")
        room.type("\n")
        shares = [hand_over(room) for _ in range(2)]
        assert len(set(shares)) == 2
        room.expect("Press Enter to see it")
        room.type("\n")
        room.expect("it disappears")
        room.type("\n")
        assert room.end() == 0


def test_a_custodian_who_has_it_wrong_sees_the_share_again(own):
    with own.terminal("operator", "ceremony", "init", "-n=1", "-t=1") as room:
        room.expect("Press Enter to make the keys")
        room.type("\n")
        room.expect("press Enter to see your share")
        room.type("\n")
        room.expect("it disappears")
        room.type("\n")
        for _ in range(2):
            room.expect("Word ")
            room.type("wrong\n")
        room.expect("That is not right; look again.")
        room.expect("Press Enter")  # what is typed before the question is thrown away
        room.type("\n")
        room.expect("Write it down")


def test_shares_encrypted_to_custodians_open_with_their_keys_only(own):
    publics = [own.broker("operator", "keygen", name).out.strip() for name in ("alice.key", "bob.key")]
    (own.home / "bob.pub").write_text(publics[1] + "\n")
    made = own.broker(
        "operator", "init", "-n=2", "-t=2", f"-custodian-keys={publics[0]},bob.pub", "-format=json"
    ).json
    assert made["unseal_keys_mnemonic"] == []
    for name, blob in zip(("alice.key", "bob.key"), made["unseal_keys_b64"], strict=True):
        opened = own.broker("operator", "decrypt-share", f"-key={name}", "-", stdin=blob)
        assert len(opened.out.split()) == 33
        step = own.broker("operator", "unseal", "-", "-format=json", stdin=opened.out)
        assert step.code == 0
    assert not step.json["sealed"]


@pytest.fixture
def opened(own):
    """Our own server, unsealed, with its root token and its shares as words."""
    made = own.broker("operator", "init", "-n=3", "-t=2", "-format=json").json
    own.token, own.keys = made["root_token"], made["unseal_keys_mnemonic"]
    for key in own.keys[:2]:
        assert own.broker("operator", "unseal", "-", stdin=key).code == 0
    return own


def test_rekey_with_verification_keeps_the_old_shares_until_the_new_are_back(opened):
    words = ["operator", "rekey", "-format=json"]
    nonce = opened.broker(*words, "-init", "-verify", "-n=2", "-t=2").json["nonce"]
    for key in opened.keys[:2]:
        step = opened.broker(*words, f"-nonce={nonce}", "-", stdin=key)
    fresh, check = step.json["keys_mnemonic"], step.json["verification_nonce"]
    status = opened.broker(*words, "-status").json
    assert status["verification_required"]
    for key in fresh:
        step = opened.broker(*words, "-verify", f"-nonce={check}", "-", stdin=key)
        assert step.code == 0, step.err
    assert step.json["complete"]
    opened.broker("operator", "seal")
    assert opened.broker("operator", "unseal", "-", stdin=opened.keys[0]).code == 2
    for key in fresh:
        last = opened.broker("operator", "unseal", "-", "-format=json", stdin=key)
    assert not last.json["sealed"]


def test_generate_root_asks_a_person_for_share_and_otp(opened):
    started = opened.broker("operator", "generate-root", "-init", "-format=json").json
    for key in opened.keys[:2]:
        with opened.terminal("operator", "generate-root", "-format=json") as terminal:
            terminal.expect(f"Operation nonce: {started['nonce']}")
            terminal.expect("Unseal Key")
            terminal.type(key + "\r")
            terminal.expect('"complete"')
            shown = terminal.expect("\n}")
            assert terminal.end() == 0
            assert key not in terminal.screen
    encoded = re.search(r'"encoded_token": "([^"]+)"', shown + terminal.screen)[1]
    with opened.terminal("operator", "generate-root", f"-decode={encoded}") as terminal:
        terminal.expect("OTP (will be hidden):")
        terminal.type(started["otp"] + "\n")
        assert terminal.end() == 0
        assert started["otp"] not in terminal.screen
    token = re.search(r"hvs\.\w{24}", terminal.screen)[0]
    assert opened.broker("token", "lookup", "-field=policies", "-format=json", BROKER_TOKEN=token).json == [
        "root"
    ]


def test_a_denial_is_explained_with_the_rule_that_would_allow_it(opened):
    (opened.home / "p.hcl").write_text('path "secret/app" { capabilities = ["read"] }')
    assert opened.broker("secrets", "enable", "-path=secret", "-version=2", "kv").code == 0
    assert opened.broker("policy", "write", "app", "p.hcl").code == 0
    done = opened.broker("policy", "explain", "-policy=app", "read", "secret/data/app")
    assert done.code == 0, done.err
    assert done.out.startswith("DENIED  read secret/data/app")
    assert 'path "secret/data/app"' in done.out


def test_what_dies_with_a_token_is_listed_in_a_table_and_as_json(opened):
    parent = opened.broker("token", "create", "-ttl=1h", "-field=token").out.strip()
    children = [
        opened.broker("token", "create", "-ttl=1h", "-field=token_accessor", BROKER_TOKEN=parent).out.strip()
        for _ in range(2)
    ]
    table = opened.broker("token", "dies-with", BROKER_TOKEN=parent)
    assert table.code == 0, table.err
    assert all(accessor in table.out for accessor in children)
    first = opened.broker("token", "dies-with", "-format=json", "-limit=1", BROKER_TOKEN=parent).json["data"]
    rest = opened.broker("token", "dies-with", "-limit=1", f"-after={first['next']}", BROKER_TOKEN=parent)
    assert [accessor in rest.out for accessor in children].count(True) == 1
    assert first["tokens"][0]["accessor"] not in rest.out
    none = opened.broker("token", "dies-with", "-accessor", children[0])
    assert none.out.strip() == "Nothing dies with it."


def test_the_audit_file_of_a_server_verifies_until_a_line_is_gone(opened):
    log = opened.home / "audit.log"
    assert "main/" in opened.broker("audit", "list").out
    opened.broker("token", "lookup")
    opened.broker("token", "lookup")
    verified = opened.broker("audit", "verify", "audit.log")
    assert verified.code == 0 and "Intact: " not in verified.out  # it runs
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:1] + lines[2:]))
    broken = opened.broker("audit", "verify", "-format=json", "audit.log")
    assert broken.code == 1
    assert not broken.json["intact"]
    assert broken.json["problems"][0]["line"] <= 3
    assert "NOT INTACT" in opened.broker("audit", "verify", "audit.log").out
