"""`cipsec ca init --import`: a CA that exists goes on here, from whatever file its key is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from cipsec import times
from cipsec.ca_folder import fingerprint, open_folder
from cipsec.pki import keys
from tests.support import ca, programs, upper
from tests.support.terminal import at_terminal
from tests.support.upper import Ca

from .conftest import Cipsec

_PLAIN = form.NoEncryption()
_OLD = form.BestAvailableEncryption(b"old horse")
_PEM, _DER = form.Encoding.PEM, form.Encoding.DER
_PKCS8, _TRADITIONAL = form.PrivateFormat.PKCS8, form.PrivateFormat.TraditionalOpenSSL


@pytest.fixture(scope="module")
def root() -> Ca:
    """A root that was made elsewhere, and may have CAs below it."""
    return upper.root()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The passphrase of the key that is imported."""
    (tmp_path / "old").write_text("old horse\n")
    return tmp_path / "old"


def argv(tmp_path: Path, *more: object) -> list[object]:
    """Return the words of an import into `ca`."""
    return ["ca", "init", "--no-passphrase", "--ca-dir", tmp_path / "ca", *more]


def usable(place: Path, at: Path, *anchors: x509.Certificate) -> x509.Certificate:
    """Return a certificate issued by the CA in a folder, which openssl verifies."""
    programs.need("openssl")
    folder = open_folder(place)
    settings = place / "ca.toml"
    text = settings.read_text().replace('then = "ask"', 'then = "grant"\nlab = true')
    settings.write_text(text)
    issued = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    leaf = upper.write(at / "leaf.pem", issued)
    given = upper.write(at / "anchors.pem", *(anchors or [folder.root()]))
    between = upper.write(at / "between.pem", *folder.cacerts(times.now()))
    done = programs.run("openssl", "verify", "-CAfile", given, "-untrusted", between, leaf)
    assert done.returncode == 0, done
    return issued


@pytest.mark.parametrize(
    "written",
    [
        (_PEM, _PKCS8, _PLAIN),
        (_PEM, _PKCS8, _OLD),
        (_PEM, _TRADITIONAL, _PLAIN),
        (_PEM, _TRADITIONAL, _OLD),
        (_DER, _PKCS8, _PLAIN),
        (_DER, _PKCS8, _OLD),
        (_DER, _TRADITIONAL, _PLAIN),
    ],
)
def test_every_form_of_a_key(
    cipsec: Cipsec, tmp_path: Path, root: Ca, old: Path, written: tuple[Any, Any, Any]
) -> None:
    """The CA goes on under its own certificate, its key unencrypted because that was asked for."""
    key = tmp_path / "their.key"
    key.write_bytes(root.key.private_bytes(*written))
    own = upper.write(tmp_path / "their.pem", root.certificate)
    opens = () if written[2] is _PLAIN else ("--import-passphrase-file", old)
    ran = cipsec(*argv(tmp_path, "--import", key, "--certificate", own, *opens, "--json"))
    assert ran.code == 0, ran.err
    made = ran.json["ca"]
    assert made["sha256"] == made["root_sha256"] == fingerprint(root.certificate)
    assert "horse" not in ran.out + ran.err
    assert "not on record here" in ran.err
    assert open_folder(tmp_path / "ca").configuration().name == "Works Root"
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "ca" / "chain.pem").exists()
    usable(tmp_path / "ca", tmp_path, root.certificate)


@pytest.mark.parametrize("secret", [None, b"old horse"])
def test_pkcs12_of_an_intermediate(
    cipsec: Cipsec, tmp_path: Path, root: Ca, old: Path, secret: bytes | None
) -> None:
    """Key, certificate and the CAs above come in one file; the request for later is made."""
    middle = root.below("CN=Line 4,O=Works")
    given = tmp_path / "ca.p12"
    protection = form.BestAvailableEncryption(secret) if secret else _PLAIN
    given.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"ca", middle.key, middle.certificate, [root.certificate], protection
        )
    )
    opens = ("--import-passphrase-file", old) if secret else ()
    ran = cipsec(*argv(tmp_path, "--import", given, "--name", "Line 4", *opens))
    assert ran.code == 0, ran.err
    folder = open_folder(tmp_path / "ca")
    assert folder.cacerts(times.now()) == [middle.certificate, root.certificate]
    request = x509.load_pem_x509_csr(folder.request_file.read_bytes())
    assert request.subject == middle.certificate.subject
    assert request.is_signature_valid
    usable(tmp_path / "ca", tmp_path, root.certificate)


