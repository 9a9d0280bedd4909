"""`cipsec user`: who may enroll with a password; the hashing is left to `ra.users`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cipsec import times
from cipsec._cli import actor, ask, exits
from cipsec._cli.options import CaDir, PasswordFile, Yes, command, group
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, CredentialsRefused, NotFound

if TYPE_CHECKING:
    import sqlite3

    from cipsec.store.users import UserRow

_T = TypeVar("_T")

app = group("user", "Keep the users that may enroll with a password.")

_COLUMNS = ["name", "created_at", "changed_at"]
_OPTION = "--password-file"

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


@command(app, "list")
def listing(talk: Talk, *, ca_dir: CaDir = None) -> None:
    """List the users, by name."""
    from cipsec.store import users

    found = _read(ca_dir, lambda db: list(users.listed(db)))
    if not found:
        talk.say("cipsec: there is no user; add one with: cipsec user add NAME")
    _print(talk, found)


@command(app, "add")
def add(
    talk: Talk, name: Name, *, password_file: PasswordFile = None, ca_dir: CaDir = None
) -> None:
    """Add a user; the password is asked for twice, or read from a file."""
    from cipsec.ra.users import check_name, hash_password
    from cipsec.store import users
    from cipsec.store.users import UserRow

    check_name(name)
    if _read(ca_dir, lambda db: users.by_name(db, name)):
        raise _exists(name)
    hashed = hash_password(_password(talk, name, password_file, twice=True))
    at = int(times.now().timestamp())
    row = UserRow(name, hashed, created_at=at, changed_at=at)

    def work(db: sqlite3.Connection) -> None:
        if not users.insert(db, row):
            raise _exists(name)
        _note(db, "user-added", name, at)

    _write(ca_dir, work)
    _print(talk, [row])


@command(app, "set-password")
def set_password(
    talk: Talk, name: Name, *, password_file: PasswordFile = None, ca_dir: CaDir = None
) -> None:
    """Give a user another password; the old one is refused from then on."""
    from cipsec.ra.users import hash_password
    from cipsec.store import users

    _existing(ca_dir, name)
    hashed = hash_password(_password(talk, name, password_file, twice=True))
    at = int(times.now().timestamp())

    def work(db: sqlite3.Connection) -> UserRow:
        if not users.set_password(db, name, hashed, at=at):
            raise _unknown(name)
        _note(db, "password-set", name, at)
        return _found(db, name)

    _print(talk, [_write(ca_dir, work)])


@command(app, "remove")
def remove(talk: Talk, name: Name, *, yes: Yes = False, ca_dir: CaDir = None) -> int:
    """Remove a user; certificates that were issued stay valid."""
    from cipsec.store import users

    _existing(ca_dir, name)
    if not yes and not ask.confirm(talk, f"Remove the user {name}?", option="-y"):
        talk.say("cipsec: nothing was removed")
        return exits.NO

    def work(db: sqlite3.Connection) -> UserRow:
        row = _found(db, name)
        users.remove(db, name)
        _note(db, "user-removed", name, int(times.now().timestamp()))
        return row

    _print(talk, [_write(ca_dir, work)])
    return exits.OK


@command(app, "check")
def check(
    talk: Talk, name: Name, *, password_file: PasswordFile = None, ca_dir: CaDir = None
) -> None:
    """Tell whether a password is the user's: exit code 0, or 13."""
    from cipsec.ra.users import verify_password

    row = _existing(ca_dir, name)
    if not verify_password(_password(talk, name, password_file), row.password):
        raise CredentialsRefused(f"this is not the password of {name}")
    _print(talk, [row])


def _password(talk: Talk, name: str, file: str | None, *, twice: bool = False) -> str:
    return ask.secret(talk, f"Password of {name}", file=file, option=_OPTION, twice=twice)


def _existing(ca_dir: Path | None, name: str) -> UserRow:
    """Return the user before anybody is asked for a password; raise NotFound."""
    return _read(ca_dir, lambda db: _found(db, name))


def _found(db: sqlite3.Connection, name: str) -> UserRow:
    from cipsec.ra.users import check_name
    from cipsec.store import users

    row = users.by_name(db, check_name(name))
    if row is None:
        raise _unknown(name)
    return row


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no user {name}", hint="list them with: cipsec user list")


def _exists(name: str) -> AlreadyExists:
    hint = f"give another password with: cipsec user set-password {name}"
    return AlreadyExists(f"there is a user {name}", hint=hint)


def _note(db: sqlite3.Connection, event: str, name: str, at: int) -> None:
    from cipsec.store import events

    events.append(db, events.Event(at, event, actor.name(), reason=f"user {name}"))


def _read(ca_dir: Path | None, work: Callable[[sqlite3.Connection], _T]) -> _T:
    from cipsec.ca_folder import open_folder

    with closing(open_folder(ca_dir).store()) as database:
        return database.read(work)


def _write(ca_dir: Path | None, work: Callable[[sqlite3.Connection], _T]) -> _T:
    from cipsec.ca_folder import open_folder

    with closing(open_folder(ca_dir).store()) as database:
        return database.write(work)


def _print(talk: Talk, rows: list[UserRow]) -> None:
    from cipsec._cli.ca_shown import moment

    records = [
        {
            "name": row.name,
            "created_at": moment(row.created_at),
            "changed_at": moment(row.changed_at),
        }
        for row in rows
    ]
    talk.table("users", _COLUMNS, records)
