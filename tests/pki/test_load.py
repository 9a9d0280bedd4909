"""Files as people have them: every good form is read, and every mistake is named with a hint."""

from __future__ import annotations

import base64
import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs7,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import keys, load
from tests.support import der, programs

CERTIFICATE = x509.load_der_x509_certificate(der.certificate())
OTHER = x509.load_der_x509_certificate(der.certificate(serial=b"\x06"))
REQUEST = der.request()
KEY = keys.generate(keys.KeyType.EC_P256)
DER = CERTIFICATE.public_bytes(Encoding.DER)
PEM = CERTIFICATE.public_bytes(Encoding.PEM)
_NOW = datetime.now(UTC)
CRL = (
    x509.CertificateRevocationListBuilder(CERTIFICATE.subject, _NOW, _NOW + timedelta(1))
    .add_extension(x509.CRLNumber(7), critical=False)
    .sign(KEY, keys.signing_hash(KEY))
)
BOTH = pkcs7.serialize_certificates([CERTIFICATE, OTHER], Encoding.DER)


@pytest.mark.parametrize(
    "data",
    [
        PEM,
        DER,
        DER + b"\n",
        base64.b64encode(DER),
        b"\xef\xbb\xbf" + PEM,
        b"Certificate:\n    Data:\n" + PEM.replace(b"\n", b"\r\n"),
        der.pem("X509 CERTIFICATE", DER),
    ],
    ids=["pem", "der", "der and a line feed", "base64", "byte order mark", "text before", "x509"],
)
def test_every_form_of_a_certificate_is_read(data: bytes) -> None:
    """Whatever program wrote it."""
    assert load.certificates(data, "x.pem") == [CERTIFICATE]


@pytest.mark.parametrize(
    "data",
    [
        PEM + OTHER.public_bytes(Encoding.PEM),
        DER + OTHER.public_bytes(Encoding.DER),
        BOTH,
        base64.encodebytes(BOTH),
        der.pem("PKCS7", BOTH),
        der.pem("CMS", BOTH),
    ],
    ids=["pem", "der", "pkcs7", "base64 of /cacerts", "armoured", "cms"],
)
def test_all_certificates_of_a_file_are_read(data: bytes) -> None:
    """Never silently the first."""
    assert set(load.certificates(data, "x.pem")) == {CERTIFICATE, OTHER}


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        base64.b64encode(REQUEST),
        base64.encodebytes(REQUEST),
        der.pem("CERTIFICATE REQUEST", REQUEST),
        der.pem("NEW CERTIFICATE REQUEST", REQUEST),
        PEM + der.pem("CERTIFICATE REQUEST", REQUEST),
    ],
    ids=["der", "base64", "lines", "pem", "old pem", "beside a certificate"],
)
def test_every_form_of_a_request_is_read(data: bytes) -> None:
    """Base64 without armour too, as EST carries it."""
    assert load.request(data, "x.csr") == REQUEST


