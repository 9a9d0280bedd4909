"""Devices that ask with one key after another, and what becomes of their certificates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import csr, keys, names
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import Mac
from cipsec.store.certificates import CertificateRow
from tests.support import ca
from tests.support.est import Server

DEVICE, OTHER = "0001:6040C8F2", "0001:00000009"
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
SLOTS = '[[rule]]\nname = "slots"\nwhen = { vendor = true, serial = "line" }\nthen = "grant"\n'
LISTED = '[[rule]]\nname = "listed"\nwhen = { serial = "line" }\nthen = "grant"\nunproved = true\n'
GENUINE = '[[rule]]\nname = "genuine"\nwhen = { vendor = true }\nthen = "grant"\n'


def drive(
    device: str = DEVICE,
    *,
    name: str = "Drive",
    key: keys.PrivateKey | None = None,
    sans: Sequence[str] = (),
) -> CertificateRequest:
    """Return a device's CSR, by default with a new key for each."""
    return ca.request(f"CN={name},serialNumber={device}", key=key, sans=sans)


def in_force(server: Server) -> list[CertificateRow]:
    """Return the certificates that are not revoked, oldest first."""
    return [row for row in server.certificates() if row.revoked_at is None]


def with_mac(subject: str, mac: str, *sans: str) -> CertificateRequest:
    """Return a CSR that gives a MAC address in its directory attributes."""
    built = csr.build(
        keys.generate(keys.KeyType.EC_P256),
        names.parse_subject(subject),
        sans=[names.parse_san(san) for san in sans],
        mac=Mac.parse(mac),
    )
    return csr.parse(built.public_bytes(Encoding.DER))
