"""A pretended device vendor: a root, and drives with the certificates that a vendor gives them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files, times
from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca_folder import fingerprint
from cipsec.pki import csr, keys, names

_LIFE = timedelta(days=9000)


class Vendor:
    """Makes drives with default certificates; its root's certificate goes to its customers."""

    def __init__(self, name: str) -> None:
        key = keys.generate(keys.KeyType.EC_P256)
        subject = names.parse_subject(f"CN={name} Devices,O={name}")
        root = self_signed(subject, key, now=times.now(), validity=2 * _LIFE)
        self._authority = Authority(root, key)

    def publish(self, path: Path) -> str:
        """Write the root as customers get it; return its SHA-256, which comes by another way."""
        root = self._authority.certificate
        files.create(path, root.public_bytes(Encoding.PEM), mode=files.PUBLIC)
        return fingerprint(root)

    def build(self, folder: Path, device: str) -> None:
        """Make a drive: its key and its default certificate, in `folder`."""
        key = keys.generate(keys.KeyType.EC_P256)
        subject = names.parse_subject(f"CN=Servo drive,serialNumber={device}")
        asked = csr.parse(csr.build(key, subject).public_bytes(Encoding.DER))
        kind = profile.endpoint(_LIFE, timedelta(days=30))
        issued = self._authority.issue(asked, kind, now=times.now())
        certificate = x509.load_der_x509_certificate(issued.der)
        folder.mkdir()
        files.create(folder / "default.key", keys.to_pem(key, None))
        files.create(folder / "default.pem", certificate.public_bytes(Encoding.PEM))
