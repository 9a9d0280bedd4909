"""`cipsec user`: who may enroll with a password; hashing and limits are left to `ra.users`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cipsec import times
from cipsec._cli import actor, ask, exits, user_limits
from cipsec._cli.options import CaDir, Force, PasswordFile, Yes, command, group
from cipsec._cli.talk import Talk
from cipsec._cli.until import Until
from cipsec._cli.user_limits import AtLabel, Labels, Uses
from cipsec._cli.user_password import Generate, PasswordTo, Source
from cipsec.errors import AlreadyExists, CredentialsRefused, NotFound
from cipsec.store.codes import Code

if TYPE_CHECKING:
    import sqlite3

    from cipsec.store.users import UserRow

_T = TypeVar("_T")

app = group("user", "Keep the users that may enroll with a password.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
NoLimits = Annotated[
    bool, typer.Option("--no-limits", help="Drop the limits there are before those given count.")
]


@command(app, "list")
def listing(talk: Talk, *, ca_dir: CaDir = None) -> None:
    """List the users: their limits, and what was used of them."""
    from cipsec.store import users

    now = times.now()
    found = _read(
        ca_dir, lambda db: [user_limits.record(db, row, now) for row in list(users.listed(db))]
    )
    if not found:
        talk.say("cipsec: there is no user; add one with: cipsec user add NAME")
    _print(talk, found)


@command(app, "add")
def add(
    talk: Talk,
    name: Name,
    *,
    password_file: PasswordFile = None,
    generate: Generate = False,
    output: PasswordTo = None,
    force: Force = False,
    until: Until = None,
    uses: Uses = None,
    label: Labels = None,
    ca_dir: CaDir = None,
) -> None:
    """Add a user.

    The password is asked for twice, read from a file, or generated.

    A one-time password for one shift: --uses 1 --until 8h --generate -o FILE.
    """
    from cipsec.ra.users import check_name, hash_password
    from cipsec.store import users
    from cipsec.store.users import UserRow

    check_name(name)
    source, now = Source.parse(password_file, output, generate=generate, force=force), times.now()
    at = int(now.timestamp())
    row = user_limits.limited(UserRow(name, "", at, at), until, uses, label, now)
    if _read(ca_dir, lambda db: users.by_name(db, name)):
        raise _exists(name)
    password = source.password(talk, name)
    row = dataclasses.replace(row, password=hash_password(password))

    def work(db: sqlite3.Connection) -> dict[str, object]:
        if not users.insert(db, row):
            raise _exists(name)
        _note(db, Code.USER_ADDED, row, at)
        return user_limits.record(db, row, now)

    with source.handed_out(password):
        added = _write(ca_dir, work)
    _report(talk, ca_dir, row, added, source)


@command(app, "set-password")
def set_password(
    talk: Talk,
    name: Name,
    *,
    password_file: PasswordFile = None,
    generate: Generate = False,
    output: PasswordTo = None,
    force: Force = False,
    until: Until = None,
    uses: Uses = None,
    label: Labels = None,
    no_limits: NoLimits = False,
    ca_dir: CaDir = None,
) -> None:
    """Give a user another password.

    The old one is refused from then on.

    Its limits stay unless others are given; its uses are counted anew, and locks are lifted.
    """
    from cipsec.ra.users import hash_password
    from cipsec.store import users

    source, now = Source.parse(password_file, output, generate=generate, force=force), times.now()

    def changed(row: UserRow) -> UserRow:
        kept = user_limits.unlimited(row) if no_limits else row
        return user_limits.limited(kept, until, uses, label, now)

    changed(_existing(ca_dir, name))  # what cannot be is refused before a password is asked for
    password = source.password(talk, name)
    hashed, at = hash_password(password), int(now.timestamp())

    def work(db: sqlite3.Connection) -> tuple[UserRow, dict[str, object]]:
        row = changed(_found(db, name))
        users.set_limits(db, name, until=row.until, uses=row.uses, labels=row.labels)
        users.set_password(db, name, hashed, at=at)
        _note(db, Code.PASSWORD_SET, row, at)
        row = _found(db, name)
        return row, user_limits.record(db, row, now)

    with source.handed_out(password):
        row, shown = _write(ca_dir, work)
    _report(talk, ca_dir, row, shown, source)


@command(app, "remove")
def remove(talk: Talk, name: Name, *, yes: Yes = False, ca_dir: CaDir = None) -> int:
    """Remove a user; certificates that were issued stay valid."""
    from cipsec.store import users

    _existing(ca_dir, name)
    if not yes and not ask.confirm(talk, f"Remove the user {name}?", option="-y"):
        talk.nothing("cipsec: nothing was removed", "users")
        return exits.NO
    now = times.now()

    def work(db: sqlite3.Connection) -> dict[str, object]:
        row = _found(db, name)
        users.remove(db, name)
        _note(db, Code.USER_REMOVED, user_limits.unlimited(row), int(now.timestamp()))
        return user_limits.record(db, row, now)

    _print(talk, [_write(ca_dir, work)])
    return exits.OK


@command(app, "check")
def check(
    talk: Talk,
    name: Name,
    *,
    password_file: PasswordFile = None,
    label: AtLabel = None,
    ca_dir: CaDir = None,
) -> None:
    """Tell whether a password is the user's, and good now.

    Exit code 0, or 13.
    """
    from cipsec.ra.users import objection, verify_password

    where = None if label is None else user_limits.label(label)
    row = _existing(ca_dir, name)
    if not verify_password(Source(password_file).password(talk, name, twice=False), row.password):
        raise CredentialsRefused(f"this is not the password of {name}")
    now = times.now()
    judged = row if where is not None else dataclasses.replace(row, labels=None)
    reason = objection(judged, where or "", now)
    if reason is not None:
        raise CredentialsRefused(reason)
    shown = _read(ca_dir, lambda db: user_limits.record(db, row, now))
    if shown["status"] != "valid":
        hint = f"give another one with: cipsec user set-password {name}"
        raise CredentialsRefused(f"the password of {name} is {shown['status']}", hint=hint)
    _print(talk, [shown])


def _existing(ca_dir: Path | None, name: str) -> UserRow:
    """Return the user before anybody is asked for a password; raise NotFound."""
    return _read(ca_dir, lambda db: _found(db, name))


def _found(db: sqlite3.Connection, name: str) -> UserRow:
    from cipsec.ra.users import check_name
    from cipsec.store import users

    row = users.by_name(db, check_name(name))
    if row is None:
        raise NotFound(f"there is no user {name}", hint="list them with: cipsec user list")
    return row


def _exists(name: str) -> AlreadyExists:
    hint = f"give another password with: cipsec user set-password {name}"
    return AlreadyExists(f"there is a user {name}", hint=hint)


def _note(db: sqlite3.Connection, event: Code, row: UserRow, at: int) -> None:
    from cipsec.store import events

    events.append(db, events.Event(at, event, actor.name(), reason=user_limits.in_words(row)))


def _read(ca_dir: Path | None, work: Callable[[sqlite3.Connection], _T]) -> _T:
    from cipsec.ca_folder import open_folder

    with closing(open_folder(ca_dir).store()) as database:
        return database.read(work)


def _write(ca_dir: Path | None, work: Callable[[sqlite3.Connection], _T]) -> _T:
    from cipsec.ca_folder import open_folder

    with closing(open_folder(ca_dir).store()) as database:
        return database.write(work)


def _report(
    talk: Talk, ca_dir: Path | None, row: UserRow, shown: dict[str, object], source: Source
) -> None:
    user_limits.warn_of_labels(talk, ca_dir, row)
    if shown["status"] != "valid":
        talk.warn(f"this password is of no use: the time of {row.name} is over; see --until")
    _print(talk, [shown])
    if source.target is not None:
        talk.say(f"cipsec: the password is in {source.target}")


def _print(talk: Talk, records: list[dict[str, object]]) -> None:
    talk.table(
        "users", user_limits.COLUMNS, records if talk.json else map(user_limits.line, records)
    )
