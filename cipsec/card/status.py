"""What a card's status words mean; where two cards differ, both readings are the same error."""

from __future__ import annotations

from cipsec.card.apdu import OK, Answer
from cipsec.errors import CardRefused, PinBlocked, WrongPin

NOT_AUTHENTICATED = 0x6982
BLOCKED = 0x6983
CONDITIONS = 0x6985
WRONG_DATA = 0x6A80
NOT_FOUND = 0x6A82
# An instruction or a reference the card does not have.
UNKNOWN = frozenset({0x6A81, 0x6A86, 0x6A88, 0x6D00, 0x6E00})

_WORDS = {
    0x6581: "its memory failed",
    0x6700: "it cannot take so much, or not in this length",
    NOT_AUTHENTICATED: "it asks for a PIN or the management key first",
    BLOCKED: "it is blocked",
    CONDITIONS: "the conditions for it are not met",
    WRONG_DATA: "it cannot use what it was sent",
    0x6A81: "it has no such function",
    NOT_FOUND: "it has no such object",
    0x6A84: "its memory is full",
    0x6A86: "it has no such function or key",
    0x6A88: "it has no such key",
    0x6D00: "it does not know the command",
}


def refused(doing: str, sw: int, *, hint: str | None = None) -> CardRefused:
    """Return the error of a card that answered `sw` when asked for `doing`."""
    words = _WORDS.get(sw, "it gives no reason")
    return CardRefused(f"the card refuses to {doing}: {words} ({sw:04X})", sw=sw, hint=hint)


def required(answer: Answer, doing: str) -> bytes:
    """Return the data of a command that succeeded; raise CardRefused."""
    if answer.sw != OK:
        raise refused(doing, answer.sw)
    return answer.data


def tries(sw: int) -> int | None:
    """Return how many tries a status word leaves; None when it does not say.

    At the last wrong PIN some cards answer 6983, others 63C0 and 6983 from then on.
    """
    if sw == BLOCKED:
        return 0
    return sw & 0x0F if sw & 0xFFF0 == 0x63C0 else None


def compared(answer: Answer, what: str, doing: str) -> None:
    """Judge the answer to a command with a PIN or PUK; raise WrongPin, PinBlocked, CardRefused."""
    if answer.sw == OK:
        return
    left = tries(answer.sw)
    if left == 0:
        raise blocked(what)
    if answer.sw >> 8 != 0x63:
        raise refused(doing, answer.sw)
    said = "" if left is None else f"; {left} {'try is' if left == 1 else 'tries are'} left"
    raise WrongPin(f"the {what} is wrong{said}", tries=left)


def blocked(what: str) -> PinBlocked:
    """Return the error of a PIN or PUK without tries."""
    hint = "cipsec smartcard unblock" if what == "PIN" else "cipsec smartcard reset"
    return PinBlocked(f"the {what} of the card is blocked: no try is left", hint=hint)
