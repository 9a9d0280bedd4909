"""Each condition: where it holds, where not, where it cannot be judged; and why, in words."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import DeviceId
from cipsec.pki.names import show_serial
from cipsec.ra.conditions.asked import Anyone, Label, Names
from cipsec.ra.conditions.held import Condition, Held, Use
from cipsec.ra.conditions.listed import Serial, use_key
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Own, Provisioning, User, Vendor
from cipsec.ra.enrollment import UserProof
from cipsec.ra.evidence import Evidence
from cipsec.ra.notyet import NotYet
from cipsec.store import uses
from tests.support import asking, ca, est, vendor
from tests.support.est import NOW, Server
from tests.support.evidence import about

DEVICE, OTHER = "0001:6040C8F2", "0001:00000009"
MAC = "00:00:bc:12:34:56"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record, folders for lists and vendors."""
    with est.serving(tmp_path_factory.mktemp("conditions")) as server:
        yield server


@pytest.fixture(scope="module")
def acme(server: Server) -> vendor.Pki:
    """A vendor who is trusted."""
    pki = vendor.make()
    vendor.install(server.folder.path / "vendors", "acme", pki.root)
    return pki


@pytest.fixture(scope="module")
def mine(server: Server) -> bytes:
    """A certificate of this CA for the device."""
    return est.der(server.record(ca.request()))


def judged(condition: Condition, found: Evidence) -> Held:
    """Judge, and wait where that is necessary, as the RA does."""

    async def judge() -> Held:
        for _ in range(8):
            try:
                return condition.judge(found)
            except NotYet as wait:
                await wait.ready()
        raise AssertionError

    return asyncio.run(judge())


def said(condition: Condition, found: Evidence) -> tuple[bool, str]:
    """Return whether it holds, and why; it could be judged."""
    held = judged(condition, found)
    assert not held.broken
    return held.holds, held.why


def some(*names: str) -> frozenset[str]:
    """Return names as conditions have them."""
    return frozenset(names)


# What whoever asks can meet.


def test_anyone(server: Server) -> None:
    """Holds."""
    assert said(Anyone(), about(server)) == (True, "holds for everyone")


@pytest.mark.parametrize(
    ("labels", "label", "holds"),
    [
        (("a", "b"), "b", True),
        (("a",), "b", False),
        (("a",), "", False),
        (("",), "", True),
        (("",), "a", False),
    ],
)
def test_label(labels: tuple[str, ...], label: str, holds: bool, server: Server) -> None:
    """The label of the path, `""` for none."""
    why = f"the request has label {label}" if label else "the request has no label"
    assert said(Label(frozenset(labels)), about(server, label=label)) == (holds, why)


@pytest.mark.parametrize(
    ("patterns", "user", "names", "holds"),
    [
        (("drive-*",), None, ("drive-7",), True),
        (("drive-*",), None, ("Drive-7", "DRIVE-8"), True),
        (("drive-?",), None, ("drive-77",), False),
        (("drive-*",), None, ("drive-7", "plc-1"), False),
        (("drive-*", "plc-*"), None, ("drive-7", "plc-1"), True),
        (("192.0.2.*", "pc"), None, ("pc", "192.0.2.7"), True),
        (("192.0.2.*", "pc"), None, ("pc", "198.51.100.7"), False),
        (("{user}-*",), "anna", ("anna-pc",), True),
        (("{user}-*",), "anna", ("berta-pc",), False),
        (("{user}-*",), "anna", ("ANNA-pc",), True),
        (("{user}",), "anna", ("{user}",), False),
        (("{user}*",), None, ("anything",), False),  # nobody logged in: no name is his
        (("{user}",), None, ("{user}",), False),
        (("{user}-*", "pc-*"), None, ("pc-7",), True),
        (("*",), None, ("line\nfeed",), False),
        (("*.plant",), None, ("safety-plc\0.plant",), False),  # where C ends the name
        (("drive",), None, ("drive\n",), False),
        (("drive",), None, ("xdrive",), False),
    ],
)
def test_names(
    patterns: tuple[str, ...],
    user: str | None,
    names: tuple[str, ...],
    holds: bool,
    server: Server,
) -> None:
    """Every name must be like one of the patterns; `{user}` is who logged in."""
    held = judged(Names(patterns), about(server, common_names(*names), user=user))
    assert held.holds is holds
    assert not held.broken


