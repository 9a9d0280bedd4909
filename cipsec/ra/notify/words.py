"""A message in words: a subject line and a text that says what to type.

No link approves anything, so there is none; and what a device made up becomes none either.
"""

from __future__ import annotations

from collections.abc import Iterator

from cipsec import safe
from cipsec.ra.notify.message import Message, Told
from cipsec.store.codes import Code
from cipsec.times import from_seconds, show_time

LINES = 50  # of a digest: more are counted
_SHORT_ID = 12  # hex digits of a request's id, and
_SHORT_SERIAL = 16  # of a serial number: as `ca pending` and `ca list` show them
_SUBJECT = 150
_TEXT = 300

# In the order in which they are told: what is broken, what waits, what was done.
_SAID: dict[str, str] = {
    Code.TEST: "this is a test",
    Code.POLICY_ERROR: "requests cannot be decided",
    Code.CREDENTIAL_LOCKED: "a credential is locked",
    Code.RESTORED: "the CA was restored from a backup",
    Code.REPLACEMENT: "a known device has a new key",
    Code.PENDING: "a request waits for approval",
    Code.REMINDER: "a request has waited for long",
    Code.EXPIRING: "a certificate ends soon",
    Code.REVOKED: "a certificate was revoked",
    Code.REFUSED: "a request was refused",
    Code.REJECTED: "a request was rejected",
    Code.APPROVED: "a request was approved",
    Code.AGREED: "one of several administrators agreed",
    Code.GRANTED: "a certificate was granted",
    Code.PROVISIONED: "a provisioning certificate was made",
    Code.USER_ADDED: "a user was added",
    Code.USER_REMOVED: "a user was removed",
    Code.PASSWORD_SET: "a user's password was set",
    Code.ALLOWLIST_ADDED: "a device was put on a list",
    Code.ALLOWLIST_REMOVED: "a device was taken off a list",
    Code.ALLOWLIST_IMPORTED: "devices were imported into a list",
    Code.VENDOR_ADDED: "a vendor was added",
    Code.VENDOR_REMOVED: "a vendor was removed",
    Code.CA_CERTIFICATE: "the CA has another certificate",
    Code.CA_PASSPHRASE: "the passphrase of the CA's keys was changed",
    Code.ROLLOVER_REQUESTED: "the CA's next key waits for its certificate",
    Code.ROLLOVER_PREPARED: "the CA's next root or intermediate is handed out",
    Code.ROLLOVER_ACTIVATED: "the CA's next root or intermediate issues",
    Code.ROLLOVER_CANCELLED: "the CA's next root or intermediate was given up",
    Code.CA_RETIRED: "a former root or intermediate of the CA is gone",
    Code.BACKED_UP: "the CA was backed up",
    Code.LOG_CHAINED: "the log of an earlier version was chained",
    Code.REPORT_SIGNED: "a report was signed",
}
_ORDER = {event: number for number, event in enumerate(_SAID)}
_HEAD = "Keep this, the head of the log; cipsec ca log verify compares it:"
_DECIDED_ELSEWHERE = "Nothing can be approved by answering this message."


def subject(message: Message) -> str:
    """Return one harmless line: what happened, or how often what did."""
    if sum(message.counts.values()) == 1 and len(message.told) == 1:
        [told] = message.told
        said = f"{told.event.event}: {_about(told) or _said(told.event.event)}"
    else:
        said = ", ".join(f"{message.counts[name]} {name}" for name in _ordered(message))
    return shown(f"[{message.ca or 'cipsec'}] {said}", limit=_SUBJECT)


def text(message: Message) -> str:
    """Return the message in words, at most some sixty lines."""
    if sum(message.counts.values()) == 1 and len(message.told) == 1:
        lines = _one(message.told[0])
    else:
        lines = _digest(message)
    ca = shown(message.ca or "without a name")
    foot = f"{ca}, cipsec on {shown(message.host)}. {_DECIDED_ELSEWHERE}"
    # On a line of its own, which no mail program breaks, for: ca log verify --heads.
    head = [_HEAD, str(message.head)] if message.head else []
    return "\n".join([*lines, "", "-- ", foot, *head, ""])


def line(told: Told) -> str:
    """Return one event in one line."""
    event = told.event
    why = ": ".join(filter(None, [event.rule, event.reason]))
    parts = (_at(event.at), event.event, _about(told), why, event.address)
    return ", ".join(shown(part) for part in parts if part)


def shown(value: object, *, limit: int = _TEXT) -> str:
    """Return a text from outside as one line that no mail or chat program makes a link of.

    A device asks for the names it likes: `CN=https://evil.example/approve` would be something to
    click, in a message that people trust.
    """
    harmless = safe.text(value, limit=limit)
    return (
        harmless.replace("://", "[:]//").replace("www.", "www[.]").replace("mailto:", "mailto[:]")
    )


def _one(told: Told) -> Iterator[str]:
    """Yield the lines about a single event: all that is known of it."""
    yield _said(told.event.event).capitalize() + "."
    yield ""
    for name, value in _facts(told).items():
        if value:
            yield f"  {name:<9} {shown(value)}"
    if command := _command(told):
        yield ""
        yield f"Look at it with:  {command}"


def _facts(told: Told) -> dict[str, object]:
    event, request = told.event, told.request
    known: dict[str, object] = {
        "subject": event.subject,
        "device": event.device,
        "address": event.address,
        "rule": event.rule,
        "reason": event.reason,
        "by": event.actor,
        "at": _at(event.at),
        "serial": event.serial,
    }
    if request is None:
        return known
    return known | {
        "request": request.id,
        "state": request.state,
        "mac": request.mac,
        "proved": request.proved,
        "claimed": request.claimed,
        "label": request.label,
        "replaces": request.replaces,
        "key": f"SHA-256 {request.spki_sha256}",
    }


def _digest(message: Message) -> Iterator[str]:
    """Yield a paragraph for each kind of event, and fair shares of the lines there are."""
    names = _ordered(message)
    share = max(1, LINES // max(1, len(names)))
    for name in names:
        told = [one for one in message.told if one.event.event == name][:share]
        yield f"{_said(name).capitalize()}: {message.counts[name]}"
        for one in told:
            command = _command(one)
            yield f"  {line(one)}" + (f"  ({command})" if command else "")
        if (more := message.counts[name] - len(told)) > 0:
            yield f"  and {more} more; see them all with:  {_all(name)}"
        yield ""


def _ordered(message: Message) -> list[str]:
    return sorted(message.counts, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))


def _said(event: str) -> str:
    return _SAID.get(event, shown(event))


def _about(told: Told) -> str:
    """Return what an event is about, as people would call it."""
    event = told.event
    named = event.subject or (told.request.subject if told.request else "")
    device = event.device if event.device and event.device not in named else None
    return " ".join(filter(None, [named, f"({device})" if device else None]))


def _command(told: Told) -> str | None:
    """Return what to type to see more."""
    event = told.event
    if event.request:
        return f"cipsec ca show {shown(event.request[:_SHORT_ID])}"
    if event.serial:
        return f"cipsec ca show {shown(event.serial[:_SHORT_SERIAL])}"
    return None


def _all(event: str) -> str:
    match event:
        case Code.PENDING | Code.REPLACEMENT | Code.REMINDER:
            return "cipsec ca pending"
        case Code.EXPIRING:
            return "cipsec ca list --expiring 30d"
        case _:
            return "cipsec ca log"


def _at(seconds: int) -> str:
    return show_time(from_seconds(seconds))
