"""A company's root, kept elsewhere: signs what it is given, well or as badly as a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.pki import names

DAY = timedelta(days=1)
ROOT = "CN=Works Root,O=Works"


def usage(*, sign: bool = True, crl: bool = True) -> x509.KeyUsage:
    """Return a CA's key usage."""
    return x509.KeyUsage(False, False, False, False, False, sign, crl, False, False)


@dataclass(frozen=True, slots=True)
class Ca:
    """A CA that is not ours: its key and certificate."""

    key: Any
    certificate: x509.Certificate

    def sign(self, subject: x509.Name | str, key: Any, **wish: Any) -> x509.Certificate:
        """Return a certificate of this CA, by default a good one of a CA that issues leafs."""
        return make(subject, key, self.certificate.subject, self.key, Wish(**wish))

    def below(self, subject: str, *, kind: Any = None, **wish: Any) -> Ca:
        """Return another CA that this one issued."""
        key = kind or ec.generate_private_key(ec.SECP256R1())
        return Ca(key, self.sign(subject, key.public_key(), **wish))

    def answer(self, request: Path, **wish: Any) -> x509.Certificate:
        """Return the certificate for a request in a file."""
        parsed = x509.load_pem_x509_csr(request.read_bytes())
        return self.sign(wish.pop("subject", parsed.subject), parsed.public_key(), **wish)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a CA certificate is to say; None leaves an extension out."""

    pathlen: int | None = 0
    is_ca: bool = True
    usage: x509.KeyUsage | None = field(default_factory=usage)
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()
    days: tuple[float, float] = (-1, 3650)
    identifier: bool = True
    authority: x509.AuthorityKeyIdentifier | None = None
    hash: Any = field(default_factory=hashes.SHA256)
    now: datetime = field(default_factory=times.now)


def make(
    subject: x509.Name | str, public: Any, issuer: x509.Name, key: Any, wish: Wish
) -> x509.Certificate:
    """Return a certificate as wished."""
    name = names.parse_subject(subject) if isinstance(subject, str) else subject
    start = wish.now.replace(microsecond=0)
    extensions: list[tuple[x509.ExtensionType | None, bool]] = [
        (x509.BasicConstraints(wish.is_ca, wish.pathlen if wish.is_ca else None), True),
        (wish.usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(public) if wish.identifier else None, False),
        (wish.authority, False),
        *wish.more,
    ]
    builder = x509.CertificateBuilder(
        issuer, name, public, x509.random_serial_number(),
        start + wish.days[0] * DAY, start + wish.days[1] * DAY,
    )  # fmt: skip
    for extension, critical in extensions:
        if extension is not None:
            builder = builder.add_extension(extension, critical)
    return builder.sign(key, wish.hash)


def root(subject: str = ROOT, *, key: Any = None, **wish: Any) -> Ca:
    """Return a root that may have CAs below it."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = names.parse_subject(subject)
    return Ca(key, make(name, key.public_key(), name, key, Wish(**{"pathlen": None} | wish)))


def points_at(root: Ca) -> x509.AuthorityKeyIdentifier:
    """Return what strict clients want in a certificate of that CA (RFC 5280 section 4.2.1.1)."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key."""
    return rsa.generate_private_key(65537, bits)


def write(path: Path, *certificates: x509.Certificate) -> Path:
    """Write certificates to a file as people have them."""
    path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    return path