def common_names(*names: str) -> CertificateRequest:
    """Return a CSR with these common names, whatever is in them."""
    oid = NameOID.COMMON_NAME
    return ca.request(x509.Name([x509.NameAttribute(oid, n, _validate=False) for n in names]))


def test_names_in_words(server: Server) -> None:
    """The reason says which name is too many, and not what the patterns are."""
    asked = ca.request("CN=drive-7", sans=["dns:drive-7.plant", "ip:192.0.2.7"])
    admitted = Names(("drive-*", "192.0.2.*"))
    assert said(admitted, about(server, asked)) == (
        True, "the rule admits drive-7, drive-7.plant, 192.0.2.7",
    )  # fmt: skip
    assert said(Names(("drive-*",)), about(server, asked)) == (
        False, "the rule does not admit the name 192.0.2.7",
    )  # fmt: skip
    nameless = about(server, ca.request("O=Plant", sans=["uri:urn:x"]))
    assert said(Names(("*",)), nameless) == (False, "the CSR asks for no name")


# What is proved.


def test_own(server: Server, mine: bytes) -> None:
    """A certificate of this CA, and a CSR for the same names."""
    serial = about(server, chain=[mine]).presented.own
    assert said(Own(), about(server)) == (False, "no client certificate was presented")
    renewal = about(server, chain=[mine])
    assert said(Own(), renewal) == (True, f"renews certificate {serial} of this CA")
    other = about(server, ca.request(sans=["dns:x"]), chain=[mine])
    why = f"the CSR's names differ from those of certificate {serial}"
    assert said(Own(), other) == (False, why)
    at_the_end = about(server, chain=[mine], now=NOW + timedelta(days=731))
    assert said(Own(), at_the_end) == (False, f"certificate {serial} is expired")


def test_vendor(server: Server, acme: vendor.Pki) -> None:
    """A path to a trusted vendor; where the rule names some, to one of these."""
    found = about(server, chain=acme.chain)
    why = f"the client certificate was issued to device {DEVICE} by vendor acme"
    assert said(Vendor(), found) == (True, why)
    assert said(Vendor(some("acme", "bolt")), found) == (True, why)
    other = said(Vendor(some("bolt", "cog")), found)
    assert other == (False, "vendor acme is not one of the rule's")
    leaf = vendor.issue("CN=Drive", acme.issuing)
    nameless = about(server, ca.request("CN=a"), chain=[leaf.der, acme.issuing.der])
    assert said(Vendor(), nameless) == (True, "the client certificate was issued by vendor acme")
    assert said(Vendor(), about(server)) == (False, "no client certificate was presented")
    stranger = vendor.make("Stranger")
    assert not said(Vendor(), about(server, chain=stranger.chain))[0]


@pytest.mark.parametrize("subject", [f"CN=a,serialNumber={OTHER}", f"CN={MAC}", f"CN={OTHER}"])
def test_a_vendor_vouches_for_no_claim(subject: str, server: Server, acme: vendor.Pki) -> None:
    """A device that its certificate does not name, and the CSR does: only with `unproved`."""
    leaf = vendor.issue("CN=Drive", acme.issuing)
    found = about(server, ca.request(subject), chain=[leaf.der, acme.issuing.der])
    assert said(Vendor(), found) == (
        False,
        f"the vendor's certificate does not prove device {found.identity}, which the CSR names",
    )
    assert judged(Vendor(), found).telling
    assert said(Vendor(unproved=True), found)[0]


