"""A smartcard at the command line: which one, and its PIN, asked for once; what for, is others'."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli import ask
from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cipsec.card.pins import Pin
    from cipsec.card.piv import Piv

PIN_FILE = "--pin-file"
_PIN = 0x80  # its reference (SP 800-73-5 part 1, table 4)

ReaderName = Annotated[
    str | None,
    typer.Option("--reader", metavar="TEXT", help="The reader, by a part of its name."),
]
SlotName = Annotated[
    str, typer.Option("--slot", metavar="SLOT", help="Where the key is: 9a, 9c, 9d, 82 to 95.")
]
PinFile = Annotated[
    str | None, typer.Option(PIN_FILE, metavar="FILE", help="Read the PIN; - for stdin.")
]
LastTries = Annotated[
    bool, typer.Option("--force", "-f", help="Try a PIN or PUK also when one try is left.")
]


@dataclass(frozen=True, slots=True)
class ConnectedCard:
    """A PIV card in a reader, for as long as the block of `connected_card` lasts."""

    piv: Piv
    reader: str


@contextmanager
def connected_card(talk: Talk, reader: str | None) -> Iterator[ConnectedCard]:
    """Connect to the card that is meant, and select PIV; raise CardError, UsageError.

    Nothing is asked. The card forgets the PIN when the block ends.
    """
    from cipsec.card import pcsc
    from cipsec.card.piv import Piv

    with pcsc.connected(reader) as transport:
        if talk.verbose:
            talk.say(f"cipsec: the card in {safe.text(transport.reader)}")
        yield ConnectedCard(Piv.select(transport), transport.reader)


def pin_of(talk: Talk, piv: Piv, pin_file: str | None, *, force: bool = False) -> Pin:
    """Return the PIN, from the file or the terminal; it is not shown to the card yet.

    Raise PinBlocked, and LastTry unless forced, before anybody is asked; UsageError where nobody
    can be asked, or for what is no PIN. To be called once a command: the caller keeps it for a
    card that is put in again, and after WrongPin gives up.
    """
    from cipsec.card.pins import Pin

    say_tries(talk, piv, "PIN", _PIN, piv.spare_pin(force=force))
    return Pin.parse(ask.secret(talk, "PIN of the card", file=pin_file, option=PIN_FILE))


def verify_pin(talk: Talk, piv: Piv, pin_file: str | None, *, force: bool = False) -> Pin:
    """Ask for the PIN and show it to the card, once; raise WrongPin too."""
    pin = pin_of(talk, piv, pin_file, force=force)
    piv.verify(pin, force=force)
    return pin


def say_tries(talk: Talk, piv: Piv, what: str, reference: int, left: int | None) -> None:
    """Say how many tries are left when fewer than the most, or when the card hides the most."""
    if left is None:
        return
    known = piv.metadata(reference)
    if known is None or known.most_tries is None or left < known.most_tries:
        tries = "1 try" if left == 1 else f"{left} tries"
        talk.say(f"cipsec: the {what} has {tries} left")
