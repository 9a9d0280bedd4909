"""`cipsec policy check` where the server refuses beside the rules: before them, after, or not now.

Each situation is made for both; what the server answers to the request over HTTP is what is to be
foreseen: the outcome, the words, and where it cannot decide, what it reports to its log.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.est.wire import Peer, Response
from cipsec.pki import keys
from cipsec.store.requests import State
from tests.support import ca, der, est, vendor
from tests.support.est import ASK, LAB, RENEWAL, USERS, Server

from .conftest import Cipsec, Ran

_DAY = timedelta(days=1)
_LIFE = 7300 * _DAY  # of the CA
_NAME = "anna"
_DRIVE = ca.request("CN=Drive 7,serialNumber=0001:6040C8F2")
_PC = ca.request("CN=pc-1", key=der.KEY)
_LIMITS = '[server]\nlabels = ["line-3"]\nhosts = ["plant.local"]\nmax_pending = 1\n'


def _weak() -> bytes:
    key = rsa.generate_private_key(65537, 1024)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_DRIVE.subject)
    return builder.sign(key, keys.signing_hash(der.KEY)).public_bytes(Encoding.DER)


def _twice() -> bytes:
    challenge = der.attribute(der.CHALLENGE, der.tlv(der.UTF8, b"x"))
    return der.request(challenge, challenge)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of a CA of an age, under rules, after something has happened; and the status.

    `before` may return other facts that the request comes with.
    """

    status: int
    rules: str = LAB
    asked: bytes = _DRIVE.der
    label: str = ""
    user: str | None = None
    chain: tuple[bytes, ...] = ()
    renewal: bool = False
    age: timedelta = 500 * _DAY
    before: Callable[[Server, Case], Case | None] = field(default=lambda server, case: None)


def _approved(server: Server, case: Case) -> None:
    server.decide(_waiting(server, case), State.APPROVED, note="cabinet 7")


def _waiting(server: Server, case: Case) -> str:
    return est.identifier(_asked(server, case))


def _rejected(server: Server, case: Case) -> None:
    server.decide(_waiting(server, case), State.REJECTED, note="unknown")


def _rejected_and_granted(server: Server, case: Case) -> Case:
    _rejected(server, replace(case, rules=ASK))
    return case


def _served(server: Server, case: Case) -> None:
    _approved(server, case)
    est.certificate(_asked(server, case))


def _served_and_ended(server: Server, case: Case) -> None:
    _served(server, case)
    [row] = server.certificates()
    server.revoke(row.der)


def _approved_alone(server: Server, case: Case) -> Case:
    """Approve under rules that asked one administrator, where by now two have to agree."""
    _approved(server, case)
    return replace(case, rules=ASK + "approvals = 2\n")


def _full(server: Server, case: Case) -> None:
    _waiting(server, replace(case, asked=ca.request("CN=another").der, rules=ASK))


def _full_with_it(server: Server, case: Case) -> None:
    _waiting(server, case)


def _presenting(*, revoked: bool = False, ended: timedelta | None = None) -> Callable[..., Case]:
    """Present a certificate of this CA, for the CSR's names; `ended` is how long ago it did."""

    def before(server: Server, case: Case) -> Case:
        validity = 100 * _DAY
        issued = validity + ended if ended is not None else _DAY
        made = server.record(_PC, validity=validity, issued=issued)
        if revoked:
            server.revoke(made)
        return replace(case, chain=(est.der(made),))

    return before


def _replacing(server: Server, case: Case) -> None:
    """Give the device a certificate under another key."""
    est.certificate(_asked(server, replace(case, asked=ca.request(_DRIVE.subject).der, rules=LAB)))


def _user(server: Server, case: Case) -> None:
    server.add_user(_NAME)


def _spent(server: Server, case: Case) -> None:
    server.add_user(_NAME, uses=1)
    est.certificate(_asked(server, replace(case, asked=ca.request("CN=first").der)))


def _self_signed(server: Server, case: Case) -> Case:
    return replace(case, chain=(vendor.device(None, "0002:00000001").der,))


def _broken_list(server: Server, case: Case) -> None:
    server.allow("line-3", "0001:1")


