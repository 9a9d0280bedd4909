"""What is found of smartcards: nothing that fails, and no warning where nobody wants one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cipsec.card.choice import Reader
from cipsec.doctor import cards
from cipsec.doctor.cards import Cards
from cipsec.doctor.finding import examine
from cipsec.errors import CardError, LocalState, NoPcsc, NotPermitted

from .looking import FAIL, OK, WARN, brief


def _cards(
    *,
    installed: bool = True,
    readers: Sequence[Reader] | CardError = (),
    tls: LocalState | None = None,
) -> Cards:
    def look() -> Sequence[Reader]:
        if isinstance(readers, CardError):
            raise readers
        return readers

    def check() -> None:
        if tls is not None:
            raise tls

    return Cards(installed, look, check)


def test_this_machine() -> None:
    """Whatever is installed here, nothing fails."""
    found = list(examine(cards.CHECKS, cards.this()))
    assert [one.check for one in found] == ["smartcard", "smartcard readers", "smartcard tls"]
    assert FAIL not in [one.verdict for one in found]


def test_without_the_extra() -> None:
    """All is well, with how it is installed; PC/SC is not asked."""
    hidden = LocalState("it hides OpenSSL", hint="apt install python3")
    found = list(
        examine(cards.CHECKS, _cards(installed=False, readers=CardError("asked"), tls=hidden))
    )
    assert brief(found) == [
        (OK, "cipsec[smartcard] is not installed, and needed for smartcards only"),
        (OK, "not looked for without the extra"),
        (OK, "this Python cannot enroll with a smartcard: it hides OpenSSL"),
    ]
    assert "pip install 'cipsec[smartcard]'" in str(found[0].hint)


def test_readers() -> None:
    """Each by its name, harmless, and whether a card is in it."""
    plugged = [Reader(name="A\x1b[2K", has_card=True), Reader(name="B", has_card=False)]
    [found] = cards.readers(_cards(readers=plugged))
    assert found.verdict is OK
    assert "\x1b" not in found.detail
    assert found.detail.startswith("2 readers: A")
    assert found.detail.endswith("(a card); B (empty)")
    [found] = cards.readers(_cards())
    assert (found.verdict, found.hint) == (OK, None)


@pytest.mark.parametrize(
    "error", [NoPcsc("it does not run", hint="start it"), NotPermitted("no", hint="sudo")]
)
def test_no_service(error: CardError) -> None:
    """With the extra a smartcard is wanted: what keeps from it is a warning."""
    [found] = cards.readers(_cards(readers=error))
    assert (found.verdict, found.detail, found.hint) == (WARN, error.message, error.hint)


def test_a_python_that_cannot() -> None:
    """A warning where the extra is, with what to install."""
    [found] = cards.tls(_cards(tls=LocalState("it hides OpenSSL", hint="apt install python3")))
    assert (found.verdict, found.hint) == (WARN, "apt install python3")
