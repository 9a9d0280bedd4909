"""The flows of a card from end to end, each a function of the card; for cards that fail in them."""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cipsec.card import keys, vendor
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, NAMED
from cipsec.card.transport import Transport
from cipsec.errors import CardError
from cipsec.pki.keys import KeyType
from tests.card.cards import NEW_PIN, NEW_PUK, PIN, PUK, certificate

Flow = Callable[[Transport], object]
_KEY = ec.generate_private_key(ec.SECP256R1())
_CERTIFICATE = certificate(_KEY, "card-9", padding=500)  # of several APDUs


def show(transport: Transport) -> object:
    """Read all that is told without a PIN."""
    piv = Piv.select(transport)
    return piv.tries_left(), [piv.occupant(slot) for slot in NAMED], piv.metadata(0x80)


def provision(transport: Transport) -> object:
    """Key, CSR and certificate, over what is there."""
    piv = Piv.select(transport)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    public_key = piv.generate(AUTHENTICATION, KeyType.EC_P256, replace=True)
    piv.verify(PIN)
    key = keys.on_card(piv, AUTHENTICATION, public_key)
    x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    piv.write_certificate(AUTHENTICATION, _CERTIFICATE, replace=True)
    return public_key


def sign(transport: Transport) -> object:
    """What a TLS handshake asks for."""
    piv = Piv.select(transport)
    held = piv.certificate(AUTHENTICATION)
    if held is None:
        raise CardError("no certificate")
    key = keys.on_card(piv, AUTHENTICATION, held.public_key())
    piv.verify(PIN)
    return key.sign_digest(bytes(32)) if isinstance(key, keys.CardEcKey) else key


def change_secrets(transport: Transport) -> object:
    """PIN, PUK, and the PIN by the PUK."""
    piv = Piv.select(transport)
    piv.change_pin(PIN, NEW_PIN)
    piv.change_puk(PUK, NEW_PUK)
    piv.unblock(NEW_PUK, PIN)
    piv.logout()
    return piv.tries_left()


def empty(transport: Transport) -> object:
    """Everything away."""
    piv = Piv.select(transport)
    vendor.reset(piv.send)
    return piv.certificate(AUTHENTICATION)


ALL: tuple[Flow, ...] = (show, provision, sign, change_secrets, empty)