def _broken_anchor(server: Server, case: Case) -> Case:
    (server.folder.vendors_folder / "acme.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    return replace(case, chain=(vendor.device(None, "0001:6040C8F2").der,))


def _card_spent(server: Server, case: Case) -> Case:
    chain = server.card()
    est.certificate(_asked(server, replace(case, asked=ca.request("CN=1").der, chain=chain)))
    return replace(case, chain=chain)


_LISTED = (
    '[[rule]]\nname = "listed"\nwhen = { serial = "line-3" }\nthen = "grant"\nunproved = true\n'
)
_VENDOR = '[[rule]]\nname = "vendor"\nwhen = { vendor = true }\nthen = "grant"\n'
_CARDS = '[[rule]]\nname = "cards"\nwhen = { provisioning = true }\nthen = "grant"\n'
_AGREED = '[[rule]]\nname = "agreed"\nwhen = { exec = ["/bin/none"] }\nthen = "reject"\n'
_GRACE = '[renewal]\ngrace = "30d"\n' + RENEWAL
_EARLIEST = '[renewal]\nearliest = "50%"\n' + RENEWAL
_SAME_KEY = '[renewal]\nsame_key = "refuse"\n' + RENEWAL
_LONGEST = '[renewal]\nlongest = "12h"\n' + RENEWAL

CASES = {
    # Before the rules.
    "granted": Case(200),
    "a label": Case(200, label="line-3"),
    "no such label": Case(404, label="line-9"),
    "no such label, and no CSR": Case(404, label="line-9", asked=_twice()),
    "a weak key": Case(400, asked=_weak()),
    "an attribute twice": Case(400, asked=_twice()),
    "a signature that is none": Case(400, asked=_DRIVE.der[:-1] + bytes([_DRIVE.der[-1] ^ 1])),
    "a CSR too large": Case(400, asked=der.request(der.attribute("1.2.3", bytes(17000)))),
    "no such user": Case(401, user="mallory"),
    "a user": Case(200, USERS, _PC.der, user=_NAME, before=_user),
    "no CSR, no user": Case(400, asked=_weak(), user="mallory"),
    "a user for a device": Case(403, USERS, user=_NAME, before=_user),
    "a spent password": Case(403, USERS, _PC.der, user=_NAME, before=_spent),
    "the server's own name": Case(403, asked=ca.request("CN=plant.local").der),
    "a wildcard": Case(403, asked=ca.request("CN=a", sans=["dns:*.plant"]).der),
    "a channel binding": Case(403, asked=ca.request("CN=a", challenge=b"AAAA").der),
    "another device in the certificate": Case(403, before=_self_signed),
    "broken settings": Case(503, rules="name ="),
    # By the rules.
    "no rule applies": Case(401, USERS),
    "no rule applies to a spent card": Case(403, _CARDS, _PC.der, before=_card_spent),
    "no such list": Case(202, _LISTED + ASK),
    "a broken list": Case(202, _LISTED + LAB, before=_broken_list),
    "a broken anchor": Case(202, _VENDOR + LAB, before=_broken_anchor),
    "a program that is not there": Case(202, _AGREED + LAB),
    # Renewals.
    "renewed": Case(200, RENEWAL, _PC.der, renewal=True, before=_presenting()),
    "revoked": Case(403, RENEWAL, _PC.der, renewal=True, before=_presenting(revoked=True)),
    "ended": Case(403, RENEWAL, _PC.der, renewal=True, before=_presenting(ended=_DAY)),
    "in its grace": Case(200, _GRACE, _PC.der, renewal=True, before=_presenting(ended=_DAY)),
    "in its grace, no renewal": Case(200, _GRACE, _PC.der, before=_presenting(ended=_DAY)),
    "in its grace, revoked": Case(
        403, _GRACE, _PC.der, before=_presenting(ended=_DAY, revoked=True)
    ),
    "after its grace": Case(
        403, _GRACE, _PC.der, renewal=True, before=_presenting(ended=31 * _DAY)
    ),
    "too early": Case(403, _EARLIEST, _PC.der, renewal=True, before=_presenting()),
    "with the same key": Case(403, _SAME_KEY, _PC.der, renewal=True, before=_presenting()),
    "granted too long ago": Case(403, _LONGEST, _PC.der, renewal=True, before=_presenting()),
    "for other names": Case(403, RENEWAL, renewal=True, before=_presenting()),
    "a renewal of nothing": Case(200, LAB, renewal=True),
    # What an administrator has said.
    "waiting": Case(202, ASK, before=_full_with_it),
    "approved": Case(200, ASK, before=_approved),
    "approved, of which two are wanted": Case(202, ASK, before=_approved_alone),
    "rejected": Case(403, ASK, before=_rejected),
    "rejected, granted by now": Case(403, LAB, before=_rejected_and_granted),
    "served": Case(200, ASK, before=_served),
    "served, and revoked": Case(202, ASK, before=_served_and_ended),
    "a replacement": Case(202, LAB + 'replacement = "ask"\n', before=_replacing),
    "a replacement that is granted": Case(200, LAB, before=_replacing),
    # What the CA can do.
    "the CA has ended": Case(503, age=_LIFE + _DAY),
    "the CA has not begun": Case(503, age=-30 * _DAY),
    "the CA has ended, and asks": Case(202, ASK, age=_LIFE + _DAY),
    "the CA has ended, and rejects": Case(401, USERS, age=_LIFE + _DAY),
    "the CA has ended, approved": Case(503, ASK, age=_LIFE + _DAY, before=_approved),
    "the queue is full": Case(503, ASK, before=_full),
    "the queue is full, and grants": Case(200, before=_full),
}


def _configure(server: Server, case: Case) -> None:
    """Write the case's rules into ca.toml."""
    server.text = _LIMITS + case.rules
    server.folder.config_file.write_text(server.text)


def _asked(server: Server, case: Case) -> Response:
    _configure(server, case)
    operation = "simplereenroll" if case.renewal else "simpleenroll"
    login = (case.user, est.PASSWORD) if case.user else None
    peer = Peer("192.0.2.7", case.chain)
    return server.answer(est.post(case.asked, operation, login=login, label=case.label, peer=peer))


def _checked(on_ca: Cipsec, work: Path, case: Case) -> Ran:
    (work / "csr").write_bytes(case.asked)
    argv: list[object] = ["policy", "check", work / "csr", "--json"]
    if case.chain:
        (work / "cert").write_bytes(case.chain[0])
        argv += ["--cert", work / "cert"]
    argv += ["--user", case.user] * bool(case.user) + ["--label", case.label] * bool(case.label)
    return on_ca(*argv, *["--renewal"] * case.renewal)


def _agrees(ran: Ran, answer: Response, reports: list[str]) -> bool:
    """Tell whether what was foreseen is what was answered."""
    match answer.status:
        case 200:
            return (ran.code, ran.json["decision"]["outcome"]) == (0, "grant")
        case 202:
            decision = ran.json["decision"]
            foreseen = (ran.code, decision["outcome"], decision["request"])
            return foreseen == (11, "ask", est.identifier(answer))
        case 503:
            said = ran.json["error"]["message"]
            return ran.code == 6 and any(said.endswith(reason) for reason in reports)
        case _:
            decision = ran.json["decision"]
            foreseen = (ran.code, decision["outcome"], decision["told"])
            return foreseen == (12, "reject", est.reason(answer))


@pytest.mark.parametrize("name", CASES)
def test_as_the_server_says(
    cipsec: Cipsec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """Outcome, exit code, the request's id or what is told; nothing changes by asking."""
    case, now = CASES[name], times.now()
    folder = ca.make(tmp_path / "ca", now=now - case.age)
    monkeypatch.setenv("CIPSEC_CA_DIR", str(folder.path))
    with closing(Server(folder, "", now=now)) as server:
        _configure(server, case)
        case = case.before(server, case) or case
        _configure(server, case)
        before = len(server.events())
        ran = _checked(cipsec, tmp_path, case)
        assert len(server.events()) == before
        answer = _asked(server, case)
        assert answer.status == case.status
        prefix = "requests cannot be answered: "
        reports = [r.getMessage().removeprefix(prefix) for r in caplog.records]
        assert _agrees(ran, answer, reports), (ran, answer, reports)