def test_two_requests_are_one_too_many() -> None:
    """Which of them is meant cannot be told."""
    with pytest.raises(Malformed, match=r"x\.csr holds 2 certificate signing requests"):
        load.request(der.pem("CERTIFICATE REQUEST", REQUEST) * 2, "x.csr")


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "x.pem is empty", "ls -l x.pem"),
        (b" \n", "x.pem is empty", "ls -l x.pem"),
        (b"\xff\xfe" + PEM.decode().encode("utf-16-le"), "x.pem is UTF-16 text", "iconv"),
        (PEM.decode().encode("utf-16-be"), "x.pem is UTF-16 text", "iconv"),
        (b"<!DOCTYPE html><title>Log in</title>", "x.pem is HTML or XML", "head x.pem"),
        (b'{"error": 401}', "x.pem is neither PEM, DER, PKCS#7 nor base64", "file x.pem"),
        (b"\x00\x01\x02", "x.pem is neither PEM", "file x.pem"),
        (PEM[:-20], "x.pem is cut off", "copy it whole"),
        (PEM[:100] + PEM, "x.pem is cut off", "copy it whole"),
        (DER[:-20], "x.pem is cut off", "file x.pem"),
        (b"\x30\x03\x02\x01\x05", "neither a certificate nor a request", "file x.pem"),
        (keys.to_pem(KEY), "no certificate in x.pem, only: private key", "csr create --key x.pem"),
        (keys.to_pem(KEY, "secret"), "only: private key", "csr create --key x.pem"),
        (der.pem("EC PRIVATE KEY", b"0"), "only: private key", "csr create --key x.pem"),
        (keys.spki(KEY.public_key()), "only: public key", "file x.pem"),
        (der.pem("EC PARAMETERS", b"0"), "only: ec parameters", "file x.pem"),
        (REQUEST, "only: certificate signing request", "cipsec csr show x.pem"),
        (der.pem("TRUSTED CERTIFICATE", DER), "OpenSSL's trusted form", "openssl x509 -in x.pem"),
        (
            der.pem("CERTIFICATE", DER[:-1] + b"\0\0"),
            "object 1 (certificate) in x.pem is damaged: its DER does not decode",
            None,
        ),
        (der.pem("CERTIFICATE", der.certificate(version=6)), "not a valid X509 version", None),
        (PEM.replace(b"M", b"*"), "in x.pem is damaged: this is not base64", "copy it again"),
        (
            der.pem("CERTIFICATE REQUEST", DER),
            "is not what its label says: it is a certificate",
            "write CERTIFICATE into its lines BEGIN and END",
        ),
        (
            der.pem("CERTIFICATE", REQUEST),
            "is not what its label says: it is a certificate signing request",
            "write CERTIFICATE REQUEST into",
        ),
        (
            der.pem("CERTIFICATE", CRL.public_bytes(Encoding.DER)),
            "is not what its label says: it is a CRL",
            "write X509 CRL into",
        ),
        (der.pem("OPENSSH PRIVATE KEY", b"0"), "only: private key of SSH", "keep it private"),
        (b"ssh-ed25519 AAAAC3Nz engineer@pc\n", "is a public key of SSH", "ssh-keygen -l -f x.pem"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "x.pem is a Java keystore", "keytool -importkeystore"),
        (b"PK\x03\x04\x14\0", "x.pem is a ZIP archive", "file x.pem"),
        (b"PK\x03\x04\n\0" + der.pem("CERTIFICATE", der.certificate()), "is a ZIP", "file x.pem"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\n", "a private key of SSH, in PuTTY's", "file x.pem"),
        (PEM * 1001, "x.pem holds more than 1000 objects", "file x.pem"),
        (DER * 1001, "x.pem holds more than 1000 objects", "file x.pem"),
        (BOTH * 501, "x.pem holds more than 1000 objects", "file x.pem"),
    ],
    ids=itertools.count(),  # what is tried differs in each process
)
def test_every_mistake_is_named(data: bytes, message: str, hint: str | None) -> None:
    """One line, and where something can be typed, what."""
    with pytest.raises(Malformed) as caught:
        load.certificates(data, "x.pem")
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_a_private_key_in_der_is_recognised_encrypted_or_not() -> None:
    """Neither asks for a passphrase."""
    plain, locked = (
        base64.b64decode(b"".join(keys.to_pem(KEY, word).splitlines()[1:-1]))
        for word in (None, "secret")
    )
    for data in (plain, locked):
        with pytest.raises(Malformed, match="only: private key"):
            load.request(data, "x.der")


def test_pkcs12_is_recognised() -> None:
    """What Windows exports."""
    locked = BestAvailableEncryption(b"x")
    data = pkcs12.serialize_key_and_certificates(b"x", KEY, None, [CERTIFICATE], locked)
    with pytest.raises(Malformed, match="only: PKCS#12") as caught:
        load.certificates(data, "x.pfx")
    assert caught.value.hint == "openssl pkcs12 -in x.pfx -nokeys -out FILE"


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
def test_a_crl_is_recognised(form: Encoding) -> None:
    """It looks much like a certificate, and is read as what it is."""
    data = CRL.public_bytes(form)
    assert load.contents(data, "x.crl").crls == (CRL,)
    with pytest.raises(Malformed, match="only: CRL") as caught:
        load.certificates(data, "x.crl")
    assert caught.value.hint == "cipsec cert show x.crl"


