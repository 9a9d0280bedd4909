"""Every kind of applicant, and what the same rules say to each: status, rule and reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import show_serial
from tests.support import ca, est
from tests.support.est import NOW, PASSWORD, Server

RULES = (
    '[server]\nlabels = ["wait"]\n'
    + est.RENEWAL
    + est.USERS
    + '[[rule]]\nname = "commissioning"\nwhen = { label = "wait", anyone = true }\nthen = "ask"\n'
)


def named(number: int, device: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.Name:
    """Return the subject of a drive."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Drive {number}", kind),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, device),
        ]
    )


MINE = named(7, "0001:6040C8F2")
CSR_NAMES = {
    "same": MINE,
    "PrintableString": named(7, "0001:6040C8F2", _ASN1Type.PrintableString),
    "changed": named(8, "0001:6040C8F2"),
    "other device": named(7, "0001:00000009"),
}


@dataclass(frozen=True)
class Shown:
    """A client certificate, and what is said of it where rule "renewal" does not hold.

    `serial` is set where it proves something; `device` tells whether it names one.
    """

    chain: tuple[bytes, ...]
    not_own: str
    serial: str | None = None
    device: bool = True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one user."""
    with est.serving(tmp_path_factory.mktemp("table"), RULES) as server:
        server.add_user("anna")
        yield server


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def foreign(issuer: x509.Name, key: keys.PrivateKey, extensions: x509.Extensions | None) -> bytes:
    """Return a certificate with the drive's names, signed by whoever says to be the issuer."""
    return der(
        x509.CertificateBuilder(
            subject_name=MINE,
            issuer_name=issuer,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=NOW - timedelta(days=1),
            not_valid_after=NOW + timedelta(days=365),
            extensions=list(extensions) if extensions else [],
        ).sign(key, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def certificates(server: Server) -> dict[str, Shown]:
    """Every kind of client certificate."""
    asked, key = ca.request(MINE), keys.generate(keys.KeyType.EC_P256)
    own = server.record(asked)
    expired = server.record(asked, validity=timedelta(days=1), issued=timedelta(minutes=30))
    lost = server.record(asked, known=False)
    servers = server.record(asked, kind=profile.SERVER)
    root = server.authority.certificate
    unknown = self_signed(x509.Name([]), key, now=NOW, validity=timedelta(days=9))
    other = Authority(unknown, key).issue(
        asked, profile.endpoint(timedelta(days=8), timedelta()), now=NOW
    )

    def said(certificate: x509.Certificate, why: str) -> str:
        return f"certificate {show_serial(certificate.serial_number)} {why}"

    server.now = NOW + timedelta(days=1)  # the expired one has just expired
    return {
        "none": Shown((), "no client certificate was presented", device=False),
        "self-signed": Shown((foreign(MINE, key, None),), "the client certificate is self-signed"),
        "unknown CA": Shown((other.der,), "the client certificate is issued by an unknown CA"),
        "own": Shown((der(own), der(root)), "", show_serial(own.serial_number)),
        "own, expired": Shown((der(expired),), said(expired, "is expired")),
        "own, not on record": Shown((der(lost),), said(lost, "is not in this CA's record")),
        "own, the server's": Shown((der(servers),), said(servers, "is not an endpoint's")),
        "garbage": Shown((b"garbage",), "the client certificate cannot be read", device=False),
        "look-alike CA": Shown(
            (foreign(root.subject, key, own.extensions),),
            "the client certificate is issued by an unknown CA",
        ),
    }


KINDS = [
    "none",
    "self-signed",
    "unknown CA",
    "own",
    "own, expired",
    "own, not on record",
    "own, the server's",
    "garbage",
    "look-alike CA",
]
CELLS = [
    cell
    for cell in itertools.product(
        KINDS,
        ["none", "right", "wrong"],
        ["simpleenroll", "simplereenroll"],
        CSR_NAMES,
        ["", "wait"],
    )
    # A wrong password ends it before anything else is looked at; a hash takes its time.
    if cell[1] != "wrong" or cell[3:] == ("same", "")
]


def expected(
    shown: Shown, login: str, operation: str, names: str, label: str
) -> tuple[int, str | None, str]:
    """Return status, rule and reason, in the order in which the questions are asked."""
    if login == "wrong":
        return 401, None, "the user name or the password is wrong"
    if names == "other device" and shown.device:
        what = "the CSR names device 0001:00000009, the certificate 0001:6040C8F2"
        return 403, "always", what
    other_names = names in ("changed", "other device")
    if shown.serial and other_names and operation == "simplereenroll":
        return 403, "always", f"a renewal must keep the names of certificate {shown.serial}"
    if shown.serial and not other_names:
        return 200, "renewal", f"renews certificate {shown.serial} of this CA"
    if login == "right":
        return 200, "users", "user anna gave the right password"
    if label == "wait":
        return 202, "commissioning", "the request has label wait, holds for everyone"
    not_own = shown.not_own
    if shown.serial:
        not_own = f"the CSR's names differ from those of certificate {shown.serial}"
    why = f"{not_own}; no user name and password were given; the request has no label"
    return 401, "none", f"no rule applies: {why}"


@pytest.mark.parametrize(("kind", "login", "operation", "names", "label"), CELLS)
def test_cell(  # noqa: PLR0917  # one parameter for each dimension
    kind: str,
    login: str,
    operation: str,
    names: str,
    label: str,
    server: Server,
    certificates: dict[str, Shown],
    request: pytest.FixtureRequest,
) -> None:
    """One cell: the status, the text that the applicant reads, the event that is recorded."""
    shown = certificates[kind]
    status, rule, why = expected(shown, login, operation, names, label)
    before = len(server.events())
    asked: CertificateRequest = ca.request(CSR_NAMES[names])
    response = server.enroll(
        asked,
        login={"none": None, "right": ("anna", PASSWORD), "wrong": ("anna", "wrong")}[login],
        chain=shown.chain,
        label=label,
        renewal=operation == "simplereenroll",
        address=request.node.name,  # so that no cell waits for another's wrong password
    )
    assert response.status == status
    assert (est.header(response, "WWW-Authenticate") is not None) is (status == 401)
    if status in (401, 403):
        assert est.reason(response) == why
    [event] = server.events(before)
    outcome = {200: "granted", 202: "pending"}.get(status, "refused")
    assert (event.event, event.rule, event.reason) == (outcome, rule, why)
    assert (event.serial is not None) is (status == 200)
    if status == 200:
        certificate = est.certificate(response)
        assert certificate.public_key() == asked.public_key
        assert certificate.subject.public_bytes() == CSR_NAMES[names].public_bytes()
        assert event.serial == show_serial(certificate.serial_number)
        [row] = [row for row in server.certificates() if row.serial == event.serial]
        assert (row.proved, row.rule, row.reason) == (proofs(shown, login), rule, why)


def proofs(shown: Shown, login: str) -> str:
    """Return what was proved."""
    own = [f"certificate {shown.serial} of this CA"] if shown.serial else []
    return ", ".join(own + (["user anna"] if login == "right" else [])) or "nothing"
