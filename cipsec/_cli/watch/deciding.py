"""A decision about the request that a person has before the eyes, and about no other."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from cipsec._cli import ca_shown
from cipsec.ra import queue
from cipsec.ra.queue import Decided, Verdict
from cipsec.store import requests
from cipsec.store.requests import RequestRow, State


def decide(db: sqlite3.Connection, shown: RequestRow, verdict: Verdict, now: datetime) -> Decided:
    """Decide inside the caller's transaction, unless the request is not what was shown any more."""
    row = requests.by_id(db, shown.id)
    if row is None:
        return Decided(shown.id, "gone", changed=False, reason="it is not in the store any more")
    if row.state == State.PENDING and _question(row) != _question(shown):
        reason = "it has changed since it was shown: look at it again"
        return Decided(row.id, row.state, changed=False, reason=reason)
    return queue.decide(db, row, verdict, now)


def _question(row: RequestRow) -> RequestRow:
    """Return what may change under an id but for polls: one that waits again has a new row."""
    return replace(row, last_seen=0, polls=0, address="", reminded_at=None, csr=b"")


def sentence(decided: Decided) -> str:
    """Return what became of it, as the last line of the view says it."""
    short = decided.id[: ca_shown.SHORT_ID]
    if not decided.changed:
        return f"{short} is as before: {decided.reason}"
    if decided.outcome == State.APPROVED:
        return f"{short} approved ({decided.reason}); issued when the device asks next"
    if decided.outcome == State.REJECTED:
        return f"{short} rejected ({decided.reason})"
    return f"{short} goes on waiting: {decided.reason}"


def question(row: RequestRow, state: State) -> tuple[str, dict[str, str]]:
    """Return what is asked before a decision, and the keys that say yes, with their words.

    No key is one that, pressed twice by mistake, decides: neither `a` nor `r`.
    """
    short = row.id[: ca_shown.SHORT_ID]
    if state is State.REJECTED:
        return f"Reject the request {short}?", {"y": "yes, reject"}
    if row.replaces is None:
        return f"Approve the request {short}?", {"y": "yes, approve"}
    title = f"Approve the request {short}? Its device or name has a certificate already."
    return title, {"o": "approve and revoke the old", "k": "approve and keep both"}


def predecessor(answer: str) -> bool | None:
    """Return what an answer says is to become of the certificate that is replaced."""
    return {"o": True, "k": False}.get(answer)
