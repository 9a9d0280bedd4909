"""Rules of extraction: those shipped, those of ca.toml, and what is wrong with others."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.pki.extraction import DEFAULT, PRESETS, Rules, Source, parse_rules

DEVICE = DeviceId(0x0001, 0x6040C8F2)
MAC = Mac(0x0000BC123456)

OWN = {
    "name": "acme drives",
    "selector": "subject:serialNumber",
    "pattern": "(?P<serial>[0-9]{1,10})",
    "base": "dec",
    "vendor": "0001",
}


def _parse(toml: str) -> Rules:
    return parse_rules(tomllib.loads(toml)["identity"])


def test_without_tables_the_defaults_apply() -> None:
    """The very same: readings by them are made once."""
    assert parse_rules(None) is DEFAULT


def test_tables_are_rules_in_their_order() -> None:
    """The example of the manual."""
    rules = _parse("""
        [[identity]]
        name = "acme drives"
        source = "certificate"
        selector = "subject:serialNumber"
        pattern = "(?P<serial>[0-9]+)"
        base = "dec"
        vendor = "0001"

        [[identity]]
        preset = "canonical-cn"

        [[identity]]
        name = "opener"
        preset = "decimal-serialnumber"
        vendor = "0x2A"
        source = "csr"
    """)
    own, preset, named = rules
    assert (own.name, own.source, str(own.place)) == (
        "acme drives",
        Source.CERTIFICATE,
        "subject:serialNumber",
    )
    assert (own.base, own.vendor, own.verified) == (10, 1, True)
    assert (preset.name, preset.source, preset.verified) == ("canonical-cn", Source.ANY, False)
    assert (named.name, named.source, named.vendor) == ("opener", Source.CSR, 42)
    assert own.find("1614858482") == Identity(DEVICE)
    assert named.find("5") == Identity(DeviceId(42, 5))


def test_the_defaults_can_stand_beside_other_rules() -> None:
    """As one preset for all of them."""
    rules = parse_rules([OWN, {"preset": "default"}])
    assert rules[1:] == DEFAULT


def test_nobody_answers_for_a_preset() -> None:
    """None has been compared with a vendor's certificate."""
    assert tuple(PRESETS.values())[: len(DEFAULT)] == DEFAULT
    assert not any(rule.verified for rule in PRESETS.values())


