"""A CA's folder, and applicants who ask its registration authority for real, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cipsec import founding, times
from cipsec.ca_folder import CaFolder
from cipsec.pki import csr, keys, names
from cipsec.pki.csr import CertificateRequest
from cipsec.ra.answers import Answer, Granted, Queued
from cipsec.ra.authority import RegistrationAuthority
from cipsec.ra.enrollment import Enrollment, Login
from cipsec.serve.certificate import own_names
from cipsec.store.writer import Writer


def make(
    path: Path,
    *,
    policy: str = "approval",
    passphrase: str | None = None,
    hosts: Sequence[str] = (),
    now: datetime | None = None,
) -> CaFolder:
    """Make the CA "Line 4" in `path`."""
    return founding.create(
        path,
        name="Line 4",
        subject=names.parse_subject("CN=Line 4"),
        key_type=keys.KeyType.EC_P256,
        validity=timedelta(days=7300),
        passphrase=passphrase,
        hosts=list(hosts),
        policy=policy,
        now=now or times.now(),
    )


def unchecked_name(*values: str) -> x509.Name:
    """Return a name with one organization for each text, however long or strange."""
    oid = NameOID.ORGANIZATION_NAME
    return x509.Name([x509.NameAttribute(oid, v, _validate=False) for v in values])


def request(
    subject: str | x509.Name = "CN=Drive 7,serialNumber=0001:6040C8F2",
    *,
    sans: Sequence[str] = (),
    key: keys.PrivateKey | None = None,
    challenge: bytes | None = None,
) -> CertificateRequest:
    """Return a CSR, by default with a new key for each."""
    built = csr.build(
        key or keys.generate(keys.KeyType.EC_P256),
        names.parse_subject(subject) if isinstance(subject, str) else subject,
        sans=[names.parse_san(text) for text in sans],
        challenge=challenge,
    )
    return csr.parse(built.public_bytes(Encoding.DER))


def write_pem(path: Path, asked: CertificateRequest) -> Path:
    """Write a CSR to a file as people have it."""
    path.write_bytes(asked.parsed.public_bytes(Encoding.PEM))
    return path


def enroll(
    folder: CaFolder,
    asked: CertificateRequest,
    *,
    chain: Sequence[bytes] = (),
    login: Login | None = None,
    label: str = "",
    renewal: bool = False,
    address: str = "192.0.2.7",
    now: datetime | None = None,
) -> Answer:
    """Ask once, as the server would on behalf of a device, and close everything again."""
    enrollment = Enrollment(
        request=asked,
        chain=tuple(chain),
        login=login,
        label=label,
        renewal=renewal,
        address=address,
        bindings=tuple,
    )
    return asyncio.run(_enroll(folder, enrollment, now))


async def _enroll(folder: CaFolder, enrollment: Enrollment, now: datetime | None) -> Answer:
    database = folder.store()
    writer = Writer(database)
    authority = RegistrationAuthority(
        folder.authority(None),
        folder.sources(database),
        writer,
        config=folder.configuration,
        own_names=lambda: own_names(folder),
        clock=lambda: now or times.now(),
    )
    try:
        answer = await authority.enroll(enrollment)
        await authority.polls.flush()
        return answer
    finally:
        await authority.close()
        writer.close()
        database.close()


def ask(
    folder: CaFolder, asked: CertificateRequest | None = None, *, now: datetime | None = None
) -> str:
    """Put a request into the queue and return its id."""
    answer = enroll(folder, asked or request(), now=now)
    assert isinstance(answer, Queued), answer
    return answer.id


def receive(folder: CaFolder, asked: CertificateRequest, *, now: datetime | None = None) -> bytes:
    """Ask again and return the certificate, in DER, that is there now."""
    answer = enroll(folder, asked, now=now)
    assert isinstance(answer, Granted), answer
    return answer.der
