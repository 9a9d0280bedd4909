"""The smartcard that `enroll` and `renew` authenticate with, and its holder at the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli.card import PIN_FILE, connected_card, pin_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.card.pins import Pin
    from cipsec.card.piv import Piv
    from cipsec.endpoint.card import Card

USUAL_SLOT = "9a"

Smartcard = Annotated[
    bool, typer.Option("--smartcard", help="Authenticate with the key on a smartcard.")
]


@dataclass(frozen=True, slots=True)
class Holder:
    """Speaks through `talk`; the PIN comes from `pin_file`, or is typed."""

    talk: Talk
    pin_file: str | None
    force: bool

    @property
    def present(self) -> bool:
        """Whether somebody is there to put a card in, and sees that one is asked for."""
        return self.talk.interactive and sys.stderr.isatty()

    def pin(self, piv: Piv) -> Pin:
        """Return the PIN; raise PinBlocked and LastTry before anybody is asked, and UsageError."""
        return pin_of(self.talk, piv, self.pin_file, force=self.force)

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""
        self.talk.end_live()
        self.talk.warn(safe.text(line))


def card_of(
    talk: Talk,
    *,
    smartcard: bool,
    reader: str | None,
    slot: str,
    pin_file: str | None,
    force: bool,
) -> Card | None:
    """Return the card that the options name, None without `--smartcard`; raise UsageError."""
    if not smartcard:
        given = {"--reader": reader, PIN_FILE: pin_file, "--slot": slot != USUAL_SLOT}
        for option in (name for name, value in given.items() if value):
            raise UsageError(f"{option} is about a smartcard", hint="add --smartcard")
        return None
    from functools import partial

    from cipsec.card.slots import Slot
    from cipsec.endpoint.card import Card

    return Card(
        partial(connected_card, talk, reader),
        Holder(talk, pin_file, force),
        reader=reader,
        slot=Slot.parse(slot),
        force=force,
    )
