"""Restoring a CA: whole, in a folder of its own, and with what nobody can know any more said.

What was granted, spent, approved or revoked after the backup is lost. Serial numbers do not repeat
all the same: they begin with the time and end with 80 random bits (`ca.authority.new_serial`).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cipsec import files, naming, shell
from cipsec.backup.facts import Facts
from cipsec.backup.read import unpack
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.errors import AlreadyExists, LocalState, Malformed
from cipsec.store import credentials, events, users, uses
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.readonly import ReadOnly
from cipsec.times import show_time

_LONG = 3600.0  # seconds in which a store of a million certificates is looked through
_PREFIX = 12  # hex digits of a serial number: milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Restored:
    """A CA that was restored, and what the backup cannot know.

    Certificates issued since have serial numbers that begin between `unknown_from` and
    `unknown_to`. `credentials` and `users` are those good for a number of enrollments that the
    backup has as not used up. `replaced` is where the folder went that had the place before.
    """

    folder: CaFolder
    facts: Facts
    at: datetime
    credentials: tuple[str, ...]
    users: tuple[str, ...]
    replaced: Path | None

    @property
    def unknown_from(self) -> str:
        """The beginning of the serial number of a certificate of when the backup was made."""
        return prefix(self.facts.made_at)

    @property
    def unknown_to(self) -> str:
        """The beginning of one of when it was restored."""
        return prefix(self.at)


def prefix(moment: datetime) -> str:
    """Return the first 12 digits of the serial numbers of a moment."""
    return f"{int(moment.timestamp() * 1000):0{_PREFIX}x}"


def require_place(place: Path, *, force: bool) -> None:
    """Raise AlreadyExists for a place that is taken, Locked where a server runs on it."""
    try:
        files.require_free(place)
    except AlreadyExists as error:
        if not force:
            raise AlreadyExists(
                error.message,
                hint="name another folder with --ca-dir, or set this one aside with -f",
            ) from None
        if not place.is_dir():
            raise LocalState(f"{place} is not a folder") from None
        with _nobody_serves(place):
            return


def restore(
    source: Path, place: Path, passphrase: str, *, force: bool, by: str, now: datetime
) -> Restored:
    """Restore a CA from a backup, whole or not at all.

    A folder that has the place is set aside whole with `force`, never mixed with. Raises
    AlreadyExists, Locked for the passphrase or a running server, Malformed for a damaged backup.
    """
    require_place(place, force=force)
    taken = place.is_dir() and any(place.iterdir())
    target = _beside(place, "restored", now) if taken else place
    with files.new_directory(target) as draft:
        facts = unpack(source, passphrase, draft)
        open_credentials, open_users = _complete(CaFolder(draft), facts, by, now)
    aside = _exchange(place, target, now) if taken else None
    return Restored(CaFolder(place), facts, now, open_credentials, open_users, aside)


def _complete(
    draft: CaFolder, facts: Facts, by: str, now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check what came out, record that it did, and return what may be used up by now."""
    if fingerprint(draft.certificate()) != facts.sha256:
        raise Malformed("the backup's CA is not the one that it says")
    if draft.key_uri() is None:  # else the token has it
        files.read(draft.key_file)
    for place in (draft.allowlists_folder, draft.vendors_folder):  # an empty one is not in it
        place.mkdir(mode=0o700, exist_ok=True)
    if damage := ReadOnly(draft.store_file, seconds=_LONG).damage():
        raise Malformed(f"the store in the backup is damaged: {damage}")
    with closing(Database.open(draft.store_file)) as database:
        found = database.read(lambda db: (_credentials(db, now), _users(db, now)))
        database.write(lambda db: events.append(db, _event(facts, by, now)))
    for place in [draft.path, *(path for path in draft.path.rglob("*") if path.is_dir())]:
        files.sync_directory(place)
    return found


def _event(facts: Facts, by: str, now: datetime) -> Event:
    reason = (
        f"from the backup of {show_time(facts.made_at)}, up to event {facts.event}; what happened"
        f" until {show_time(now)} is not on record: certificates with serial numbers from"
        f" {prefix(facts.made_at)} to {prefix(now)}"
    )
    return Event(at=int(now.timestamp()), event=Code.RESTORED, actor=by, reason=reason)


def _credentials(db: sqlite3.Connection, now: datetime) -> tuple[str, ...]:
    rows = list(credentials.listed(db))
    return tuple(
        row.name for row in rows if row.status(now, spent=uses.count(db, row.key)) == "valid"
    )


def _users(db: sqlite3.Connection, now: datetime) -> tuple[str, ...]:
    at = now.timestamp()
    limited = (row for row in list(users.listed(db)) if row.uses is not None)
    return tuple(row.name for row in limited if row.until is None or row.until > at)


def _beside(place: Path, what: str, now: datetime) -> Path:
    return place.with_name(f"{place.name}.{what}-{now:%Y%m%dT%H%M%SZ}")


def _exchange(place: Path, target: Path, now: datetime) -> Path:
    """Set the old folder aside and give the new one its name; return where the old one is."""
    aside = _beside(place, "replaced", now)
    if shell.WINDOWS:  # no folder gets another name while a file in it is open, as the lock is
        with _nobody_serves(place):
            pass
        _rename(place, aside, target)
    else:
        with _nobody_serves(place):
            _rename(place, aside, target)
    return aside


def _rename(place: Path, aside: Path, target: Path) -> None:
    try:
        naming.rename(place, aside)
        naming.rename(target, place)
        files.sync_directory(place.parent)
    except OSError as error:
        raise LocalState(
            f"{place} cannot be exchanged: {files.reason(error)}",
            hint=f"the restored CA is in {target}, the old one in {aside}",
        ) from None


@contextlib.contextmanager
def _nobody_serves(place: Path) -> Iterator[None]:
    """Hold the lock of the CA's server; raise Locked where one runs."""
    lock, busy = CaFolder(place).lock_file, f"a server is running on {place}"
    with files.held(lock, patience=0.5, busy=busy, hint="end it first"):
        yield
