"""Keys on the card: made there, named, used for CSRs and digests, and never believed unchecked."""

from __future__ import annotations

import copy
import hashlib

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from cipsec.card import keys
from cipsec.card.keys import CardEcKey, CardRsaKey
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.errors import AlreadyExists, CardRefused, WrongCard
from cipsec.pki.keys import KeyType, spki, type_name
from tests.card.cards import PIN, provision
from tests.support import pivkeys
from tests.support.pivcard import CARD_A, CARD_B, PivCard

ALL = list(KeyType)


def session(card: PivCard) -> Piv:
    """The card with PIN and management key shown."""
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    piv.verify(PIN)
    return piv


def key_on(
    card: PivCard, key_type: KeyType = KeyType.EC_P256, slot: Slot = AUTHENTICATION
) -> CardEcKey | CardRsaKey:
    """A key made on the card, ready to sign."""
    piv = session(card)
    return keys.on_card(piv, slot, piv.generate(slot, key_type))


def ec_key_on(card: PivCard, key_type: KeyType = KeyType.EC_P256) -> CardEcKey:
    """The same, on a curve."""
    key = key_on(card, key_type)
    assert isinstance(key, CardEcKey)
    return key


@pytest.mark.parametrize("key_type", ALL)
def test_generate(key_type: KeyType) -> None:
    """Every type; the public half is as the card has it."""
    card = PivCard(CARD_A)
    made = session(card).generate(AUTHENTICATION, key_type)
    assert type_name(made) == key_type
    assert spki(made) == spki(card.keys[0x9A].public_key())


def test_a_type_the_card_does_not_have() -> None:
    """The refusal names it; the key that was there stays, and its certificate."""
    card = PivCard(CARD_B)
    held = provision(card)
    piv = session(card)
    with pytest.raises(CardRefused, match="refuses to make a key of type rsa-3072 in slot 9a"):
        piv.generate(AUTHENTICATION, KeyType.RSA_3072, replace=True)
    assert piv.certificate(AUTHENTICATION) == held


def test_generate_needs_the_management_key(piv: Piv) -> None:
    """Else the card refuses."""
    with pytest.raises(CardRefused) as caught:
        piv.generate(AUTHENTICATION, KeyType.EC_P256)
    assert caught.value.sw == 0x6982


def test_a_slot_in_use_is_not_overwritten(card: PivCard) -> None:
    """A card does it silently; here one asks first."""
    provision(card)
    before = card.keys[0x9A]
    with pytest.raises(AlreadyExists, match="slot 9a of the card holds the certificate CN=card-1"):
        session(card).generate(AUTHENTICATION, KeyType.EC_P256)
    assert card.keys[0x9A] is before


def test_a_replaced_key_takes_its_certificate_along(card: PivCard) -> None:
    """It would name a key that is no more."""
    provision(card)
    piv = session(card)
    piv.generate(AUTHENTICATION, KeyType.EC_P256, replace=True)
    assert piv.certificate(AUTHENTICATION) is None


def test_a_key_without_certificate_is_seen_by_the_extension() -> None:
    """A plain card does not tell."""
    for extensions in (False, True):
        card = PivCard(extensions=extensions)
        piv = session(card)
        piv.generate(AUTHENTICATION, KeyType.EC_P256)
        assert piv.occupant(AUTHENTICATION) == ("a key without certificate" if extensions else None)


@pytest.mark.parametrize("key_type", ALL)
def test_a_csr_signed_by_the_card(key_type: KeyType) -> None:
    """`cryptography` takes the key for one of its own."""
    key = key_on(PivCard(CARD_A), key_type)
    digest = hashes.SHA384() if key_type == KeyType.EC_P384 else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    request = builder.sign(key, digest)
    assert request.is_signature_valid
    assert spki(request.public_key()) == spki(key.public_key())


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384])
@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_digests_of_any_length(card: PivCard, key_type: KeyType, name: str) -> None:
    """Shorter and longer than the field; one card refuses the longer, so it is cut for it."""
    key = ec_key_on(card, key_type)
    algorithm = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(),
                 "sha512": hashes.SHA512()}[name]  # fmt: skip
    signature = key.sign_digest(hashlib.new(name, b"message").digest())
    key.public_key().verify(signature, b"message", ec.ECDSA(algorithm))
    prehashed = ec.ECDSA(utils.Prehashed(algorithm))
    signature = key.sign(hashlib.new(name, b"message").digest(), prehashed)
    key.public_key().verify(signature, b"message", ec.ECDSA(algorithm))


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_rsa(name: str) -> None:
    """PKCS#1 v1.5 is padded here; a whole block is signed as it is."""
    key = key_on(PivCard(), KeyType.RSA_2048)
    assert isinstance(key, CardRsaKey)
    algorithm = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    signature = key.sign(b"message", padding.PKCS1v15(), algorithm[name])
    key.public_key().verify(signature, b"message", padding.PKCS1v15(), algorithm[name])
    block = b"\0" + bytes(range(255))
    numbers = key.public_key().public_numbers()
    opened = pow(int.from_bytes(key.sign_block(block), "big"), numbers.e, numbers.n)
    assert opened.to_bytes(256, "big") == block


def test_a_block_of_another_length() -> None:
    """A mistake of the caller, found before the card."""
    key = key_on(PivCard(), KeyType.RSA_2048)
    assert isinstance(key, CardRsaKey)
    with pytest.raises(ValueError, match="256 bytes, not 20"):
        key.sign_block(bytes(20))


