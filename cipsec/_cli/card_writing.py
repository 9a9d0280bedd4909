"""What writing to a smartcard takes: the management key, and a word before something is lost."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, safe
from cipsec._cli import ask
from cipsec._cli.card import ConnectedCard
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, CardError, CardRefused, WrongManagementKey

if TYPE_CHECKING:
    from cipsec.card.pins import ManagementKey
    from cipsec.card.piv import Piv
    from cipsec.card.slots import Slot

_OPTION = "--management-key-file"
_PIN = 0x80  # known to every card with the extension that tells of keys

ManagementKeyFile = Annotated[
    str | None,
    typer.Option(_OPTION, metavar="FILE", help="The management key in hex; - for stdin."),
]


def authenticate(talk: Talk, piv: Piv, file: str | None) -> ManagementKey:
    """Prove the management key and return it: from the file, the one of new cards, or asked for.

    A wrong one costs no try, so that of new cards may be tried unasked. Raise WrongManagementKey.
    """
    from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY

    if file is None:
        with suppress(WrongManagementKey):
            piv.authenticate(DEFAULT_MANAGEMENT_KEY)
            return DEFAULT_MANAGEMENT_KEY
        if not talk.interactive:
            raise WrongManagementKey(
                "the card's management key is not the one that cards are sold with",
                hint=f"add {_OPTION} FILE",
            )
    key = _given(talk, file)
    piv.authenticate(key)
    return key


def _given(talk: Talk, file: str | None) -> ManagementKey:
    from cipsec.card.pins import ManagementKey

    prompt = "Management key of the card, in hex"
    return ManagementKey.parse(ask.secret(talk, prompt, file=file, option=_OPTION))


def change_management_key(talk: Talk, piv: Piv, target: Path) -> None:
    """Give the card a management key made at random, which is in the new file `target` first.

    Needs `authenticate` before it. Raise AlreadyExists, LocalState; CardRefused for plain cards.
    """
    from cipsec.card import management, vendor
    from cipsec.card.pins import ManagementKey

    key = ManagementKey.random(management.probe(piv.send)[0].key_bytes)
    files.create(target, key.key.hex().encode() + b"\n")
    try:
        vendor.set_management_key(piv.send, key)
    except CardRefused as error:  # it has the old one still
        with suppress(OSError):
            target.unlink()
        raise CardRefused(error.message, sw=error.sw, hint="use its maker's program") from None
    except CardError as error:
        raise CardError(
            f"{error.message}; whether it took the new management key is not known",
            hint=f"try it: cipsec smartcard change-pin --management-key {_OPTION} {target}",
        ) from None
    talk.say(f"cipsec: the card has a new management key, kept in {safe.text(target)}")


def may_replace(
    talk: Talk, card: ConnectedCard, slot: Slot, *, yes: bool, with_key: bool = True
) -> bool:
    """Say what would be lost and ask; False is no. Raise AlreadyExists where nobody can be asked.

    A plain card tells of certificates only, and that it may hold a key without one is said.
    """
    from cipsec.card.piv import KEY_ALONE

    held = card.piv.occupant(slot)
    if held is None or (held == KEY_ALONE and not with_key):
        if with_key and card.piv.metadata(_PIN) is None:
            talk.say(f"cipsec: slot {slot} holds no certificate; of keys this card tells nothing")
        return True
    lost = f"slot {slot} of the card in {safe.text(card.reader)} holds {held}"
    what = "it and its key" if with_key else "it"
    if yes:
        talk.say(f"cipsec: {lost}; {what} will be lost")
        return True
    if not talk.interactive:
        raise AlreadyExists(lost, hint=f"add -y when {what} may be lost")
    question = f"{lost[0].upper()}{lost[1:]}; {what} would be lost for good.\nGo on?"
    return ask.confirm(talk, question, option="-y")
