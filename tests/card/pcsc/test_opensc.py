"""OpenSC as the judge of the test card: a program that never saw `cipsec` uses it as a PIV card."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cipsec.card import pcsc
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.pki.keys import KeyType
from tests.card import cards
from tests.support import programs
from tests.support.pivcard import CARD_A, CARD_B, Manners, PivCard
from tests.support.vpcd import Pcscd

pytestmark = pytest.mark.programs

PIN = "123456"


@pytest.fixture(autouse=True)
def _opensc() -> None:
    programs.need("opensc-tool", "pkcs11-tool", "pkcs15-tool")


def _run(*command: str | Path) -> str:
    done = programs.run(*command)
    assert done.returncode == 0, done
    return done.stdout.decode()


def test_it_is_a_piv_card(daemon: Pcscd, card: PivCard) -> None:
    """By its name, told from the answer to SELECT."""
    daemon.insert(card)
    assert _run("opensc-tool", "-n") == "Personal Identity Verification Card\n"


def test_the_certificate_is_read(daemon: Pcscd, tmp_path: Path) -> None:
    """The same bytes that we put there."""
    card = PivCard()
    held = cards.provision(card)
    daemon.insert(card)
    assert "Certificate for PIV Authentication" in _run("pkcs15-tool", "--list-certificates")
    out = tmp_path / "card.pem"
    _run("pkcs15-tool", "--read-certificate", "01", "-o", out)
    assert x509.load_pem_x509_certificate(out.read_bytes()) == held


def test_the_objects_are_listed(daemon: Pcscd, card: PivCard) -> None:
    """Private key, public key and certificate, by one identifier."""
    daemon.insert(card)
    listed = _run("pkcs11-tool", "-O", "--login", "--pin", PIN)
    for kind in ("Private Key Object; EC", "Public Key Object; EC", "Certificate Object"):
        assert kind in listed


@pytest.mark.parametrize("manners", [CARD_A, CARD_B], ids=["card-a", "card-b"])
@pytest.mark.parametrize(
    ("key_type", "size"), [(KeyType.EC_P256, 32), (KeyType.EC_P256, 20), (KeyType.EC_P384, 48)]
)
def test_it_signs_digests(
    daemon: Pcscd, tmp_path: Path, manners: Manners, key_type: KeyType, size: int
) -> None:
    """Of the curve's width, and shorter ones."""
    card = PivCard(manners)
    held = cards.provision(card, key_type)
    daemon.insert(card)
    algorithm = {20: hashes.SHA1(), 32: hashes.SHA256(), 48: hashes.SHA384()}[size]
    digest = hashes.Hash(algorithm)
    digest.update(b"message")
    data, out = tmp_path / "digest", tmp_path / "signature"
    data.write_bytes(digest.finalize())
    _run("pkcs11-tool", "-s", "-m", "ECDSA", "--id", "01", "--login", "--pin", PIN,
         "-i", data, "-o", out, "--signature-format", "openssl")  # fmt: skip
    public_key = held.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(out.read_bytes(), b"message", ec.ECDSA(algorithm))


def test_it_signs_with_rsa(daemon: Pcscd, tmp_path: Path) -> None:
    """By its own test of every mechanism, and as we verify."""
    card = PivCard()
    held = cards.provision(card, KeyType.RSA_2048)
    daemon.insert(card)
    tested = programs.run("pkcs11-tool", "--test", "--login", "--pin", PIN).stdout.decode()
    assert "RSA-PKCS: OK" in tested
    assert "ERR" not in tested
    data, out = tmp_path / "data", tmp_path / "signature"
    data.write_bytes(b"message")
    _run("pkcs11-tool", "-s", "-m", "SHA256-RSA-PKCS", "--id", "01", "--login", "--pin", PIN,
         "-i", data, "-o", out)  # fmt: skip
    public_key = held.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    public_key.verify(out.read_bytes(), b"message", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public_key.verify(out.read_bytes(), b"other", padding.PKCS1v15(), hashes.SHA256())


def test_every_use_in_slot_9c(daemon: Pcscd, tmp_path: Path) -> None:
    """It shows the PIN anew, as the standard has it."""
    card = PivCard()
    cards.provision(card, slot=Slot.parse("9c"))
    daemon.insert(card)
    data, out = tmp_path / "digest", tmp_path / "signature"
    data.write_bytes(bytes(32))
    _run("pkcs11-tool", "-s", "-m", "ECDSA", "--id", "02", "--login", "--pin", PIN,
         "-i", data, "-o", out)  # fmt: skip
    assert out.stat().st_size == 64


def test_a_wrong_pin_costs_a_try(daemon: Pcscd, card: PivCard) -> None:
    """The same count that we read."""
    daemon.insert(card)
    done = programs.run("pkcs11-tool", "-O", "--login", "--pin", "654321")
    assert done.returncode != 0
    assert b"CKR_PIN_INCORRECT" in done.stderr
    with pcsc.connected() as transport:
        assert Piv.select(transport).tries_left() == card.manners.tries - 1


def test_the_pin_it_sets_is_the_pin(daemon: Pcscd, card: PivCard) -> None:
    """Changed by OpenSC, shown by us, and the other way about."""
    daemon.insert(card)
    _run("pkcs11-tool", "--change-pin", "--login", "--pin", PIN, "--new-pin", "11223344")
    with pcsc.connected() as transport:
        piv = Piv.select(transport)
        piv.verify(cards.NEW_PIN)
        piv.change_pin(cards.NEW_PIN, cards.PIN)
        assert piv.certificate(AUTHENTICATION)
    _run("pkcs11-tool", "-O", "--login", "--pin", PIN)