_FINDS = {
    "canonical-serialnumber": ("0001:6040C8F2", Identity(DEVICE)),
    "mac-serialnumber": ("00-00-bc-12-34-56", Identity(mac=MAC)),
    "canonical-cn": ("0001:6040c8f2", Identity(DEVICE)),
    "mac-cn": ("00:00:BC:12:34:56", Identity(mac=MAC)),
    "mac-attribute": ("0000.bc12.3456", Identity(mac=MAC)),
    "prefixed-serialnumber": ("0x0001:0x6040C8F2", Identity(DEVICE)),
    "prefixed-cn": ("0x1-0x6040c8f2", Identity(DEVICE)),
    "decimal-serialnumber": ("1614858482", Identity(DEVICE)),
    "hex-serialnumber": ("0x6040C8F2", Identity(DEVICE)),
    "canonical-hardwaremodule": ("0001:6040C8F2", Identity(DEVICE)),
    "mac-hardwaremodule": ("00:00:bc:12:34:56", Identity(mac=MAC)),
    "decimal-hardwaremodule": ("1614858482", Identity(DEVICE)),
    "hex-hardwaremodule": ("0x6040c8f2", Identity(DEVICE)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_finds_its_form(name: str) -> None:
    """All of a value or nothing, with a Vendor ID to be given where the form has none."""
    vendor = {"vendor": "1"} if PRESETS[name].needs_vendor else {}
    (rule,) = parse_rules([{"preset": name, **vendor}])
    text, identity = _FINDS[name]
    assert rule.find(text) == identity
    assert rule.find(f" {text}\n") == identity
    assert rule.find(f"x{text}") is rule.find(f"{text[:3]} {text[3:]}") is None


@pytest.mark.parametrize(
    ("base", "serial", "found"),
    [
        ("hex", "12345678", 0x12345678),
        ("dec", "12345678", 12345678),
        ("hex", "0x1A", 0x1A),
        ("dec", "0x1A", None),
        ("dec", "1A", None),
        ("dec", "0000000007", 7),
        ("dec", "4294967295", 0xFFFFFFFF),
        ("dec", "4294967296", None),
        ("hex", "100000000", None),
        ("dec", "0", None),
        ("hex", "0x0", None),
        ("hex", "0x", None),
        ("dec", " 7\n", 7),
        ("dec", "1 7", None),
        ("dec", "\u00a07", 7),
        ("dec", "+7", None),
        ("dec", "-7", None),
        ("dec", "1_0", None),
        ("dec", "٧", None),
        ("dec", "²", None),
        ("dec", "1.23E+08", None),
        ("hex", "", None),
        ("dec", "9" * 250, None),
        ("dec", "7\x00", None),
        ("dec", "7\u202e", None),
    ],
)
def test_a_number_is_read_in_the_base_given(base: str, serial: str, found: int | None) -> None:
    """Nothing is guessed; zero means not set; what only int() takes is no number."""
    (rule,) = parse_rules([OWN | {"pattern": "(?s)(?P<serial>.*)", "base": base}])
    assert rule.find(serial) == (None if found is None else Identity(DeviceId(1, found)))


def test_white_space_hides_no_device() -> None:
    """Names that differ in white space alone are the same to those who compare them (RFC 5280)."""
    (rule,) = parse_rules([OWN | {"pattern": "Drive [0-9] no (?P<serial>[0-9]{1,10})"}])
    device = Identity(DeviceId(1, 7))
    for text in ("Drive 4 no 7", "  Drive\t4   no 7 ", "Drive\u2003 4 no\r\n7"):
        assert rule.find(text) == device
    for text in ("Drive4 no 7", "Dri ve 4 no 7", "Drive 4 no\u200b 7", "Drive 4 no\0 7"):
        assert rule.find(text) is None


def test_white_space_does_not_count_towards_the_length() -> None:
    """What is matched has an end all the same: of what is left."""
    (rule,) = parse_rules([OWN | {"pattern": "[a-z]{0,300}(?P<serial>[0-9]{1,2})"}])
    assert rule.find(" " * 10_000 + "a" * 254 + "17\n") == Identity(DeviceId(1, 17))
    assert rule.find("a" * 255 + "17") is None


def test_a_pattern_may_name_device_and_mac_address() -> None:
    """Also with a part left out, and with a Vendor ID of its own."""
    pattern = r"(?P<vendor>[0-9A-F]{4})/(?P<serial>[0-9A-F]{8})(?:/(?P<mac>[0-9a-f]{12}))?"
    table = {k: v for k, v in OWN.items() if k != "vendor"} | {"pattern": pattern, "base": "hex"}
    (rule,) = parse_rules([table])
    assert rule.find("0001/6040C8F2/0000bc123456") == Identity(DEVICE, MAC)
    assert rule.find("0001/6040C8F2") == Identity(DEVICE)
    assert rule.find("0000/6040C8F2/0000bc123456") == Identity(mac=MAC)
    assert rule.find("0000/6040C8F2/ffffffffffff") is None


def _without(key: str) -> dict[str, str]:
    return {k: v for k, v in OWN.items() if k != key}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "identity is no list of [[identity]] tables"),
        ({}, "identity is no list of [[identity]] tables"),
        ([1], "identity 1 is not a table"),
        ([OWN, OWN], "two [[identity]] tables are named 'acme drives'"),
        ([_without("name")], "identity 1: name is missing"),
        ([_without("selector")], "identity 1 (acme drives): selector is missing"),
        ([_without("pattern")], "identity 1 (acme drives): pattern is missing"),
        ([OWN, {"name": "b"}], "identity 2 (b): selector is missing"),
        ([OWN | {"patern": "x"}], "identity 1 (acme drives): 'patern' is not known"),
        ([OWN | {"vendor": 1}], "identity 1 (acme drives): vendor is not a text"),
        ([OWN | {"name": " "}], "identity 1 ( ): name is not a text"),
        ([OWN | {"source": "tls"}], '…: source must be "certificate", "csr" or "any"'),
        ([OWN | {"selector": "dn:CN"}], "…: selector: 'dn:CN' is not a place to look"),
        ([OWN | {"pattern": "("}], "…: pattern: this is not a regular expression: missing ), "),
        ([OWN | {"pattern": "(?P<serial>(a+)+)"}], "…: pattern: some texts would take too long"),
        ([OWN | {"pattern": "[0-9]+"}], "…: pattern: it has no group serial and no group mac"),
        ([OWN | {"pattern": "(?P<vendor>.)"}], "…: pattern: it has no group serial and no group"),
        ([OWN | {"pattern": "(?P<vendor>.)(?P<mac>.)"}], "…: pattern: it has no group serial"),
        ([OWN | {"pattern": "(?P<serail>.)"}], "…: pattern: the group 'serail' is not known"),
        ([_without("base")], '…: base must be "hex" or "dec"'),
        ([OWN | {"base": "oct"}], '…: base must be "hex" or "dec"'),
        ([_without("vendor")], "…: vendor is missing: the pattern has none"),
        ([OWN | {"vendor": "0"}], "…: vendor: '0' is not a Vendor ID, 1 to FFFF"),
        ([OWN | {"vendor": "10000"}], "…: vendor: '10000' is not a Vendor ID, 1 to FFFF"),
        (
            [OWN | {"pattern": "(?P<vendor>.)(?P<serial>.)"}],
            "…: vendor: the pattern names one itself, or no device at all",
        ),
        ([OWN | {"pattern": "(?P<mac>.*)"}], "…: base: the pattern has no group serial"),
        ([{"preset": "acme"}], "identity 1 (acme): preset: 'acme' is not known"),
        ([{"preset": ["a"]}], "identity 1: preset is not a text"),
        (
            [{"preset": "mac-cn", "base": "dec"}],
            "identity 1 (mac-cn): 'base' is not known beside preset",
        ),
        (
            [{"preset": "decimal-serialnumber"}],
            "identity 1 (decimal-serialnumber): vendor is missing",
        ),
        ([{"preset": "mac-cn", "vendor": "1"}], "identity 1 (mac-cn): vendor: the pattern names"),
        ([{"preset": "default", "source": "csr"}], "identity 1 (default): preset default stands"),
        (
            [{"preset": "default"}, {"preset": "mac-cn"}],
            "two [[identity]] tables are named 'mac-cn'",
        ),
    ],
    ids=range(33),
)
def test_wrong_tables_are_refused_by_number_and_key(tables: object, message: str) -> None:
    """As an operator can find it in the file."""
    with pytest.raises(Malformed) as refused:
        parse_rules(tables)
    assert refused.value.message.startswith(message.replace("…", "identity 1 (acme drives)"))


_VALUES = st.one_of(st.text(max_size=12), st.integers(), st.none(), st.lists(st.text(), max_size=2))
_TABLES = st.dictionaries(
    st.sampled_from([*OWN, "source", "preset", "other"]),
    st.one_of(_VALUES, st.sampled_from([*OWN.values(), *PRESETS, "csr", "directory:mac"])),
    max_size=6,
)


@given(st.one_of(_VALUES, st.lists(st.one_of(_TABLES, _VALUES), max_size=3)))
def test_any_tables_are_rules_or_malformed(tables: object) -> None:
    """Whatever TOML can say."""
    try:
        rules = parse_rules(tables)
    except Malformed:
        return
    assert rules
    assert not any(rule.needs_vendor for rule in rules)
