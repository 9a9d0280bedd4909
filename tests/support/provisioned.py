"""A simulated card that a CA has provisioned: key made on it, certificate of the CA on it."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

from cryptography import x509

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.card import keys
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY, Pin
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.pki.keys import KeyType, PublicKey
from cipsec.ra import provisioning
from tests.support.canned import Plant, named
from tests.support.pivcard import PivCard

PIN = "123456"


def of_ca(
    folder: CaFolder,
    name: str = "card-1",
    *,
    uses: int = 1,
    key_type: KeyType = KeyType.EC_P256,
    slot: Slot = AUTHENTICATION,
    days: int = 30,
    now: datetime | None = None,
) -> PivCard:
    """Return a card with a provisioning certificate of `days` from `now` on, on the CA's record."""
    card = PivCard()
    piv, public_key = _with_key(card, key_type, slot)
    order = provisioning.Order(
        name=name,
        uses=uses,
        validity=timedelta(days=days),
        backdate=timedelta(hours=1),
        by="operator",
        note=None,
        now=now or times.now(),
    )
    issuer = folder.provisioning_authority(None, order.now)
    request = provisioning.request_for(name, keys.on_card(piv, slot, public_key))
    row = provisioning.sign(order, request, issuer)
    with closing(folder.store()) as database:
        database.write(lambda db: provisioning.keep(db, order, row))
    piv.write_certificate(slot, x509.load_der_x509_certificate(row.der))
    return _as_put_in(card)


def of_plant(
    plant: Plant,
    name: str = "card-1",
    *,
    key_type: KeyType = KeyType.EC_P256,
    slot: Slot = AUTHENTICATION,
    start: timedelta = -timedelta(days=1),
    end: timedelta = timedelta(days=30),
) -> PivCard:
    """Return a card with a certificate of the plant."""
    card = PivCard()
    piv, public_key = _with_key(card, key_type, slot)
    piv.write_certificate(slot, plant.issue(public_key, named(name), start=start, end=end))
    return _as_put_in(card)


def certificate_on(card: PivCard, slot: Slot = AUTHENTICATION) -> x509.Certificate:
    """Return what is on a card."""
    held = Piv.select(card).certificate(slot)
    assert held is not None
    return held


def pins_shown(card: PivCard) -> int:
    """Return how often the card was shown a PIN."""
    return sum(apdu[:4] == b"\x00\x20\x00\x80" and len(apdu) > 5 for apdu in card.log)


def _with_key(card: PivCard, key_type: KeyType, slot: Slot) -> tuple[Piv, PublicKey]:
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    public_key = piv.generate(slot, key_type)
    piv.verify(Pin(PIN))
    return piv, public_key


def _as_put_in(card: PivCard) -> PivCard:
    card.power_up()
    card.log.clear()
    return card
