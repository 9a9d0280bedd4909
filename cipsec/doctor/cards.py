"""Smartcards: whether this machine can use one; no card is touched, and nobody needs one.

So nothing here fails, and nothing is warned of before the extra is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cipsec.card import faults, pcsc
from cipsec.card.choice import Reader
from cipsec.doctor.finding import Check, Remark, many, ok, warn
from cipsec.doctor.machine import is_installed
from cipsec.errors import CardError, LocalState
from cipsec.safe import text
from cipsec.tls import signer

_EXTRA = "smartcard"


@dataclass(frozen=True, slots=True)
class Cards:
    """What is asked; tests answer otherwise."""

    installed: bool
    readers: Callable[[], Sequence[Reader]]
    tls: Callable[[], None]


def this() -> Cards:
    """Return how smartcards are reached on this machine."""
    return Cards(is_installed(_EXTRA), pcsc.readers, signer.usable)


def extra(cards: Cards) -> Iterator[Remark]:
    """See whether smartcards are wanted here at all."""
    if cards.installed:
        yield ok("cipsec[smartcard] is installed")
    else:
        hint = faults.install_hint(sys.platform, sys.version_info[:2])
        yield ok("cipsec[smartcard] is not installed, and needed for smartcards only", hint)


def readers(cards: Cards) -> Iterator[Remark]:
    """See whether the PC/SC service runs and lets this user in, and what is plugged in.

    Connecting to a card would take it from a program that uses it, and its PIN from that.
    """
    if not cards.installed:
        yield ok("not looked for without the extra")
        return
    try:
        found = cards.readers()
    except CardError as error:
        yield warn(error.message, error.hint)
        return
    if not found:
        yield ok("there is no smartcard reader; the PC/SC service runs")
        return
    names = [f"{text(r.name)} ({'a card' if r.has_card else 'empty'})" for r in found]
    yield ok(f"{many(len(found), 'reader')}: {'; '.join(names)}", "cipsec smartcard list")


def tls(cards: Cards) -> Iterator[Remark]:
    """See whether this Python lets a card do TLS client authentication."""
    try:
        cards.tls()
    except LocalState as error:
        remark = warn if cards.installed else ok
        yield remark(f"this Python cannot enroll with a smartcard: {error.message}", error.hint)
    else:
        yield ok("this Python's OpenSSL works with keys on cards")


CHECKS: Mapping[str, Check[Cards]] = {
    "smartcard": extra,
    "smartcard readers": readers,
    "smartcard tls": tls,
}
