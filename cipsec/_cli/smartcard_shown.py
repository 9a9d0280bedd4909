"""A smartcard as a record: what its reader and the card itself tell without a PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipsec import times
from cipsec.errors import CardError, PinBlocked, WrongCard

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec._cli.talk import Talk
    from cipsec.card.choice import Reader
    from cipsec.card.piv import Piv
    from cipsec.card.slots import Slot

Record = dict[str, object]

SOON = 14  # days before its end in which a certificate is warned of
LIST = ["reader", "has_card", "kind", "slot", "subject", "serial", "days_left", "tries_left"]
_PIN, _PUK = 0x80, 0x81
_OF_CERTIFICATE = ("subject", "issuer", "serial", "not_before", "not_after", "days_left", "sha256")


def listed(reader: Reader, slot: Slot) -> Record:
    """Return what is in a reader; a card that cannot be read is a record with the problem."""
    from cipsec.card import pcsc
    from cipsec.card.piv import Piv

    record = _empty(reader.name, slot) | {"has_card": reader.has_card}
    if not reader.has_card:
        return record
    try:
        with pcsc.connected(reader.name) as transport:
            return described(Piv.select(transport), reader.name, slot)
    except WrongCard as error:
        return record | {"kind": "other", "problem": error.message}
    except CardError as error:
        return record | {"problem": error.message}


def described(piv: Piv, reader: str, slot: Slot) -> Record:
    """Return what a PIV card tells of itself and of one slot; raise CardError when it is gone."""
    record = _empty(reader, slot) | {"has_card": True, "kind": "piv"}
    record |= {"tries_left": _tries(piv)}
    pin, puk = piv.metadata(_PIN), piv.metadata(_PUK)
    if pin is not None:
        record |= {"extensions": True, "most_tries": pin.most_tries, "default_pin": pin.is_default}
    if puk is not None:
        record |= {"puk_tries_left": puk.tries, "default_puk": puk.is_default}
    try:
        held = piv.certificate(slot)
    except WrongCard as error:
        return record | {"problem": error.message}
    if held is None:
        key = piv.metadata(slot.reference) is not None
        return record | {"problem": piv.occupant(slot) if key else "no certificate"}
    return record | certificate(held)


def _tries(piv: Piv) -> int | None:
    try:
        return piv.spare_pin(force=True)
    except PinBlocked:
        return 0


def certificate(held: x509.Certificate) -> Record:
    """Return what a certificate adds to the record of a card."""
    from cipsec.pki import describe, keys

    told = describe.certificate(held, times.now())
    return {name: told[name] for name in _OF_CERTIFICATE} | {
        "key_type": keys.type_name(held.public_key())
    }


def warn(talk: Talk, record: Record) -> None:
    """Warn of a certificate that ended, or ends soon, and of what every card is sold with."""
    left = record["days_left"]
    if isinstance(left, int) and left < 0:
        talk.warn(f"the certificate on the card expired at {record['not_after']}")
    elif isinstance(left, int) and left < SOON:
        days = "a day" if left == 0 else f"{left + 1} days"
        talk.warn(f"the certificate on the card ends in less than {days}")
    if record["tries_left"] == 0:
        talk.warn("the PIN is blocked; next: cipsec smartcard unblock")
    for what in ("pin", "puk"):
        if record[f"default_{what}"]:
            talk.warn(f"the {what.upper()} is the one that cards are sold with")


def _empty(reader: str, slot: Slot) -> Record:
    """Return all keys, so that every card has the same."""
    keys: tuple[str, ...] = ("has_card", "kind", "problem", "tries_left", "most_tries")
    keys += ("puk_tries_left", "default_pin", "default_puk", *_OF_CERTIFICATE, "key_type")
    return {"reader": reader, "slot": str(slot), "extensions": False} | dict.fromkeys(keys)


def report(talk: Talk, record: Record) -> None:
    """Print the record of one card: all keys to programs, to people those that say something."""
    if talk.json:
        talk.document({"cards": [record]})
    else:
        said = {name: value for name, value in record.items() if value is not None}
        talk.fields("cards", said)