def test_a_vendor_that_cannot_be_judged(server: Server, acme: vendor.Pki) -> None:
    """A broken file is nobody's no: neither for the vendor nor for the device."""
    path = server.folder.path / "vendors" / "acme.toml"
    path.write_text("broken ???\n")
    try:
        found = about(server, chain=acme.chain)
        for condition in (Vendor(), Vendor(some("bolt")), Serial(some("line-3"))):
            held = judged(condition, found)
            assert (held.holds, held.broken) == (False, True)
            assert "acme.toml" in held.why
        assert not judged(Own(), found).broken
    finally:
        path.unlink()


PC = "CN=engineering-pc"


def test_user(server: Server) -> None:
    """A right password; where the rule names users, of one of these; never for a claimed device."""
    anna = about(server, ca.request(PC), user="anna")
    right = "user anna gave the right password"
    assert said(User(), about(server)) == (False, "no user name and password were given")
    assert said(User(some("")), about(server)) == (False, "no user name and password were given")
    assert said(User(), anna) == (True, right)
    assert said(User(some("anna", "berta")), anna) == (True, right)
    others = said(User(some("carla", "doris")), anna)
    assert others == (False, "user anna is not one of the rule's")


@pytest.mark.parametrize("subject", [f"CN=a,serialNumber={DEVICE}", f"CN={MAC}", f"CN={DEVICE}"])
def test_a_password_proves_no_device(subject: str, server: Server) -> None:
    """Nor a MAC address (VU#971035); unless the rule says so, or a certificate proves it."""
    found = about(server, ca.request(subject), user="anna")
    why = f"the password of user anna does not prove device {found.identity}"
    assert said(User(), found) == (False, why)
    assert said(User(some("anna"), unproved=True), found)[0]


def test_a_device_that_is_proved_may_log_in(server: Server, acme: vendor.Pki, mine: bytes) -> None:
    """A password beside the proof of the same device; what is claimed beyond it does not go."""
    for chain in (acme.chain, (mine,)):
        assert said(User(), about(server, chain=chain, user="anna"))[0]
        more = about(server, ca.request(f"CN={MAC}"), chain=chain, user="anna")
        assert said(User(), more) == (
            False, f"the password of user anna does not prove device {MAC}",
        )  # fmt: skip


def test_provisioning(server: Server) -> None:
    """A provisioning certificate; where the rule names some, one of these."""
    chain = server.card("card-1", uses=2)
    found = about(server, chain=chain)
    right = "provisioning certificate card-1 was presented"
    assert said(Provisioning(), found) == (True, right)
    assert said(Provisioning(some("card-1", "x")), found) == (True, right)
    assert said(Provisioning(some("x")), found) == (
        False, "provisioning certificate card-1 is not one of the rule's",
    )  # fmt: skip
    assert said(Provisioning(), about(server)) == (False, "no client certificate was presented")
    server.revoke(chain[0])
    assert said(Provisioning(), about(server, chain=chain)) == (
        False, "the provisioning certificate card-1 is revoked",
    )  # fmt: skip


# What is counted.


def spend(server: Server, use: Use, enrollment: str) -> x509.Certificate:
    """Spend one use, as a grant does; return the certificate."""
    certificate = server.record(ca.request(PC))
    serial = show_serial(certificate.serial_number)
    server.database.write(lambda db: uses.spend(db, use.key, enrollment, serial=serial, at=0))
    return certificate


def counted(condition: Condition, server: Server, found: Evidence, limit: int) -> Use:
    """Check that it holds `limit` times, for nobody else, and again for who got one in force."""
    held = judged(condition, found)
    assert held.holds
    assert held.use
    assert held.use.limit == limit
    certificate = spend(server, held.use, found.id)
    again = judged(condition, found)
    assert (again.holds, again.use) == (True, held.use)
    for number in range(limit - 1):
        spend(server, held.use, f"{number:064x}")
    assert judged(condition, found).holds
    stranger = dataclasses.replace(found, id="ff" * 32)
    over = judged(condition, stranger)
    assert (over.holds, over.use, over.broken) == (False, None, False)
    assert over.why == f"{held.use.what} is used up: {limit} of {limit}"
    server.revoke(certificate)
    serial = show_serial(certificate.serial_number)
    spent = judged(condition, found)
    assert (spent.holds, spent.use, spent.telling) == (False, None, True)
    assert spent.why == (
        f"{held.use.what} was spent on certificate {serial}, not in force any more"
    )
    return held.use