def test_no_key(card: PivCard) -> None:
    """Two cards, two status words, one error; an unverified PIN is another matter."""
    provision(card)
    del card.keys[0x9A]
    piv = Piv.select(card)
    held = piv.certificate(AUTHENTICATION)
    assert held is not None
    piv.verify(PIN)
    key = keys.on_card(piv, AUTHENTICATION, held.public_key())
    with pytest.raises(CardRefused, match="no key there") as caught:
        key.sign(b"x", ec.ECDSA(hashes.SHA256()))  # type: ignore[call-arg, arg-type]  # it is EC
    assert caught.value.sw == card.manners.no_key


def test_without_the_pin(card: PivCard) -> None:
    """The card asks for it."""
    key = ec_key_on(card)
    card.power_up()
    piv = Piv.select(card)
    again = keys.on_card(piv, AUTHENTICATION, key.public_key())
    assert isinstance(again, CardEcKey)
    with pytest.raises(CardRefused, match="asks for a PIN"):
        again.sign_digest(bytes(32))


def test_in_slot_9c_the_pin_counts_once(card: PivCard) -> None:
    """Whoever uses it verifies before each signature."""
    slot = Slot.parse("9c")
    piv = session(card)
    key = keys.on_card(piv, slot, piv.generate(slot, KeyType.EC_P256))
    assert isinstance(key, CardEcKey)
    key.sign_digest(bytes(32))
    with pytest.raises(CardRefused):
        key.sign_digest(bytes(32))
    piv.verify(PIN)
    key.sign_digest(bytes(32))


def test_a_card_that_waits_for_a_finger(card: PivCard) -> None:
    """It signs late; or, when none comes, it refuses."""
    key = ec_key_on(card)
    card.faults.touch = 0.05
    key.sign_digest(bytes(32))
    card.faults.untouched = True
    with pytest.raises(CardRefused, match="or was not touched"):
        key.sign_digest(bytes(32))


def test_another_key_than_the_certificates(card: PivCard) -> None:
    """The signature is checked before anybody else sees it."""
    key = ec_key_on(card)
    card.faults.wrong_signature = True
    with pytest.raises(WrongCard, match="its key is another one"):
        key.sign_digest(bytes(32))
    card.faults.wrong_signature = False
    card.faults.scripted = [bytes.fromhex("7c028200") + b"\x90\0"]
    with pytest.raises(WrongCard, match="its key is another one"):
        key.sign_digest(bytes(32))


def test_another_rsa_key_than_the_certificates() -> None:
    """The same, by opening the signature."""
    card = PivCard()
    key = key_on(card, KeyType.RSA_2048)
    assert isinstance(key, CardRsaKey)
    card.keys[0x9A] = rsa.generate_private_key(65537, 2048)
    with pytest.raises(WrongCard, match="its key is another one"):
        key.sign_block(b"\0" + bytes(range(255)))


@pytest.mark.parametrize(
    "answer",
    ["", "7f4900", "7f4903860104", "7f4905810100820103", "7f4943864104" + "00" * 64, "ff" * 40],
)
@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.RSA_2048])
def test_a_damaged_public_key(answer: str, key_type: KeyType) -> None:
    """Nothing, a part missing, no point of the curve, a modulus of nothing."""
    card = PivCard()
    piv = session(card)
    card.faults.scripted = [b"\x6a\x82", b"\x6d\0", bytes.fromhex(answer) + b"\x90\0"]
    with pytest.raises(WrongCard):
        piv.generate(AUTHENTICATION, key_type)


def test_a_key_of_another_type() -> None:
    """Larger than it was asked for, and whole."""
    card = PivCard()
    piv = session(card)
    large = pivkeys.tlv(0x7F49, pivkeys.public_parts(pivkeys.generate(0x05)))
    head = [b"\x6a\x82", b"\x6d\0"]  # no certificate, no extension
    card.faults.scripted = [*head, large + b"\x90\0"]
    with pytest.raises(WrongCard, match="a key of type rsa-3072, not rsa-2048"):
        piv.generate(AUTHENTICATION, KeyType.RSA_2048)


def test_a_key_stays_on_the_card(card: PivCard) -> None:
    """What is not signing is refused, and a copy is the key itself."""
    for key in (key_on(card), key_on(PivCard(), KeyType.RSA_2048)):
        for refused in (
            key.private_numbers,
            lambda key=key: key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        ):
            with pytest.raises(UnsupportedAlgorithm, match="on a card"):
                refused()
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key
        assert key.key_size == key.public_key().key_size


def test_what_such_keys_do_not_do(card: PivCard) -> None:
    """Agree, decrypt, PSS, and hashes that X.509 has left behind."""
    on_curve, modular = ec_key_on(card), key_on(PivCard(), KeyType.RSA_2048)
    assert isinstance(modular, CardRsaKey)
    assert on_curve.curve.name == "secp256r1"
    with pytest.raises(UnsupportedAlgorithm):
        on_curve.exchange(ec.ECDH(), on_curve.public_key())
    with pytest.raises(UnsupportedAlgorithm):
        modular.decrypt(bytes(256), padding.PKCS1v15())
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    with pytest.raises(UnsupportedAlgorithm, match=r"v1\.5 only"):
        modular.sign(b"", pss, hashes.SHA256())
    with pytest.raises(UnsupportedAlgorithm, match="sha1"):
        modular.sign(b"", padding.PKCS1v15(), hashes.SHA1())


@pytest.mark.parametrize(
    "public_key",
    [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
    ],
)
def test_keys_no_piv_card_has(
    piv: Piv, public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
) -> None:
    """Another's certificate may lie in the slot."""
    with pytest.raises(WrongCard, match="are not used on cards; use ec-p256"):
        keys.on_card(piv, AUTHENTICATION, public_key)
