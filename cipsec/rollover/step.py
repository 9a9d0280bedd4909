"""What every step of a roll-over begins with: who takes it, how far it has come, what was left."""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cipsec import files
from cipsec.ca_folder import CaFolder, Generation, fingerprint
from cipsec.errors import AlreadyExists, LocalState, NotFound
from cipsec.pki.names import show_name, show_serial
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.times import show_time

# As `files` names what is not whole yet; a key may be in it.
_LEFT = re.compile(
    r"\.(ca\.(key|pem|csr|pkcs11)|(chain|provisioning|new-with-old|old-with-new)\.pem"
    r"|next|[0-9a-f]{16})\.[0-9a-f]{12}"
)
ACTIVATE = "cipsec ca rollover --activate"
CANCEL = "cipsec ca rollover --cancel"
TAKE_IN = "cipsec ca init --intermediate --certificate FILE --chain FILE"


@dataclass(frozen=True, slots=True)
class Step:
    """Who takes a step, and when."""

    folder: CaFolder
    database: Database
    by: str
    now: datetime

    def event(self, what: Code, certificate: x509.Certificate, reason: str) -> Event:
        """Return the event of a step; `certificate` is the one that it is about."""
        return Event(
            at=int(self.now.timestamp()),
            event=what,
            actor=self.by,
            serial=show_serial(certificate.serial_number),
            subject=show_name(certificate.subject),
            reason=f"{reason}; SHA-256 {fingerprint(certificate)}",
        )

    def event_without(self, what: Code, reason: str) -> Event:
        """Return the event of a step that is about a key which has no certificate yet."""
        subject = show_name(self.folder.certificate().subject)
        at = int(self.now.timestamp())
        return Event(at=at, event=what, actor=self.by, subject=subject, reason=reason)


def is_interrupted(folder: CaFolder) -> bool:
    """Tell whether the next key issues already and the rest is still to be tidied."""
    return folder.successor.exists() and folder.next() is None


def state(folder: CaFolder) -> str | None:
    """Return how far a roll-over has come, None where there is none; raise LocalState.

    `begun` while its key is made on a token, `waiting` for a certificate, `prepared`, or
    `interrupted`.
    """
    upcoming = folder.successor
    if is_interrupted(folder):
        return "interrupted"
    if upcoming.exists():
        return "prepared"
    if upcoming.is_waiting():
        return "waiting"
    return "begun" if upcoming.is_begun() else None


def sweep(step: Step) -> None:
    """Remove what an earlier step left half-written when it was killed; raise LocalState.

    Inside a transaction, and with the keys held, so that nobody is at work on it.
    """

    def clean(_: sqlite3.Connection) -> None:
        folder = step.folder
        places = (folder.path, folder.predecessors_folder, folder.successor.path)
        inside = [path for place in places if place.is_dir() for path in place.iterdir()]
        for path in inside:
            if _LEFT.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    try:
        step.database.write(clean)
    except OSError as error:
        where = step.folder.path
        raise LocalState(f"{where} cannot be written: {files.reason(error)}") from None


def require_none(folder: CaFolder) -> None:
    """Raise AlreadyExists where a roll-over waits, is prepared, or was interrupted."""
    require_whole(folder)
    upcoming = folder.successor
    if upcoming.is_waiting():
        hint = f"{TAKE_IN}, or call it off: {CANCEL}"
        raise AlreadyExists(_waits(upcoming), hint=hint)
    if upcoming.exists():
        what = "root" if not upcoming.path_to_root()[1:] else "intermediate"
        raise AlreadyExists(
            f"the next {what} was prepared at {show_time(upcoming.prepared_at())}",
            hint=f"{ACTIVATE}, or call it off: {CANCEL}",
        )


def require_whole(folder: CaFolder) -> None:
    """Raise AlreadyExists where a roll-over was interrupted."""
    if is_interrupted(folder):
        raise AlreadyExists("a roll-over was interrupted", hint=f"finish it: {ACTIVATE}")


def required(folder: CaFolder) -> Generation:
    """Return the next root or CA; raise NotFound where none is prepared, LocalState if it waits."""
    upcoming = folder.next()
    if upcoming is not None:
        return upcoming
    if folder.successor.is_waiting():
        raise LocalState(_waits(folder.successor), hint=TAKE_IN)
    raise NotFound("no roll-over is prepared", hint="cipsec ca rollover")


def _waits(upcoming: Generation) -> str:
    return f"the next key waits for its certificate: have {upcoming.request_file} signed"