def test_a_provisioning_certificate_is_counted(server: Server) -> None:
    """Each enrollment once; the same one any number of times."""
    found = about(server, chain=server.card("card-9", uses=3))
    use = counted(Provisioning(), server, found, 3)
    assert use.what == "provisioning certificate card-9"


def test_a_password_is_counted(server: Server) -> None:
    """Only where the user has a limit; under another password anew."""
    proof = UserProof("berta", 1, "user:berta:1")
    counted(User(), server, about(server, ca.request(PC), user=proof), 1)
    fresh = UserProof("berta", 1, "user:berta:2")
    assert judged(User(), about(server, ca.request(PC), user=fresh)).holds
    unlimited = UserProof("berta", None, "user:berta:1")
    held = judged(User(), about(server, ca.request(PC), user=unlimited))
    assert (held.holds, held.use) == (True, None)


def test_an_entry_is_counted(server: Server, mine: bytes) -> None:
    """By list and device, wherever in the list it stands."""
    server.allow("counted", f"{OTHER},,,,", f"{DEVICE},Slot 7,,2,")
    found = about(server, chain=[mine])
    counted(Serial(some("counted")), server, found, 2)
    server.allow("counted", f"{DEVICE},Slot 7,,3,")
    stranger = dataclasses.replace(found, id="ee" * 32)
    held = judged(Serial(some("counted")), stranger)
    key = use_key("counted", DeviceId.parse(DEVICE))
    assert held.use == Use(key, 3, f"the entry of device {DEVICE}")


# Listed devices.


@pytest.fixture
def lists(server: Server) -> Iterator[Path]:
    """The folder of the lists, empty but for the one that is there from the beginning."""
    folder = server.folder.path / "allowlists"
    yield folder
    for path in folder.glob("*.csv"):
        path.unlink()


LINE_3 = Serial(some("line-3"))


def test_a_listed_device(server: Server, lists: Path, mine: bytes) -> None:
    """Proved and listed: with file and line."""
    server.allow("line-3", f"{OTHER},,,,", f"{DEVICE},Slot 7,,,spare")
    held = judged(LINE_3, about(server, chain=[mine]))
    assert (held.holds, held.why) == (True, f"{DEVICE} is listed at line-3.csv:3")
    assert held.listed
    assert held.listed.entry.name == "Slot 7"


def test_a_device_that_is_not_listed(server: Server, lists: Path, mine: bytes) -> None:
    """Or that nobody names."""
    server.allow("line-3", f"{OTHER},,,,")
    assert said(LINE_3, about(server, chain=[mine])) == (False, f"device {DEVICE} is not listed")
    assert said(LINE_3, about(server, ca.request(PC))) == (False, "no device is named")


@pytest.mark.parametrize("user", [None, "anna"])
def test_a_claimed_serial_number_counts_only_where_the_rule_says_so(
    user: str | None, server: Server, lists: Path
) -> None:
    """A CSR, a password, a self-signed certificate and a card only claim it."""
    server.allow("line-3", f"{DEVICE},,,,")
    own_word = vendor.device(None).der
    for chain in ((), (own_word,), server.card(f"card-{user}")):
        found = about(server, chain=chain, user=user)
        why = f"device {DEVICE} is only claimed, not proved"
        assert said(LINE_3, found) == (False, why)
        assert said(Serial(LINE_3.lists, unproved=True), found) == (
            True, f"{DEVICE} is listed at line-3.csv:2",
        )  # fmt: skip


def test_a_mac_address_is_listed(server: Server, lists: Path) -> None:
    """Where the device's number is not."""
    server.allow("line-3", f"{MAC},,,,")
    chain = [est.der(server.record(ca.request(f"CN={MAC},serialNumber={DEVICE}")))]
    found = about(server, chain=chain)
    assert said(LINE_3, found) == (True, f"{MAC} is listed at line-3.csv:2")