def test_openssl_made_it(cipsec: Cipsec, tmp_path: Path) -> None:
    """What `openssl req -x509` leaves: EC PARAMETERS before the key, no keyUsage, no pathlen."""
    programs.need("openssl")
    both = tmp_path / "both.pem"
    for words in (
        ("ecparam", "-name", "prime256v1", "-genkey", "-out", both),
        ("req", "-x509", "-new", "-key", both, "-subj", "/CN=Old/O=Works", "-days", "900",
         "-out", tmp_path / "old.pem"),
    ):  # fmt: skip
        assert programs.run("openssl", *words).returncode == 0
    both.write_bytes((tmp_path / "old.pem").read_bytes() + both.read_bytes())
    ran = cipsec(*argv(tmp_path, "--import", both))
    assert ran.code == 0, ran.err
    assert "warning: O=Works,CN=Old: has no keyUsage" in ran.err
    usable(tmp_path / "ca", tmp_path)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), upper.rsa_key(2048), upper.rsa_key(4096)]
)
def test_kinds_of_keys(cipsec: Cipsec, tmp_path: Path, key: Any) -> None:
    """P-384 and RSA of any strength that is served go on signing."""
    made = upper.root(key=key)
    both = tmp_path / "both.pem"
    both.write_bytes(key.private_bytes(_PEM, _PKCS8, _PLAIN) + made.certificate.public_bytes(_PEM))
    assert cipsec(*argv(tmp_path, "--import", both)).code == 0
    issued = usable(tmp_path / "ca", tmp_path)
    expected = "sha384" if keys.type_name(key.public_key()) == "ec-p384" else "sha256"
    assert issued.signature_hash_algorithm is not None
    assert issued.signature_hash_algorithm.name == expected


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (ec.generate_private_key(ec.SECP521R1()), "keys on the curve secp521r1 are not served"),
        (upper.rsa_key(1024), "an RSA key of 1024 bits is not served"),
        (ed25519.Ed25519PrivateKey.generate(), "only EC (P-256, P-384) and RSA keys are served"),
    ],
)
def test_keys_that_are_not_served(cipsec: Cipsec, tmp_path: Path, key: Any, said: str) -> None:
    """What could not sign here, or would be refused by devices, is refused and named."""
    (tmp_path / "their.key").write_bytes(key.private_bytes(_PEM, _PKCS8, _PLAIN))
    ran = cipsec(*argv(tmp_path, "--import", tmp_path / "their.key"))
    assert ran.code == 6
    assert f"the key in {tmp_path / 'their.key'} cannot be used: {said}" in ran.err
    assert not (tmp_path / "ca").exists()


def test_without_a_subject_key_identifier(cipsec: Cipsec, tmp_path: Path) -> None:
    """Issued certificates then point at the key by the usual hash; openssl finds the way."""
    made = upper.root(identifier=False)
    both = tmp_path / "both.pem"
    pem = made.key.private_bytes(_PEM, _PKCS8, _PLAIN)
    both.write_bytes(pem + made.certificate.public_bytes(_PEM))
    assert cipsec(*argv(tmp_path, "--import", both)).code == 0
    issued = usable(tmp_path / "ca", tmp_path)
    found = issued.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found == x509.AuthorityKeyIdentifier.from_issuer_public_key(made.key.public_key())
    signed = cipsec("ca", "crl", "--ca-dir", tmp_path / "ca", "-o", tmp_path / "ca.crl")
    assert signed.code == 0
    listed = x509.load_der_x509_crl((tmp_path / "ca.crl").read_bytes())
    pointed = listed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert pointed == found
    assert cipsec("ca", "show", "--ca-dir", tmp_path / "ca").code == 0


