"""Signed reports: openssl is the judge, with the CA's certificate and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import founding, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState
from cipsec.pki import cms, keys, names
from cipsec.report import signing
from tests.support.programs import need, run

CONTENT = b"all is well\r\n\0\xff"


def make(path: Path, key_type: str) -> CaFolder:
    """Make a CA with a key of this type, and a long name."""
    return founding.create(
        path,
        name="Line 4",
        subject=names.parse_subject(f"CN={'L' * 64},O=Plant"),
        key_type=keys.KeyType(key_type),
        validity=timedelta(days=30_000),
        passphrase=None,
        hosts=[],
        policy="approval",
        now=times.now(),
    )


def sign(folder: CaFolder, content: bytes = CONTENT) -> signing.Signed:
    """Sign something as a report is."""
    return signing.sign(
        hashlib.sha256(content).digest(),
        folder.authority(None),
        by="anna",
        now=times.now(),
        chain=folder.cacerts(times.now()),
    )


def verified(folder: Path, ca: Path, signature: bytes, content: bytes, *more: str) -> bool:
    """Ask openssl whether the CA signed the content."""
    need("openssl")
    (folder / "signature").write_bytes(signature)
    (folder / "content").write_bytes(content)
    done = run("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-out", "/dev/null",
               "-in", folder / "signature", "-content", folder / "content",
               "-CAfile", ca, *more)  # fmt: skip
    assert (b"successful" in done.stderr) is (done.returncode == 0)
    return done.returncode == 0


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_openssl_accepts_it(tmp_path: Path, key_type: str) -> None:
    """Whatever the CA's key is; with and without a purpose; also when it is old."""
    folder = make(tmp_path / "ca", key_type)
    signature = sign(folder).signature
    assert verified(tmp_path, folder.certificate_file, signature, CONTENT)
    assert verified(tmp_path, folder.certificate_file, signature, CONTENT, "-purpose", "any")
    later = str(int((times.now() + timedelta(days=20_000)).timestamp()))
    assert verified(tmp_path, folder.certificate_file, signature, CONTENT, "-attime", later)


def test_openssl_refuses_another_content_or_ca(tmp_path: Path) -> None:
    """A byte, the end, another CA of the same name."""
    folder, other = make(tmp_path / "ca", "ec-p256"), make(tmp_path / "other", "ec-p256")
    signature = sign(folder).signature
    for content in (b"", CONTENT[:-1], CONTENT.replace(b"well", b"hell")):
        assert not verified(tmp_path, folder.certificate_file, signature, content)
    assert not verified(tmp_path, other.certificate_file, signature, CONTENT)


@pytest.mark.parametrize("key_type", list(keys.KeyType))
def test_the_signature_of_any_kind_of_key(tmp_path: Path, key_type: keys.KeyType) -> None:
    """As `pki.cms` makes it, with the hash that fits the key."""
    folder = make(tmp_path / "ca", key_type)
    key = keys.from_pem(folder.key_file.read_bytes())
    digest = hashlib.new(keys.signing_hash(key).name, CONTENT).digest()
    signature = cms.sign(digest, folder.certificate(), key, now=times.now())
    # By the CA itself, whose key usage no purpose fits: the signature is what is looked at.
    assert verified(tmp_path, folder.certificate_file, signature, CONTENT, "-noverify")
    assert not verified(tmp_path, folder.certificate_file, signature, b"", "-noverify")


@pytest.mark.parametrize("year", [2049, 2050])
def test_the_time_of_signing(tmp_path: Path, year: int) -> None:
    """UTCTime through 2049, GeneralizedTime from 2050 on: openssl reads both."""
    folder = make(tmp_path / "ca", "ec-p256")
    key = keys.from_pem(folder.key_file.read_bytes())
    at = times.parse_time(f"{year}-06-01T12:00:00Z")
    der = cms.sign(b"0" * 32, folder.certificate(), key, now=at)
    (tmp_path / "der").write_bytes(der)
    shown = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", tmp_path / "der")
    assert f"Jun  1 12:00:00 {year} GMT".encode() in shown.stdout


def test_no_device_takes_the_signer_for_a_peer(tmp_path: Path) -> None:
    """Its certificate is neither a client's nor a server's, and its key is gone."""
    need("openssl")
    folder = make(tmp_path / "ca", "ec-p256")
    signed = sign(folder)
    certificate = x509.load_der_x509_certificate(signed.row.der)
    (tmp_path / "signer.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    for purpose, code in (("smimesign", 0), ("sslclient", 2), ("sslserver", 2)):
        done = run("openssl", "verify", "-purpose", purpose, "-CAfile", folder.certificate_file,
                   tmp_path / "signer.pem")  # fmt: skip
        assert done.returncode == code, (purpose, done)
    assert certificate.not_valid_after_utc == folder.certificate().not_valid_after_utc
    assert len(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) == 64


def test_an_authority_that_has_ended_signs_nothing(tmp_path: Path) -> None:
    """As it grants nothing."""
    folder = make(tmp_path / "ca", "ec-p256")
    with pytest.raises(LocalState, match="expired"):
        signing.sign(
            b"0" * 32,
            folder.authority(None),
            by="anna",
            now=times.now() + timedelta(days=40_000),
            chain=[],
        )


def test_it_is_recorded(ca_folder: CaFolder) -> None:
    """Certificate and event, with the hash of what was signed."""
    signed, database = sign(ca_folder), ca_folder.store()
    database.write(lambda db: signing.keep(db, signed, by="anna"))
    from cipsec.store import certificates, events

    row = database.read(lambda db: certificates.by_serial(db, signed.row.serial))
    assert row == dataclasses.replace(signed.row)
    [(_, event)] = database.read(lambda db: list(events.after(db, 0)))
    database.close()
    assert (event.event, event.actor, event.serial) == ("report-signed", "anna", row and row.serial)
    assert hashlib.sha256(CONTENT).hexdigest() in str(event.reason)