def test_a_listed_device_vouches_for_no_claim(
    server: Server, lists: Path, acme: vendor.Pki
) -> None:
    """What is proved is listed; what the CSR names beside it nobody proved, listed or not."""
    server.allow("line-3", f"{MAC},,,,", f"{DEVICE},,,,")
    found = about(server, ca.request(f"CN={MAC},serialNumber={DEVICE}"), chain=acme.chain)
    assert said(LINE_3, found) == (
        False, f"nothing proves device {MAC}, which the CSR names",
    )  # fmt: skip
    assert judged(LINE_3, found).telling
    assert said(Serial(LINE_3.lists, unproved=True), found)[0]


def test_a_claim_in_an_own_certificate_is_not_listed(server: Server, lists: Path) -> None:
    """This CA issued it at its holder's word."""
    server.allow("line-3", f"{DEVICE},,,,")
    found = about(server, chain=[est.der(server.record(ca.request(), proved=False))])
    assert said(LINE_3, found) == (False, f"device {DEVICE} is only claimed, not proved")


def test_an_entry_ends(server: Server, lists: Path, mine: bytes) -> None:
    """With the last second it names; the next one is too late, and says when it was."""
    server.allow("line-3", f"{DEVICE},,2026-11-23T06:00:00Z,,")
    end = NOW + timedelta(hours=1)
    for now, holds in ((end - SECOND, True), (end, True), (end + SECOND, False), (NOW, True)):
        assert said(LINE_3, about(server, chain=[mine], now=now))[0] is holds
    late = said(LINE_3, about(server, chain=[mine], now=end + SECOND))
    assert late == (False, f"{DEVICE} was listed at line-3.csv:2 until 2026-11-23T06:00:00Z")


def test_several_lists(server: Server, lists: Path, mine: bytes) -> None:
    """One good entry is enough, though another list's is over or used up."""
    server.allow("a", f"{DEVICE},,2020-01-01T00:00:00Z,,")
    server.allow("b", f"{OTHER},,,,")
    found = about(server, chain=[mine])
    both = Serial(some("a", "b"))
    assert said(both, found) == (
        False, f"{DEVICE} was listed at a.csv:2 until 2020-01-01T00:00:00Z",
    )  # fmt: skip
    server.allow("b", f"{DEVICE},,,,")
    assert said(both, found) == (True, f"{DEVICE} is listed at b.csv:2")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_text("device\nnonsense\n"), "line-3.csv:2"),
        (lambda path: path.write_text("serial,name\n"), "line-3.csv:1"),
        (lambda path: path.write_bytes(b"device\n\xff\n"), "line-3.csv"),
        (lambda path: path.unlink(), "line-3.csv"),
        (lambda path: (path.unlink(), path.mkdir()), "line-3.csv"),
    ],
    ids=["line", "header", "bytes", "gone", "folder"],
)
def test_a_list_that_cannot_be_judged(
    spoil: Callable[[Path], object], message: str, server: Server, lists: Path, mine: bytes
) -> None:
    """Broken or gone: nobody's no, with file and line; mended, it counts at once."""
    path = server.allow("line-3", f"{DEVICE},,,,")
    found = about(server, chain=[mine])
    assert judged(LINE_3, found).holds
    spoil(path)
    for _ in range(2):
        held = judged(LINE_3, found)
        assert (held.holds, held.broken) == (False, True)
        assert message in held.why
    if path.is_dir():
        path.rmdir()
    server.allow("line-3", f"{DEVICE},,,,")
    assert judged(LINE_3, found).holds


def test_a_list_is_not_looked_at_needlessly(server: Server, lists: Path) -> None:
    """Who names no device is told so, whatever is wrong with the list."""
    assert said(LINE_3, about(server, ca.request(PC))) == (False, "no device is named")