def test_a_subject_in_old_encodings(cipsec: Cipsec, tmp_path: Path) -> None:
    """The issuer's name stands in what is issued byte by byte as in the CA's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    kind = x509.name._ASN1Type.BMPString
    odd = x509.NameAttribute(NameOID.COMMON_NAME, "Märklin", _type=kind)
    plain = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "W", _type=x509.name._ASN1Type.T61String)
    name = x509.Name([x509.RelativeDistinguishedName([plain, odd])])
    own = upper.make(name, key.public_key(), name, key, upper.Wish(pathlen=None))
    both = tmp_path / "both.pem"
    both.write_bytes(key.private_bytes(_PEM, _PKCS8, _PLAIN) + own.public_bytes(_PEM))
    ran = cipsec(*argv(tmp_path, "--import", both))
    assert ran.code == 0, ran.err
    issued = usable(tmp_path / "ca", tmp_path)
    assert own.subject.public_bytes() in issued.tbs_certificate_bytes


def test_what_cannot_go_on(cipsec: Cipsec, tmp_path: Path, root: Ca) -> None:
    """A certificate that ended, may not sign, or has no CA above: all is said, nothing is made."""
    bad = root.below("CN=Line 4", days=(-9, -2), usage=upper.usage(sign=False))
    both = tmp_path / "both.pem"
    pem = bad.key.private_bytes(_PEM, _PKCS8, _PLAIN)
    both.write_bytes(pem + bad.certificate.public_bytes(_PEM))
    ran = cipsec(*argv(tmp_path, "--import", both, "--json"))
    assert ran.code == 6
    said = [one["message"] for one in ran.json["error"]["objections"]]
    assert len(said) == 3
    assert "is missing" in said[0]
    assert not (tmp_path / "ca").exists()


def test_mistakes(cipsec: Cipsec, tmp_path: Path, root: Ca, old: Path) -> None:
    """Each gets one line with what to type; no key appears anywhere."""
    own = upper.write(tmp_path / "own.pem", root.certificate)
    key, locked = tmp_path / "plain.key", tmp_path / "locked.key"
    key.write_bytes(root.key.private_bytes(_PEM, _PKCS8, _PLAIN))
    locked.write_bytes(root.key.private_bytes(_PEM, _PKCS8, _OLD))
    (tmp_path / "wrong").write_text("wrong\n")
    (tmp_path / "two").write_bytes(key.read_bytes() * 2)
    (tmp_path / "noise").write_bytes(b"\x30\x82\x01\x00" + bytes(64))
    other = upper.write(tmp_path / "other.pem", upper.root().certificate)
    cases: list[tuple[list[object], int, str]] = [
        (["--import", key], 6, "none of the certificates given is for the key"),
        (["--import", key, "--certificate", other], 6, "none of the certificates given"),
        (["--import", own], 6, "there is no private key in"),
        (["--import", locked, "--certificate", own], 6, "add --import-passphrase-file FILE"),
        (["--import", locked, "--import-passphrase-file", tmp_path / "wrong"], 6, "does not open"),
        (["--import", tmp_path / "two", "--certificate", own], 6, "2 private keys"),
        (["--import", tmp_path / "noise", "--certificate", own], 6, "holds no private key"),
        (["--import", tmp_path / "none", "--certificate", own], 6, "there is no file"),
        (["--import", key, "--days", "9", "--certificate", own], 2, "--days has no effect"),
        (["--import", key, "--intermediate"], 2, "leave out --intermediate"),
        (["--name", "X", "--import-passphrase-file", old], 2, "add --import FILE"),
    ]
    for more, code, said in cases:
        ran = cipsec(*argv(tmp_path, *more))
        assert (ran.code, said in ran.err) == (code, True), (more, ran.err)
        assert "BEGIN" not in ran.out + ran.err
        assert not (tmp_path / "ca").exists()


def test_pkcs12_of_other_things(cipsec: Cipsec, tmp_path: Path, root: Ca, old: Path) -> None:
    """A wrong passphrase, no key at all, a file that was cut: said, and nothing is made."""
    protection = form.BestAvailableEncryption(b"another horse")
    whole = pkcs12.serialize_key_and_certificates(
        b"ca", root.key, root.certificate, None, protection
    )
    bare = pkcs12.serialize_key_and_certificates(b"ca", None, root.certificate, None, _PLAIN)
    for data, said in (
        (whole, "does not open"),
        (bare, "there is no private key in"),
        (whole[:-9], "begins as PKCS#12 and is damaged"),
    ):
        (tmp_path / "ca.p12").write_bytes(data)
        opens = ("--import-passphrase-file", old)
        ran = cipsec(*argv(tmp_path, "--import", tmp_path / "ca.p12", *opens))
        assert (ran.code, said in ran.err) == (6, True), ran.err


def test_both_passphrases_at_a_terminal(tmp_path: Path, root: Ca) -> None:
    """The one that opens is asked for once, the new one twice; neither is shown."""
    locked = tmp_path / "locked.pem"
    pem = root.key.private_bytes(_PEM, _PKCS8, _OLD)
    locked.write_bytes(pem + root.certificate.public_bytes(_PEM))
    words = ["ca", "init", "--import", str(locked), "--ca-dir", str(tmp_path / "ca")]
    new = "Passphrase of the CA's key"
    asked = (f"Passphrase of {locked}: ", "old horse\n")
    made = at_terminal(words, asked, (f"{new}: ", "new horse\n"), (f"{new} again: ", "new horse\n"))
    assert made.code == 0, made.screen
    assert "horse" not in made.screen
    open_folder(tmp_path / "ca").authority("new horse")


def test_what_was_issued_elsewhere_is_revoked_by_its_serial_number(
    cipsec: Cipsec, tmp_path: Path, root: Ca
) -> None:
    """As the import says: it is not on record, and the next list names it all the same."""
    bundle = tmp_path / "their.pem"
    upper.write(bundle, root.certificate)
    bundle.write_bytes(bundle.read_bytes() + keys.to_pem(root.key))
    made = cipsec(*argv(tmp_path, "--import", bundle))
    assert "cipsec ca revoke --unknown SERIAL" in made.err
    place = ("--ca-dir", tmp_path / "ca")
    assert cipsec("ca", "revoke", "--unknown", "02", "-y", *place).code == 0
    assert cipsec("ca", "crl", "-o", tmp_path / "list.crl", *place).code == 0
    listed = x509.load_der_x509_crl((tmp_path / "list.crl").read_bytes())
    assert [entry.serial_number for entry in listed] == [2]
