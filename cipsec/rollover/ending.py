"""What is let go: a next key that never issued, and former ones that have ended.

A key on a token is not destroyed: it may be in use elsewhere, and only people can know that.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from cryptography import x509

from cipsec.ca_folder import CaFolder, Generation
from cipsec.rollover.step import Step, required, state
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.token.uri import KeyUri


def cancel(step: Step) -> x509.Certificate | None:
    """Destroy the next key, which has not issued; return its certificate, if it had one by then.

    Endpoints that have taken up a root keep it as an anchor that nobody has the key of. Raises
    NotFound where there is none.
    """

    def call_off(db: sqlite3.Connection) -> x509.Certificate | None:
        upcoming = cancellable(step.folder)
        certificate = upcoming.certificate() if upcoming.exists() else None
        events.append(db, _event(step, certificate, upcoming.key_place.uri()))
        upcoming.remove()
        kept = step.folder.predecessor(step.folder.certificate())
        if kept.exists():  # by an activation that was interrupted
            kept.remove()
        return certificate

    with step.folder.keys_held():
        return step.database.write(call_off)


def _event(step: Step, certificate: x509.Certificate | None, uri: KeyUri | None) -> Event:
    if certificate is not None:
        return step.event(Code.ROLLOVER_CANCELLED, certificate, f"its key {_fate(uri)} unused")
    what = f"the next key, which had no certificate yet, {_fate(uri)} unused"
    return step.event_without(Code.ROLLOVER_CANCELLED, what)


def cancellable(folder: CaFolder) -> Generation:
    """Return what can still be called off; raise NotFound."""
    return folder.successor if state(folder) in ("begun", "waiting") else required(folder)


def _fate(uri: KeyUri | None) -> str:
    return f"stays on the token {uri.token}" if uri else "was destroyed"


def over(folder: CaFolder, now: datetime) -> list[Generation]:
    """Return what was before and has ended: these keys are of no use any more."""
    return [one for one in folder.previous() if one.ends() <= now]


def retire(step: Step) -> list[x509.Certificate]:
    """Destroy former keys that have ended; return their certificates."""

    def let_go(db: sqlite3.Connection) -> list[x509.Certificate]:
        gone = []
        for one in over(step.folder, step.now):
            certificate, uri = one.certificate(), one.key_place.uri()
            reason = f"it has ended; its key {_fate(uri)}"
            events.append(db, step.event(Code.CA_RETIRED, certificate, reason))
            one.remove()
            gone.append(certificate)
        return gone

    return step.database.write(let_go)