def test_a_long_list_is_waited_for(server: Server, lists: Path, mine: bytes) -> None:
    """While it is read nobody is judged by it, yesterday's version included."""
    server.allow("line-3", f"{DEVICE},,,,")
    found = about(server, chain=[mine])
    assert judged(LINE_3, found).holds
    server.allow("line-3", *(f"0002:{number:08X},,,," for number in range(1, 10_000)))
    with pytest.raises(NotYet):
        LINE_3.judge(found)
    assert said(LINE_3, found) == (False, f"device {DEVICE} is not listed")


# Programs.


def test_a_program(server: Server, tmp_path: Path) -> None:
    """Exit status 0 holds, 1 does not, everything else is no opinion."""
    script = asking.scripts(tmp_path)
    found = about(server, ca.request(PC))
    yes, no, torn = script("echo fine"), script("echo never; exit 1"), script("exit 2")
    assert said(Exec(yes), found) == (True, f"{yes[0]} agrees: fine")
    assert said(Exec(no), found) == (False, f"{no[0]} does not agree: never")
    held = judged(Exec(torn), found)
    assert (held.condition, held.holds, held.broken) == ("exec", False, True)
    assert held.why.startswith(f"{torn[0]} has no opinion")


def test_what_a_program_is_told(server: Server, acme: vendor.Pki, tmp_path: Path) -> None:
    """Who asks for what, from where, and what of it is proved; in ASCII, on one line."""
    told = tmp_path / "told.json"
    command = asking.scripts(tmp_path)(f"cat >{told}")
    asked = ca.request(f"CN=Dr\u202eive 7,serialNumber={DEVICE}", sans=["dns:drive-7"])
    found = about(server, asked, chain=acme.chain, user="anna", label="line-3", renewal=True)
    assert judged(Exec(command), found).holds
    line = told.read_bytes()
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "request": found.id,
        "subject": f"CN=Dr\u202eive 7,serialNumber={DEVICE}",
        "sans": ["dns:drive-7"],
        "device": DEVICE,
        "mac": None,
        "proved_device": DEVICE,
        "proved_mac": None,
        "proved": f"device {DEVICE} by vendor acme, user anna",
        "claimed": "nothing",
        "user": "anna",
        "vendor": "acme",
        "label": "line-3",
        "renewal": True,
        "address": "192.0.2.7",
    }


def test_each_applicant_is_asked_about(server: Server, tmp_path: Path) -> None:
    """An opinion of one is not that of another, or of the same with another proof or label."""
    counter = tmp_path / "count"
    command = asking.scripts(tmp_path)(f"echo x >>{counter}")
    asked = ca.request(PC)
    for found in (
        about(server, asked),
        about(server, asked),
        about(server, ca.request(PC)),
        about(server, asked, user="anna"),
        about(server, asked, label="a"),
        about(server, asked, address="192.0.2.8"),
        about(server, asked, renewal=True),
    ):
        assert judged(Exec(command), found).holds
    assert counter.read_text() == "x\n" * 6


# In words.


def test_conditions_in_words() -> None:
    """People read the table without knowing its keys."""
    words = {
        Anyone(): "anyone",
        Own(): "holds a certificate of this CA and asks for the same names",
        User(): "any user with a password",
        User(some("berta", "anna")): "user anna, berta",
        User(some("anna"), unproved=True): "user anna, for any device",
        Label(some("b", "a")): "label a, b",
        Label(some("")): "label (none)",
        Vendor(): "any trusted vendor",
        Vendor(some("bolt", "acme")): "vendor acme, bolt",
        Vendor(unproved=True): "any trusted vendor, for any device",
        Vendor(some("acme"), unproved=True): "vendor acme, for any device",
        Serial(some("b", "a")): "device listed in a, b",
        Serial(some("a"), unproved=True): "device listed in a, by its own word only",
        Provisioning(): "provisioning certificate",
        Provisioning(some("y", "x")): "provisioning certificate x, y",
        Names(("a-*", "b")): "names like a-*, b",
        Exec(("/opt/ask", "--now")): "/opt/ask says so",
    }
    assert {condition: str(condition) for condition in words} == words
