"""What the tests of the card share: its PIN, certificates to put on it, and a provisioned card."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from cipsec import times
from cipsec.card import keys
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY, Pin, Puk
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.pki.keys import KeyType, PrivateKey
from tests.support.pivcard import PivCard

PIN, WRONG_PIN, NEW_PIN = Pin("123456"), Pin("654321"), Pin("11223344")
PUK, WRONG_PUK, NEW_PUK = Puk("12345678"), Puk("87654321"), Puk("11223344")


def certificate(key: PrivateKey, name: str = "card-1", *, padding: int = 0) -> x509.Certificate:
    """A self-signed certificate of seven days, larger by about `padding` bytes."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(padding))
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 0x1234567)
        .not_valid_before(times.now())
        .not_valid_after(times.now() + timedelta(days=7))
        .add_extension(filler, critical=False)
        .sign(key, hashes.SHA256())
    )


def provision(
    card: PivCard, key_type: KeyType = KeyType.EC_P256, slot: Slot = AUTHENTICATION
) -> x509.Certificate:
    """Make a key and a certificate of its own on a card, and leave it as newly put in."""
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    public_key = piv.generate(slot, key_type)
    piv.verify(PIN)
    made = certificate(keys.on_card(piv, slot, public_key))
    piv.write_certificate(slot, made)
    card.power_up()
    card.log.clear()
    return made
