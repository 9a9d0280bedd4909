"""TLS client authentication by the card: `tls.signer` with a key of `card.keys`, in memory."""

from __future__ import annotations

import ssl

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from cipsec.card import keys
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION
from cipsec.card.transport import Transport
from cipsec.errors import CardRefused, NoCard
from cipsec.pki.keys import KeyType
from cipsec.tls import signer
from tests.card.cards import PIN, provision
from tests.support import signing, vpcd
from tests.support.canned import Plant, named
from tests.support.pivcard import PivCard

TYPES = [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048]


def presenting(
    transport: Transport, plant: Plant, version: ssl.TLSVersion
) -> tuple[x509.Certificate, ssl.SSLContext, signer.Hook]:
    """A context that presents the plant's certificate of the card's key, its PIN shown."""
    piv = Piv.select(transport)
    held = piv.certificate(AUTHENTICATION)
    assert held is not None
    key = keys.on_card(piv, AUTHENTICATION, held.public_key())
    piv.verify(PIN)
    certificate = plant.issue(key.public_key(), named("card-1"))
    context = signing.trusting([plant.certificate], version)
    return certificate, context, signer.use(context, certificate, key)


@pytest.mark.parametrize("version", [signing.TLS12, signing.TLS13])
@pytest.mark.parametrize("key_type", TYPES)
def test_a_handshake(key_type: KeyType, version: ssl.TLSVersion) -> None:
    """The server sees the card's certificate, by one signature of the card."""
    card, plant = PivCard(), Plant()
    provision(card, key_type)
    certificate, context, _ = presenting(card, plant, version)
    before = len(card.log)
    assert signing.shake(context, signing.server_of(plant)).chain()[0] == certificate.public_bytes(
        serialization.Encoding.DER
    )
    signatures = [apdu for apdu in card.log[before:] if apdu[0] == 0 and apdu[1] == 0x87]
    assert len(signatures) == 1


def test_pulled_in_the_handshake() -> None:
    """The cause is the card's error, not OpenSSL's."""
    card, plant = PivCard(), Plant()
    provision(card)
    _, context, hook = presenting(card, plant, signing.TLS13)
    card.faults.pulled_after = 0
    with pytest.raises(ssl.SSLError):
        signing.shake(context, signing.server_of(plant))
    assert isinstance(hook.cause(), NoCard)


def test_the_pin_forgotten_in_the_handshake() -> None:
    """A card that was without power meanwhile says so."""
    card, plant = PivCard(), Plant()
    provision(card)
    _, context, hook = presenting(card, plant, signing.TLS13)
    card.verified = False
    with pytest.raises(ssl.SSLError):
        signing.shake(context, signing.server_of(plant))
    assert isinstance(hook.cause(), CardRefused)


def test_each_kind_signs_its_own_way() -> None:
    """The other way is refused before the card."""
    card, other = PivCard(), PivCard()
    for each, key_type in (card, KeyType.EC_P256), (other, KeyType.RSA_2048):
        held = provision(each, key_type)
        key = keys.on_card(Piv.select(each), AUTHENTICATION, held.public_key())
        wrong = key.sign_block if isinstance(key, keys.CardEcKey) else key.sign_digest
        with pytest.raises(UnsupportedAlgorithm):
            wrong(bytes(32))


@pytest.mark.programs
@pytest.mark.parametrize("key_type", TYPES)
def test_a_handshake_over_pcsc(key_type: KeyType) -> None:
    """The same through pyscard and pcscd."""
    from cipsec.card import pcsc

    card, plant = PivCard(), Plant()
    provision(card, key_type)
    with vpcd.pcscd() as daemon:
        daemon.insert(card)
        with pcsc.connected() as transport:
            certificate, context, _ = presenting(transport, plant, signing.TLS13)
            assert signing.shake(context, signing.server_of(plant)).chain()[
                0
            ] == certificate.public_bytes(serialization.Encoding.DER)
