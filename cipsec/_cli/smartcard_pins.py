"""`cipsec smartcard change-pin|unblock`: the card's secrets, each tried once and shown nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli import ask
from cipsec._cli.card import (
    LastTries,
    PinFile,
    ReaderName,
    connected_card,
    pin_of,
    say_tries,
)
from cipsec._cli.card_writing import ManagementKeyFile, authenticate, change_management_key
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec._cli.card import ConnectedCard
    from cipsec.card.pins import Pin, Puk
    from cipsec.card.piv import Piv

_PUK_FILE, _NEW_FILE = "--puk-file", "--new-file"
_PUK = 0x81

PukFile = Annotated[
    str | None, typer.Option(_PUK_FILE, metavar="FILE", help="Read the PUK; - for stdin.")
]
NewFile = Annotated[
    str | None,
    typer.Option(_NEW_FILE, metavar="FILE", help="Read the new PIN or PUK; - for stdin."),
]
ThePuk = Annotated[bool, typer.Option("--puk", help="Change the PUK instead.")]
TheKey = Annotated[
    bool,
    typer.Option("--management-key", help="Change the management key instead, at random; with -o."),
]
KeyTo = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="A new file for the management key."),
]


def change_pin(
    talk: Talk,
    *,
    reader: ReaderName = None,
    puk: ThePuk = False,
    management_key: TheKey = False,
    pin_file: PinFile = None,
    puk_file: PukFile = None,
    management_key_file: ManagementKeyFile = None,
    new_file: NewFile = None,
    output: KeyTo = None,
    force: LastTries = False,
) -> None:
    """Change the PIN, the PUK or the management key.

    The old one is needed, and tried once.
    """
    target = _target(output, puk=puk, management_key=management_key)
    with connected_card(talk, reader) as card:
        if target is not None:
            authenticate(talk, card.piv, management_key_file)
            change_management_key(talk, card.piv, target)
        elif puk:
            old_puk = _old_puk(talk, card.piv, puk_file, force=force)
            card.piv.change_puk(old_puk, _new_puk(talk, new_file), force=force)
            talk.say("cipsec: the PUK is changed")
        else:
            old = pin_of(talk, card.piv, pin_file, force=force)
            card.piv.change_pin(old, new_pin(talk, new_file), force=force)
            talk.say("cipsec: the PIN is changed")
        _report(talk, card)


def _target(output: str | None, *, puk: bool, management_key: bool) -> Path | None:
    if puk and management_key:
        raise UsageError("give --puk or --management-key, not both")
    if not management_key:
        if output is not None:
            raise UsageError("-o is for a management key", hint="add --management-key")
        return None
    if output in (None, "", "-"):
        raise UsageError(
            "the new management key goes to a file and is shown nowhere", hint="add -o FILE"
        )
    return Path(str(output)).absolute()


def unblock(
    talk: Talk,
    *,
    reader: ReaderName = None,
    puk_file: PukFile = None,
    new_file: NewFile = None,
    force: LastTries = False,
) -> None:
    """Set a new PIN by the PUK, also where the PIN is blocked."""
    with connected_card(talk, reader) as card:
        puk = _old_puk(talk, card.piv, puk_file, force=force)
        card.piv.unblock(puk, new_pin(talk, new_file), force=force)
        talk.say("cipsec: the card has the new PIN")
        _report(talk, card)


def _report(talk: Talk, card: ConnectedCard) -> None:
    from cipsec._cli.smartcard_shown import described
    from cipsec.card.slots import AUTHENTICATION

    if talk.json:
        talk.document({"cards": [described(card.piv, card.reader, AUTHENTICATION)]})


def _old_puk(talk: Talk, piv: Piv, file: str | None, *, force: bool) -> Puk:
    from cipsec.card.pins import Puk

    say_tries(talk, piv, "PUK", _PUK, piv.spare_puk(force=force))
    return Puk.parse(ask.secret(talk, "PUK of the card", file=file, option=_PUK_FILE))


def new_pin(talk: Talk, file: str | None) -> Pin:
    """Return the PIN to set, asked for twice; raise UsageError for that of every new card."""
    from cipsec.card.pins import Pin

    pin = Pin.parse(ask.secret(talk, "New PIN", file=file, option=_NEW_FILE, twice=True))
    if pin.is_default:
        raise UsageError("that PIN is the one that cards are sold with", hint="choose another")
    return pin


def _new_puk(talk: Talk, file: str | None) -> Puk:
    from cipsec.card.pins import Puk

    puk = Puk.parse(ask.secret(talk, "New PUK", file=file, option=_NEW_FILE, twice=True))
    if puk.is_default:
        raise UsageError("that PUK is the one that cards are sold with", hint="choose another")
    return puk


def offer_new_pin(talk: Talk, piv: Piv, old: Pin) -> Pin:
    """Ask for a PIN in place of that of every new card, and set it."""
    new = new_pin(talk, None)
    piv.change_pin(old, new)
    talk.say("cipsec: the PIN is changed")
    return new


def offer_new_puk(talk: Talk, piv: Piv) -> None:
    """Ask for a PUK in place of that of every new card, and set it."""
    from cipsec.card.pins import DEFAULT_PUK

    piv.change_puk(DEFAULT_PUK, _new_puk(talk, None))
    talk.say("cipsec: the PUK is changed")
