"""`cipsec policy check` says what the server says: both are asked about everybody, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import users
from cipsec.ra.answers import Answer, Granted, Queued, Refused
from cipsec.ra.enrollment import Enrollment, Login
from cipsec.store import users as rows
from cipsec.store.users import UserRow
from tests.support import ca, est, vendor
from tests.support.est import Server

from .conftest import Cipsec, Ran
from .policies import rules

_PASSWORD = "correct horse"
_LISTED, _ONCE, _OVER, _OTHER = (f"0001:6040C8F{n}" for n in range(4))
_FOREIGN = "0002:6040C8F0"
_LIST = f"""device,name,until,uses,note
{_LISTED},Drive 0,,,
{_ONCE},Drive 0,,1,the next one
{_OVER},,2020-01-01,,
{_FOREIGN},,,,
"""
_HEAD = '[server]\nlabels = ["line-3"]\nhosts = ["plant.local"]'
_RENEWAL = 'name = "renewal"\nwhen = { own = true }\nthen = "grant"'
_ASK = 'name = "everyone else"\nwhen = { anyone = true }\nthen = "ask"'


def _granting(name: str, when: str, *more: str) -> str:
    return "\n".join((f'name = "{name}"', f"when = {{ {when} }}", 'then = "grant"', *more))


_TABLES: dict[str, tuple[str, ...]] = {
    "combined": (
        _RENEWAL,
        _granting("inventory", 'vendor = true, serial = "default"'),
        _granting("users", "user = true"),
        _granting("commissioning", "provisioning = true"),
        _ASK,
    ),
    "vendor": (_RENEWAL, _granting("vendor devices", 'vendor = ["acme"]'), _ASK),
    "vendor, no others": (_RENEWAL, _granting("vendor devices", "vendor = true")),
    "unproved": (
        _RENEWAL,
        _granting("listed", 'serial = "default"', "unproved = true"),
        _granting("users", "user = true", "unproved = true"),
    ),
    "replacement kept": (
        _granting("vendor devices", "vendor = true", 'replacement = "keep"'),
        _granting("users", "user = true", 'replacement = "keep"'),
    ),
    "replacement revoked": (
        _granting("vendor devices", "vendor = true", 'replacement = "revoke"'),
        _granting("commissioning", "provisioning = true", 'replacement = "revoke"'),
    ),
    "label and names": (
        _granting("named", 'user = true, names = ["Drive *", "{user}"]'),
        'name = "line"\nwhen = { label = "line-3" }\nthen = "reject"',
        _ASK,
    ),
    "lab": (_RENEWAL, _granting("lab", "anyone = true", "lab = true")),
    "late renewals": (_RENEWAL, _ASK),
    "strict renewals": (_RENEWAL, _ASK),
    "missing list": (_RENEWAL, _granting("listed", 'vendor = true, serial = "none"'), _ASK),
    "rejected by a program": (
        'name = "blocked"\nwhen = { vendor = true, exec = ["/bin/false"] }\nthen = "reject"',
        'name = "broken"\nwhen = { user = true, exec = ["/bin/none"] }\nthen = "reject"',
        _granting("asked", 'exec = ["/bin/true"]'),
    ),
}


_RENEWALS = {
    "late renewals": '[renewal]\ngrace = "180d"',
    "strict renewals": '[renewal]\nearliest = "50%"\nsame_key = "refuse"\nlongest = "1d"',
}


@dataclass(frozen=True, slots=True)
class Applicant:
    """What is asked, and shown."""

    asked: CertificateRequest
    chain: tuple[bytes, ...] = ()
    user: str | None = None
    label: str = ""
    renewal: bool = False


def _device(number: str = _LISTED, name: str = "Drive 0") -> CertificateRequest:
    return ca.request(f"CN={name},serialNumber={number}")


@dataclass(frozen=True, slots=True)
class Plant:
    """A CA with a vendor, a list, users and provisioning certificates."""

    folder: CaFolder
    pki: vendor.Pki
    own: dict[str, tuple[CertificateRequest, bytes]]
    cards: dict[str, bytes]

    def by(
        self, issuing: vendor.Party, number: str, serial: int | None = None
    ) -> tuple[bytes, ...]:
        """Return what a device of a vendor presents."""
        name = f"serialNumber={number},CN=Drive,O=Acme"
        return vendor.issue(name, issuing, serial=serial).der, issuing.der

    def applicants(self) -> Iterator[tuple[str, Applicant]]:
        """Yield everybody in turn: who comes later meets what earlier ones have left."""
        issuing, look_alike = self.pki.issuing, vendor.look_alike(self.pki.issuing)
        stranger, itself = vendor.make("Stranger").issuing, vendor.device(None, _LISTED)
        genuine, drive = self.by(issuing, _LISTED), _device()
        yield "nothing", Applicant(_device())
        yield "nothing, at a label", Applicant(_device(), label="line-3")
        yield "self-signed", Applicant(_device(), (itself.der,))
        yield "genuine", Applicant(drive, genuine)
        yield "genuine, again", Applicant(drive, genuine)
        yield "genuine, another key", Applicant(_device(), genuine)
        yield "genuine, other device in the CSR", Applicant(_device(_OTHER), genuine)
        yield "the next one", Applicant(_device(_ONCE), self.by(issuing, _ONCE))
        yield "the next but one", Applicant(_device(_ONCE), self.by(issuing, _ONCE))
        yield "listed until", Applicant(_device(_OVER), self.by(issuing, _OVER))
        yield "not listed", Applicant(_device(_OTHER), self.by(issuing, _OTHER))
        yield "foreign Vendor ID", Applicant(_device(_FOREIGN), self.by(issuing, _FOREIGN))
        yield "revoked by the vendor", Applicant(_device(), self.by(issuing, _LISTED, 666))
        yield "stranger", Applicant(_device(), self.by(stranger, _LISTED))
        yield "look-alike", Applicant(_device(), self.by(look_alike, _LISTED))
        yield "bound elsewhere", Applicant(ca.request("CN=a", challenge=b"AAAA"), genuine)
        yield "server's name", Applicant(ca.request("CN=a", sans=["dns:plant.local"]), genuine)
        yield from self._with_certificates_of_ours()
        yield from self._with_passwords()

    def _with_certificates_of_ours(self) -> Iterator[tuple[str, Applicant]]:
        for kind, (asked, der) in self.own.items():
            yield kind, Applicant(asked, (der,), renewal=True)
            yield f"{kind}, other names", Applicant(_device(_OTHER, "x"), (der,))
            yield f"{kind}, renewed for other names", Applicant(ca.request("CN=x"), (der,),
                                                                renewal=True)  # fmt: skip
        pc = ca.request("CN=hmi-1")
        for name, der in self.cards.items():
            yield f"{name} card", Applicant(pc, (der,))
            yield f"{name} card, again", Applicant(pc, (der,))
            yield f"{name} card, another", Applicant(ca.request("CN=hmi-2"), (der,))

    def _with_passwords(self) -> Iterator[tuple[str, Applicant]]:
        pc = ca.request("CN=pc-1")
        for user in ("alice", "bob", "late", "lined"):
            yield f"{user}", Applicant(pc, user=user)
            yield f"{user}, again", Applicant(pc, user=user)
            yield f"{user}, another", Applicant(ca.request(f"CN={user}"), user=user)
            yield f"{user}, at a label", Applicant(ca.request("CN=pc-3"), user=user, label="line-3")
            yield f"{user}, for a device", Applicant(_device(_OTHER, "Drive 9"), user=user)


@pytest.fixture
def plant(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> Plant:
    """The plant, with the rules that `ca init` writes."""
    pki, place = vendor.make(), ca_folder.path
    crl = vendor.crl(pki.issuing, 666)
    vendor.install(place / "vendors", "acme", pki.root, vendor_ids=["0001"], crls=crl)
    (place / "allowlists" / "default.csv").write_text(_LIST)
    for row in (
        UserRow("alice", users.hash_password(_PASSWORD), 0, 0),
        UserRow("bob", users.hash_password(_PASSWORD), 0, 0, uses=1),
        UserRow("late", users.hash_password(_PASSWORD), 0, 0, until=1),
        UserRow("lined", users.hash_password(_PASSWORD), 0, 0, labels='["line-3"]'),
    ):
        with closing(ca_folder.store()) as database:
            database.write(lambda db, row=row: rows.insert(db, row))  # type: ignore[misc]  # mypy infers no lambda with a default
    ages = {"own": 0, "revoked": 0, "expired": 900}
    own = {name: _issued(on_ca, ca_folder, f"CN={name}", days_ago=n) for name, n in ages.items()}
    serial = f"{x509.load_der_x509_certificate(own['revoked'][1]).serial_number:032x}"
    assert on_ca("ca", "revoke", serial, "-y").code == 0
    cards = {name: _card(on_ca, tmp_path / name) for name in ("good", "revoked")}
    assert on_ca("ca", "revoke", "--credential", "revoked", "-y").code == 0
    return Plant(ca_folder, pki, own, cards)


def _issued(
    on_ca: Cipsec, folder: CaFolder, name: str, *, days_ago: int
) -> tuple[CertificateRequest, bytes]:
    asked, now = ca.request(name), times.now() - timedelta(days=days_ago)
    assert on_ca("ca", "approve", ca.ask(folder, asked, now=now)).code == 0
    return asked, ca.receive(folder, asked, now=now)


def _card(on_ca: Cipsec, folder: Path) -> bytes:
    assert on_ca("ca", "provision", folder.name, "-o", folder).code == 0
    pem = (folder / "certificate.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _check(on_ca: Cipsec, work: Path, one: Applicant) -> Ran:
    argv: list[object] = ["policy", "check", ca.write_pem(work / "csr", one.asked), "--json"]
    if one.chain:
        found = map(x509.load_der_x509_certificate, one.chain)
        (work / "chain").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in found))
        argv += ["--cert", work / "chain"]
    argv += ["--user", one.user] * bool(one.user) + ["--label", one.label] * bool(one.label)
    return on_ca(*argv, *["--renewal"] * one.renewal)


def _ask(server: Server, one: Applicant) -> Answer:
    enrollment = Enrollment(
        request=one.asked,
        chain=one.chain,
        login=Login(one.user, _PASSWORD) if one.user else None,
        label=one.label,
        renewal=one.renewal,
        address="192.0.2.7",
        bindings=tuple,
    )
    return est.run(server.ra.enroll(enrollment))


def _same(ran: Ran, answer: Answer) -> bool:
    decision: dict[str, Any] = ran.json["decision"]
    match answer:
        case Granted():
            return (ran.code, decision["outcome"]) == (0, "grant")
        case Queued(id=identifier):
            found = (ran.code, decision["outcome"], decision["request"])
            return found == (11, "ask", identifier)
        case Refused(reason=reason):  # which leaves out files and what others did
            found = (ran.code, decision["outcome"], decision["told"])
            return found == (12, "reject", reason)


@pytest.fixture
def serving(plant: Plant) -> Iterator[Callable[[str], Server]]:
    """Start the server with the rules of a table."""
    with ExitStack() as stack:

        def serve(table: str) -> Server:
            rules(plant.folder, *_TABLES[table], head=f"{_HEAD}\n{_RENEWALS.get(table, '')}")
            text = plant.folder.config_file.read_text()
            return stack.enter_context(closing(Server(plant.folder, text, now=times.now())))

        yield serve


@pytest.mark.parametrize("table", _TABLES)
def test_same(
    on_ca: Cipsec, plant: Plant, serving: Callable[[str], Server], tmp_path: Path, table: str
) -> None:
    """Everybody in turn: outcome, exit code, id or what is told; and rule and reason on record."""
    server = serving(table)
    for name, one in plant.applicants():
        before = len(server.events())
        ran = _check(on_ca, tmp_path, one)
        assert len(server.events()) == before, name
        answer = _ask(server, one)
        assert _same(ran, answer), (name, ran.json, answer)
        decision = ran.json["decision"]
        for event in server.events()[before:]:
            if event.event in ("granted", "refused", "pending", "replacement"):
                assert (event.reason or "").startswith(decision["reason"]), name
                assert (event.rule or "always") == decision["rule"], name
