"""Valid files of every kind, and how they are spoilt: each bit once, and by hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs7,
    pkcs12,
)
from hypothesis import strategies as st

from cipsec.errors import CipsecError
from cipsec.pki import keys
from tests.support import der
from tests.support.vendor import SAN, SERVER_AUTH, Party, ca, issue

NOW = datetime(2026, 6, 1, tzinfo=UTC)
_SERIAL = 0x4711

ROOT = ca("Root")
CA = ca("CA", ROOT, path_length=0)
LEAF = issue(
    "serialNumber=0001:6040C8F2,CN=Drive",
    CA,
    extensions=[(SAN, False), (SERVER_AUTH, False)],
    serial=_SERIAL,
)
CONSTRAINED = ca(
    "Constrained",
    ROOT,
    extensions=[(x509.NameConstraints([x509.DNSName("plant.local")], None), True)],
)
_SAN = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"drive7.local")))
_CHALLENGE = der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"x"))
REQUEST = der.request(der.requested(_SAN), _CHALLENGE)


def _crl(issuer: Party) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW, NOW + timedelta(1))
        .add_extension(x509.CRLNumber(7), critical=False)
        .add_extension(_key_id(issuer), critical=False)
    )
    entry = x509.RevokedCertificateBuilder(_SERIAL, NOW)
    entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.superseded), critical=False)
    return (
        builder.add_revoked_certificate(entry.build())
        .sign(issuer.key, keys.signing_hash(issuer.key))
        .public_bytes(Encoding.DER)
    )


def _key_id(issuer: Party) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


CRL = _crl(CA)
PKCS7 = pkcs7.serialize_certificates([LEAF.certificate, CA.certificate], Encoding.DER)
PASSPHRASE = "secret"
PKCS12 = pkcs12.serialize_key_and_certificates(
    b"x", LEAF.key, LEAF.certificate, [CA.certificate], BestAvailableEncryption(b"secret")
)
# A challengePassword, a MAC address, an extension request, a key type with a curve (RFC 7030 4.5).
CSR_ATTRS = der.sequence(
    der.oid(der.CHALLENGE),
    der.oid("1.3.6.1.1.1.1.22"),
    der.attribute(der.EXTENSION_REQUEST, der.sequence(_SAN)),
    der.attribute("1.2.840.10045.2.1", der.oid("1.2.840.10045.3.1.7")),
)


def flipped(data: bytes, *, step: int = 1) -> Iterator[bytes]:
    """Yield the data with each bit wrong once, or with every `step`-th."""
    for bit in range(0, len(data) * 8, step):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@st.composite
def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw the data with pieces replaced, left out, doubled, or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
        piece = draw(st.one_of(st.binary(max_size=8), st.just(data[at : at + size] * 2)))
        data = data[:at] + piece + data[at + size :]
    return data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))]


def survives(read: Callable[[bytes], object], data: bytes) -> bool:
    """Tell whether `data` is read, or refused by an error of this package; all else is raised."""
    try:
        read(data)
    except CipsecError as error:
        refused = error.message
    else:
        return True
    assert refused
    assert "\n" not in refused
    return False
