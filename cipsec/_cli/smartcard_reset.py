"""`cipsec smartcard reset`: a card made empty, with the PIN that cards are sold with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipsec import safe
from cipsec._cli import ask, exits
from cipsec._cli.card import ReaderName, connected_card
from cipsec._cli.options import Yes
from cipsec._cli.talk import Talk
from cipsec.errors import CardError, CardRefused

if TYPE_CHECKING:
    from cipsec._cli.card import ConnectedCard


def reset(talk: Talk, *, reader: ReaderName = None, yes: Yes = False) -> int | None:
    """Remove all keys and certificates.

    PIN, PUK and management key become those of a new card.

    Only cards with Yubico's extension can; nothing of what was on the card comes back.
    """
    from cipsec._cli.smartcard_shown import described, report
    from cipsec.card.slots import AUTHENTICATION

    with connected_card(talk, reader) as card:
        if not yes and not _may(talk, card):
            talk.nothing("cipsec: nothing was changed", "cards")
            return exits.NO
        _emptied(card)
        record = described(card.piv, card.reader, AUTHENTICATION)
    talk.say("cipsec: the card is as new: change its PIN, PUK and management key")
    report(talk, record)
    return None


def _may(talk: Talk, card: ConnectedCard) -> bool:
    """Ask twice, for what goes cannot be had again."""
    from cipsec.card.slots import NAMED

    held = [(slot, card.piv.occupant(slot)) for slot in NAMED]
    for slot, words in held:
        if words is not None:
            talk.show(f"cipsec: slot {slot} holds {words}")
    where = safe.text(card.reader)
    first = f"Remove all keys and certificates from the card in {where}?"
    again = "Nothing of it comes back. Really?"
    return all(ask.confirm(talk, question, option="-y") for question in (first, again))


def _emptied(card: ConnectedCard) -> None:
    from cipsec.card import vendor

    try:
        vendor.reset(card.piv.send)
    except CardRefused:
        raise
    except CardError as error:
        raise CardError(
            f"the reset is not finished, and PIN and PUK may be blocked: {error.message}",
            hint="put the card in again: cipsec smartcard reset",
        ) from error