def test_hints_can_be_typed() -> None:
    """A path with a space is quoted, and stdin is typed as `-`."""
    for source, typed in (("my file", "'my file'"), (load.STDIN, "-")):
        with pytest.raises(Malformed) as caught:
            load.certificates(REQUEST, source)
        assert caught.value.hint == f"cipsec csr show {typed}"


def test_what_else_a_file_holds_is_known() -> None:
    """Certificates beside a key are read, and the key is not passed over."""
    found = load.contents(PEM + keys.to_pem(KEY), "x.pem")
    assert (found.certificates, found.others) == ((CERTIFICATE,), ("private key",))


# openssl does not sort the SET of certificates, as DER has it.
@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER:UserWarning")
@pytest.mark.programs
def test_openssl_forms_are_read(tmp_path: Path) -> None:
    """PKCS#7 in both encodings, and a CSR with its text before it."""
    programs.need("openssl")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(PEM + OTHER.public_bytes(Encoding.PEM))
    for form in ("PEM", "DER"):
        command = ("openssl", "crl2pkcs7", "-nocrl", "-certfile", chain, "-outform", form)
        assert len(load.certificates(programs.run(*command).stdout, "x.p7b")) == 2
    text = ("openssl", "req", "-inform", "DER", "-text")
    assert load.request(programs.run(*text, stdin=REQUEST).stdout, "x.csr") == REQUEST


@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER:UserWarning")
@pytest.mark.programs
def test_lists_in_pkcs7_are_read(tmp_path: Path) -> None:
    """As devices keep them, alone and beside certificates; in BER too, as a stream is signed."""
    programs.need("openssl")
    crl, pem, key = tmp_path / "crl", tmp_path / "pem", tmp_path / "key"
    crl.write_bytes(CRL.public_bytes(Encoding.PEM))
    pem.write_bytes(PEM)
    alone = ("openssl", "crl2pkcs7", "-in", crl, "-outform", "DER")
    for command, number in ((alone, 0), ((*alone, "-certfile", pem), 1)):
        found = load.contents(programs.run(*command).stdout, "x.p7b")
        assert (found.crls, len(found.certificates), found.others) == ((CRL,), number, ())
    key.write_bytes(keys.to_pem(der.KEY))
    sign = ("openssl", "cms", "-sign", "-signer", pem, "-inkey", key, "-nodetach", "-binary")
    made = programs.run(*sign, "-in", pem, "-outform", "DER", "-stream", "-indef").stdout
    assert made[:2] == b"\x30\x80"
    assert load.certificates(made, "x.p7m") == [CERTIFICATE]


@pytest.mark.programs
def test_encrypted_pkcs7_is_named(tmp_path: Path) -> None:
    """There may be a certificate in it; nobody can tell."""
    programs.need("openssl")
    recipient = tmp_path / "pem"
    recipient.write_bytes(PEM)
    seal = ("openssl", "cms", "-encrypt", "-in", recipient, "-outform", "DER", recipient)
    with pytest.raises(Malformed, match="only: PKCS#7 that is encrypted"):
        load.certificates(programs.run(*seal).stdout, "x.p7m")


@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER:UserWarning")
def test_pkcs7_in_ber_is_read() -> None:
    """BouncyCastle writes indefinite lengths."""
    content = BOTH[4:]
    assert BOTH[:2] == b"\x30\x82"
    assert len(load.certificates(b"\x30\x80" + content + b"\0\0", "x.p7b")) == 2


_FORMS = (
    *(PEM, DER, BOTH, der.pem("PKCS7", BOTH), REQUEST, keys.to_pem(KEY)),
    CRL.public_bytes(Encoding.DER),
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.sampled_from(_FORMS), st.integers(0, 2000), st.binary(max_size=4))
def test_mutated_files_never_break_the_reader(form: bytes, at: int, inserted: bytes) -> None:
    """Contents, or one line."""
    with contextlib.suppress(Malformed):
        load.contents(form[:at] + inserted + form[at + len(inserted) :], "x")


@given(st.binary(max_size=300))
def test_any_bytes_never_break_the_reader(data: bytes) -> None:
    """Also such that begin as DER or as PEM do."""
    for begin in (b"", b"\x30", b"\x30\x82", b"-----BEGIN CERTIFICATE-----"):
        with contextlib.suppress(Malformed):
            load.contents(begin + data, "x")
