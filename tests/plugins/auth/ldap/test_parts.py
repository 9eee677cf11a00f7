"""Encodings and names, without a directory."""

import pytest
from broker_plugins.auth.ldap import ber, filters, names
from broker_plugins.auth.ldap.sids import sid_text
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def equality(attribute, value):
    return ber.tlv(0xA3, ber.octets(attribute), ber.octets(value))


@given(TEXT)
@settings(max_examples=100)
def test_a_name_stays_a_value_whatever_it_holds(name):
    text = filters.rendered("({{.UserAttr}}={{.Username}})", {"UserAttr": "uid", "Username": name})
    assert filters.encoded(text) == equality("uid", name)


@given(TEXT)
@settings(max_examples=100)
def test_a_name_stays_one_value_of_a_distinguished_name(name):
    dn = f"uid={names.escaped(name)},ou=people,dc=example"
    if name.strip():
        assert names.parsed(dn) == [("uid", name), ("ou", "people"), ("dc", "example")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("*)(uid=*", r"\2a\29\28uid=\2a"),
        ("a\x00b", r"a\00b"),
        ("back\\slash", r"back\5cslash"),
        ("Zoë", "Zoë"),
    ],
)
def test_what_has_a_meaning_in_filters_is_escaped(text, value):
    assert filters.escaped(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('James "Jim" Smith, III', 'James \\"Jim\\" Smith\\, III'),
        (" leading", "\\ leading"),
        ("trailing ", "trailing\\ "),
        ("#hash", "\\#hash"),
        ("a\rb", "a\\0db"),
        ("a\x00b", "a\\00b"),
        ("bob,ou=admins", "bob\\,ou\\=admins"),
        ("a+b;c<d>e\\f", "a\\+b\\;c\\<d\\>e\\\\f"),
    ],
)
def test_what_has_a_meaning_in_distinguished_names_is_escaped(text, value):
    assert names.escaped(text) == value


@pytest.mark.parametrize(
    ("text", "hexadecimal"),
    [
        ("(cn=Babs Jensen)", "a3110402636e040b42616273204a656e73656e"),
        ("(!(cn=x))", "a209a3070402636e040178"),
        ("(&(a=1)(|(b=2)(c=3)))", "a01aa306040161040131a110a306040162040132a306040163040133"),
        ("(objectClass=*)", "870b6f626a656374436c617373"),
        ("(cn=a*b*c)", "a40f0402636e3009800161810162820163"),
        ("(cn=*x)", "a4090402636e3003820178"),
        ("(n>=5)", "a50604016e040135"),
        ("(n<=5)", "a60604016e040135"),
        ("(n~=5)", "a80604016e040135"),
        (
            "(member:1.2.840.113556.1.4.1941:=x)",
            "a9248117312e322e3834302e3131333535362e312e342e3139343182066d656d626572830178",
        ),
        ("(cn:dn:2.4.6.8:=x)", "a9138107322e342e362e388202636e8301788401ff"),
        ("(:1.2.3:=x)", "a90a8105312e322e33830178"),
        (r"(cn=\2a\00)", "a3080402636e04022a00"),
        ("(&)", "a000"),
    ],
)
def test_filters_are_encoded_as_the_standard_says(text, hexadecimal):
    assert filters.encoded(text).hex() == hexadecimal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cn=x",
        "(cn=x",
        "(cn=x))",
        "((cn=x))",
        "(cn)",
        "(=x)",
        "(cn=x)(cn=y)",
        "(!(a=b)(c=d))",
        "(!)",
        r"(cn=\zz)",
        r"(cn=\2)",
        "(c n=x)",
        "(:=x)",
        "(" * 4000,
        "(!" * 4000,
        "(&(a=b)c=d)",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(text):
    with pytest.raises(filters.BadFilter):
        filters.encoded(text)


@pytest.mark.parametrize("template", ["{{", "{{.Nope}}", "{{printf}}", "({{if .Username}}a=b{{end}})", "}}"])
def test_a_template_with_more_than_names_is_refused(template):
    with pytest.raises(filters.BadFilter):
        filters.rendered(template, {"Username": "x"})


@given(st.text(max_size=60))
@settings(max_examples=100)
def test_any_text_is_read_as_a_filter_or_refused(text):
    for wrapped in (text, f"({text})", f"(cn={text})"):
        try:
            filters.encoded(wrapped)
        except filters.BadFilter:
            continue


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_any_bytes_are_read_or_refused(data):
    try:
        size = ber.first_message(data)
        reader = ber.Reader(data[:size])
        while reader.more:
            reader.skip()
    except ber.Malformed:
        pass


@given(st.integers(-(2**40), 2**40))
@settings(max_examples=50)
def test_numbers_come_back(number):
    assert ber.Reader(ber.integer(number)).number() == number


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_lengths_come_back(data):
    message = ber.tlv(ber.SEQUENCE, ber.octets(data))
    assert ber.first_message(message + b"more") == len(message)
    assert all(ber.first_message(message[:cut]) is None for cut in range(1, min(len(message), 6)))
    assert ber.Reader(message).inside(ber.SEQUENCE).take(ber.OCTETS) == data


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1", b"\x30\x80", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x84\x7f\xff\xff\xff"]
)
def test_a_message_that_is_none_or_without_measure_is_refused(data):
    with pytest.raises(ber.Malformed):
        ber.first_message(data)


@pytest.mark.parametrize(
    "spelling",
    ["bob", "BOB", " bob ", "b\u00adob", "bob\u200b", "\uff42ob", "bo\x00b", "\ufeffbob", "bob\t"],
)
def test_spellings_that_a_directory_holds_to_be_the_same_are_one(spelling):
    assert names.canonical(spelling) == names.folded(spelling) == "bob"


def test_case_is_kept_where_it_counts_but_not_for_failures():
    assert names.canonical(" Bob  Smith", keep_case=True) == "Bob Smith"
    assert names.folded("Straße") == names.folded("STRASSE")


@pytest.mark.parametrize(
    ("text", "exact", "name"),
    [
        ("cn=admins,ou=groups,dc=x", False, "admins"),
        ("CN=Admins,OU=groups", True, "Admins"),
        ("cn=Admins,OU=groups", True, "cn=Admins,OU=groups"),
        ("uid=a+cn=b,dc=x", False, "b"),
        ("cn=a\\,b,dc=x", False, "a,b"),
        ("cn=Zo\\c3\\ab,dc=x", False, "Zoë"),
        ("admins", False, "admins"),
        ("ou=x", False, "ou=x"),
    ],
)
def test_the_name_of_a_group_is_found_in_its_distinguished_name(text, exact, name):
    assert names.group_name(text, exact_case=exact) == name


def test_security_identifiers_read_as_microsoft_writes_them():
    raw = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
    assert sid_text(raw) == "S-1-5-21-2127521184-1604012920-1887927527-72713"
    for bad in (b"", raw[:-1], raw + b"\0"):
        with pytest.raises(ValueError, match="security identifier"):
            sid_text(bad)
