"""PKCS#12: what is in it, behind which passphrase, and what would never end."""

from __future__ import annotations

from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    pkcs12,
)

from cipsec.errors import Locked, Malformed
from cipsec.pki import ber, bundle, keys
from cipsec.pki.pkcs12 import is_archive, read
from tests.support import der, programs

# cryptography reads BER all the same.
pytestmark = pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed:UserWarning")

LEAF = x509.load_der_x509_certificate(der.certificate())
ISSUER = x509.load_der_x509_certificate(der.certificate(serial=b"\x06"))
VECTORS = Path(cryptography_vectors.__file__).parent / "pkcs12"


def archive(encryption: KeySerializationEncryption) -> bytes:
    """A key with its certificate and its issuer's."""
    return pkcs12.serialize_key_and_certificates(b"x", der.KEY, LEAF, [ISSUER], encryption)


SEALED = archive(BestAvailableEncryption(b"secret"))


def test_the_chain_comes_out_leaf_first() -> None:
    """The key stays where it is, and is only said to be there."""
    found = read(SEALED, "x.p12", "secret")
    assert (found.certificates, found.has_key) == ((LEAF, ISSUER), True)


@pytest.mark.parametrize("word", [None, "wrong", "Secret", "secret "])
def test_a_passphrase_opens_or_does_not(word: str | None) -> None:
    """Locked, with what to do about it."""
    with pytest.raises(Locked, match=r"needs its passphrase|does not open x\.p12") as caught:
        read(SEALED, "x.p12", word)
    assert caught.value.hint


def test_no_passphrase_is_no_obstacle() -> None:
    """Nor is an empty one, which is something else in PKCS#12."""
    assert read(archive(NoEncryption()), "x.p12", None).certificates == (LEAF, ISSUER)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.p12")), ids=lambda path: path.stem)
def test_archives_of_other_programs_are_read(path: Path) -> None:
    """Those of cryptography's vectors: Java, RC2, keys alone, certificates alone."""
    data = path.read_bytes()
    assert is_archive(data)
    words = {"java-truststore": "", "cert-none-key-none": "cryptography"}
    for word in (None, "cryptography", "password", words.get(path.stem, "")):
        try:
            found = read(data, path.name, word)
        except Locked:
            continue
        assert found.certificates or found.has_key
        return
    pytest.fail("nothing opens it")


@pytest.mark.programs
@pytest.mark.parametrize("options", [(), ("-legacy",), ("-nomac",), ("-nokeys",)])
def test_archives_of_openssl_are_read(options: tuple[str, ...], tmp_path: Path) -> None:
    """In its new and its old algorithms."""
    programs.need("openssl")
    pem = tmp_path / "pem"
    pem.write_bytes(LEAF.public_bytes(Encoding.PEM) + keys.to_pem(der.KEY))
    export = ("openssl", "pkcs12", "-export", "-in", pem, "-passout", "pass:secret")
    found = read(programs.run(*export, *options).stdout, "x.p12", "secret")
    assert (found.certificates, found.has_key) == ((LEAF,), options != ("-nokeys",))


def _in_ber(data: bytes) -> bytes:
    """The same with lengths left open and the content in pieces, as some Java programs write."""
    outer = next(ber.elements(data))
    version, safe, mac = ber.inside(data, outer)
    kind, explicit = ber.inside(data, safe)
    content = ber.octets(data, next(ber.inside(data, explicit)))
    pieces = b"".join(der.tlv(4, content[i : i + 100]) for i in range(0, len(content), 100))
    end = b"\0\0"
    octets = b"\x24\x80" + pieces + end
    opened = b"\x30\x80" + data[kind.at : kind.after] + b"\xa0\x80" + octets + end + end
    return b"\x30\x80" + data[version.at : version.after] + opened + data[mac.at : mac.after] + end


def test_ber_is_read() -> None:
    """And looked into for what would take forever."""
    made = _in_ber(SEALED)
    assert is_archive(made)
    assert read(made, "x.p12", "secret").certificates == (LEAF, ISSUER)


def _rehashed(data: bytes, rounds: int) -> bytes:
    """The same, with another number of rounds in its MacData."""
    outer = next(ber.elements(data))
    version, safe, mac = (data[e.at : e.after] for e in ber.inside(data, outer))
    digest, salt = (mac[e.at : e.after] for e in list(ber.inside(mac, next(ber.elements(mac))))[:2])
    return der.sequence(version, safe, der.sequence(digest, salt, der.tlv(2, rounds.to_bytes(4))))


def test_rounds_without_end_are_not_begun() -> None:
    """2^31 of them take a minute for every passphrase tried."""
    made = _rehashed(SEALED, 2_000_000_000)
    for data in (made, _in_ber(made)):
        with pytest.raises(Malformed, match="hashed 2000000000 times"):
            read(data, "x.p12", "secret")
        with pytest.raises(Malformed, match="hashed 2000000000 times"):
            bundle.read(data, "x.p12", "secret")


def test_damage_is_told() -> None:
    """Cut off in the middle; cut off late, the passphrase cannot be told from damage."""
    with pytest.raises(Malformed, match="begins as PKCS#12 and is damaged"):
        read(SEALED[: len(SEALED) // 2], "x.p12", "secret")


def test_what_is_too_large_is_not_looked_into() -> None:
    """Nobody keeps a megabyte of certificates in it."""
    with pytest.raises(Malformed, match="of more than 1048576 bytes"):
        read(SEALED + bytes(1 << 20), "x.p12", "secret")
