"""Which reader: the one with a card, or the one that was named; never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cipsec.errors import NoCard, NoReader, UsageError
from cipsec.safe import text as shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader, and whether a card is in it."""

    name: str
    has_card: bool


def choose(readers: Sequence[Reader], text: str | None) -> Reader:
    """Return the reader that is meant; raise NoReader, NoCard, or UsageError for several.

    `text` is a part of its name, in whatever case; the whole name means just that reader.
    """
    meant = named(readers, text)
    with_card = [reader for reader in meant if reader.has_card]
    if not with_card:
        raise NoCard(f"there is no card in {_names(meant)}", hint="put the card in")
    if len(with_card) > 1:
        raise UsageError(
            f"there are {len(with_card)} cards: in {_names(with_card)}",
            hint="add --reader TEXT, a part of the reader's name",
        )
    return with_card[0]


def named(readers: Sequence[Reader], text: str | None) -> list[Reader]:
    """Return the readers, all or those that `text` names; raise NoReader when there is none."""
    if not readers:
        raise NoReader("there is no smartcard reader", hint="plug one in")
    found = [r for r in readers if text is None or text.casefold() in r.name.casefold()]
    if not found:
        raise NoReader(f"no reader's name contains {shown(text)!r}", hint=_listing(readers))
    return [r for r in found if r.name == text] or found


def _names(readers: Sequence[Reader]) -> str:
    return ", ".join(shown(reader.name) for reader in readers)


def _listing(readers: Sequence[Reader]) -> str:
    return f"there is {_names(readers)}"
