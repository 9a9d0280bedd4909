"""`cipsec smartcard generate|import`: keys and certificates onto the card, nothing lost unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from tests.card import cards
from tests.cli.conftest import Cipsec
from tests.support import pivkeys
from tests.support.pivcard import PIN, PivCard

from .conftest import READERS, Desk, Secret


def _held(card: PivCard, slot: Slot = AUTHENTICATION) -> x509.Certificate | None:
    return Piv.select(card).certificate(slot)


def test_generate(cipsec: Cipsec, card: PivCard) -> None:
    """A key in the slot; no PIN is needed to make it."""
    ran = cipsec("smartcard", "generate", "--json", "--slot", "9d", "--key-type", "ec-p384")
    assert ran.code == 0
    [record] = ran.json["cards"]
    assert (record["reader"], record["slot"], record["key_type"]) == (READERS[0], "9d", "ec-p384")
    public = serialization.load_pem_public_key(record["public_key"].encode())
    assert public == card.keys[0x9D].public_key()
    assert record["csr"] is None
    assert "of keys this card tells nothing" in ran.err


@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384", "rsa-2048"])
def test_generate_with_a_request(
    cipsec: Cipsec, card: PivCard, secret: Secret, tmp_path: Path, key_type: str
) -> None:
    """The request is signed on the card, and `csr verify` finds nothing against it."""
    target = tmp_path / "card.csr"
    argv = ["smartcard", "generate", "--key-type", key_type, "--pin-file", secret("123456")]
    ran = cipsec(*argv, "--subject", "CN=card-7", "-o", target)
    assert ran.code == 0
    assert ran.err.endswith(f"cipsec: wrote the request {target}\n")
    request = x509.load_pem_x509_csr(target.read_bytes())
    assert request.is_signature_valid
    assert request.public_key() == card.keys[0x9A].public_key()
    assert request.subject.rfc4514_string() == "CN=card-7"
    assert cipsec("csr", "verify", target).code == 0
    assert cipsec(*argv, "-y", "-o", target).code == 6


def test_generate_to_stdout(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """The request and nothing else."""
    ran = cipsec("smartcard", "generate", "-o", "-", "--pin-file", secret("123456"))
    assert ran.code == 0
    assert x509.load_pem_x509_csr(ran.out.encode()).is_signature_valid
    assert ran.out.startswith("-----BEGIN")


def test_what_would_be_lost(cipsec: Cipsec, card: PivCard) -> None:
    """Exit 6, named, and untouched; with -y the certificate goes with its key."""
    cards.provision(card)
    before = card.keys[0x9A]
    ran = cipsec("smartcard", "generate")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith(
        f"cipsec: error: slot 9a of the card in {READERS[0]} holds the certificate CN=card-1,"
    )
    assert ran.err.endswith("cipsec: hint: add -y when it and its key may be lost\n")
    assert card.keys[0x9A] is before
    ran = cipsec("smartcard", "generate", "-y")
    assert ran.code == 0
    assert "it and its key will be lost" in ran.err
    assert card.keys[0x9A] is not before
    assert _held(card) is None


def test_a_key_alone(cipsec: Cipsec, extended: PivCard) -> None:
    """A card that tells of keys keeps one without certificate, too."""
    assert cipsec("smartcard", "generate").code == 0
    ran = cipsec("smartcard", "generate")
    assert ran.code == 6
    assert "holds a key without certificate" in ran.err


def test_a_wrong_pin_keeps_the_key(
    cipsec: Cipsec, card: PivCard, secret: Secret, tmp_path: Path
) -> None:
    """The PIN is shown before the old key is gone."""
    cards.provision(card)
    before = card.keys[0x9A]
    target = tmp_path / "card.csr"
    argv = ["smartcard", "generate", "-y", "-o", target, "--pin-file"]
    assert cipsec(*argv, secret("654321")).code == 7
    assert cipsec(*argv, secret("1234")).code == 2
    assert card.keys[0x9A] is before
    assert card.secrets[PIN].tries == card.manners.tries - 1
    assert not target.exists()


def test_another_management_key(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """Said, with the option; a wrong one is said as well, and changes nothing."""
    card.management = pivkeys.Management(0x03, bytes(range(24)))
    ran = cipsec("smartcard", "generate", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (7, "wrong_management_key")
    assert ran.json["error"]["hint"] == "add --management-key-file FILE"
    wrong = cipsec("smartcard", "generate", "--management-key-file", secret("00" * 24))
    assert (wrong.code, card.keys) == (7, {})
    assert cipsec("smartcard", "generate", "--management-key-file", secret("xyz")).code == 2
    right = secret(bytes(range(24)).hex())
    ran = cipsec("smartcard", "generate", "--management-key-file", right)
    assert ran.code == 0
    assert bytes(range(24)).hex() not in ran.out + ran.err


def test_pulled_in_generating(cipsec: Cipsec, desk: Desk, secret: Secret, tmp_path: Path) -> None:
    """At every APDU: exit 7, one line, no PIN spent, no file."""
    target, pin = tmp_path / "card.csr", secret("123456")
    for answered in range(40):
        card = desk.insert(PivCard())
        card.faults.pulled_after = answered
        ran = cipsec("smartcard", "generate", "-o", target, "--pin-file", pin)
        if ran.code == 0:
            break
        assert ran.code == 7
        assert "pulled" in ran.err
        assert card.secrets[PIN].tries == card.manners.tries
        assert not target.exists()
    assert 5 < answered < 39
    assert target.exists()


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    """A key made elsewhere."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def pem(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    """The files of a certificate and its key."""
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(cards.certificate(key, "card-9").public_bytes(Encoding.PEM))
    files[1].write_bytes(keys.to_pem(key))
    return files


def test_import_a_key(
    cipsec: Cipsec, extended: PivCard, pem: tuple[Path, Path], key: ec.EllipticCurvePrivateKey
) -> None:
    """Key and certificate are on the card; without -y not over others."""
    argv = ["smartcard", "import", "--cert", pem[0], "--key", pem[1]]
    ran = cipsec(*argv, "--json")
    assert ran.code == 0
    assert ran.json["cards"][0]["subject"] == "CN=card-9"
    assert extended.keys[0x9A].public_key() == key.public_key()
    assert cipsec(*argv).code == 6
    assert cipsec(*argv, "-y").code == 0


@pytest.mark.parametrize("key_type", ["ec-p384", "rsa-2048"])
def test_import_other_keys(
    cipsec: Cipsec, extended: PivCard, tmp_path: Path, secret: Secret, key_type: str
) -> None:
    """Locked ones are opened by their passphrase."""
    made = keys.generate(KeyType(key_type))
    (tmp_path / "c.pem").write_bytes(cards.certificate(made).public_bytes(Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(keys.to_pem(made, "correct horse"))
    argv = ["smartcard", "import", "--cert", tmp_path / "c.pem", "--key", tmp_path / "k.pem"]
    assert cipsec(*argv).code == 2
    assert cipsec(*argv, "--passphrase-file", secret("correct horse")).code == 0
    assert extended.keys[0x9A].public_key() == made.public_key()


def test_plain_cards_take_no_keys(cipsec: Cipsec, card: PivCard, pem: tuple[Path, Path]) -> None:
    """Why, what to do instead, and nothing on the card."""
    ran = cipsec("smartcard", "import", "--cert", pem[0], "--key", pem[1])
    assert (ran.code, ran.out) == (7, "")
    assert ran.err.endswith(
        "cipsec: error: this card takes no keys from outside: it lacks Yubico's extension\n"
        "cipsec: hint: make the key on the card: cipsec smartcard generate -o FILE\n"
    )
    assert _held(card) is None


def test_import_a_certificate(
    cipsec: Cipsec, card: PivCard, secret: Secret, tmp_path: Path
) -> None:
    """By a signature the card proves that the key is its own; the old certificate is asked for."""
    cards.provision(card)
    old = card.keys[0x9A]
    assert isinstance(old, ec.EllipticCurvePrivateKey)
    target = tmp_path / "new.pem"
    target.write_bytes(cards.certificate(old, "card-2").public_bytes(Encoding.PEM))
    argv = ["smartcard", "import", "--cert", target, "--pin-file", secret("123456")]
    ran = cipsec(*argv)
    assert ran.code == 6
    assert ran.err.endswith("cipsec: hint: add -y when it may be lost\n")
    ran = cipsec(*argv, "-y")
    assert ran.code == 0
    assert card.keys[0x9A] is old
    held = _held(card)
    assert held is not None
    assert held.subject.rfc4514_string() == "CN=card-2"


def test_import_a_foreign_certificate(
    cipsec: Cipsec, card: PivCard, secret: Secret, pem: tuple[Path, Path]
) -> None:
    """A certificate of another key does not get onto the card."""
    made = cards.provision(card)
    ran = cipsec("smartcard", "import", "-y", "--cert", pem[0], "--pin-file", secret("123456"))
    assert (ran.code, ran.out) == (7, "")
    assert _held(card) == made


def test_files_that_do_not_fit(
    cipsec: Cipsec, extended: PivCard, pem: tuple[Path, Path], tmp_path: Path
) -> None:
    """Said before the card is asked."""
    (tmp_path / "other.pem").write_bytes(keys.to_pem(keys.generate(KeyType.EC_P256)))
    (tmp_path / "two.pem").write_bytes(pem[0].read_bytes() * 2)
    (tmp_path / "none.pem").write_bytes(b"\x1b[2K\0")
    for certificate, key, code in (
        (pem[0], tmp_path / "other.pem", 2),
        (tmp_path / "two.pem", pem[1], 6),
        (tmp_path / "none.pem", pem[1], 6),
        (pem[0], tmp_path / "none.pem", 6),
        (pem[0], tmp_path / "missing.pem", 6),
        (pem[1], pem[1], 6),
    ):
        ran = cipsec("smartcard", "import", "--cert", certificate, "--key", key)
        assert (ran.code, ran.out) == (code, ""), ran
        assert "\x1b" not in ran.err
    assert extended.log == []


def test_half_an_import(cipsec: Cipsec, extended: PivCard, pem: tuple[Path, Path]) -> None:
    """A card pulled between key and certificate is said, and mended by doing it again."""
    argv = ["smartcard", "import", "-y", "--cert", pem[0], "--key", pem[1]]
    said = []
    for answered in range(40):
        extended.faults.pulled_after = answered
        ran = cipsec(*argv)
        if ran.code == 0:
            break
        assert ran.code == 7
        extended.faults.pulled_after = None
        said.append("the key is on the card, its certificate is not" in ran.err)
    assert sorted(said) == said
    assert any(said)
    extended.faults.pulled_after = None
    assert _held(extended) is not None
