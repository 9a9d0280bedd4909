"""Users and provisioning certificates: which are in force, and which nobody may remember."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from cipsec.doctor.finding import Remark, fail, many, or_ok, warn
from cipsec.doctor.policy import asking
from cipsec.doctor.subject import Ca
from cipsec.ra import provisioning, users
from cipsec.ra.conditions.proofs import Provisioning, User
from cipsec.ra.provisioning import Standing
from cipsec.store import users as rows
from cipsec.store import uses
from cipsec.store.users import UserRow
from cipsec.times import from_seconds, show_duration

_FORGOTTEN = timedelta(days=30)  # what lies about so long is not where its maker thinks


def known_users(ca: Ca) -> Iterable[Remark]:
    """Tell how many users can log in, and see that those of the rules are there."""
    if ca.record is None:
        return ()
    states = ca.record.read(lambda db: _states(db, ca.now))
    counts = [f"{list(states.values()).count(s)} {s}" for s in ("valid", "ended", "used up")]
    return or_ok(_unknown_users(ca, set(states)), f"{len(states)}: {', '.join(counts)}")


def _states(db: sqlite3.Connection, now: datetime) -> dict[str, str]:
    return {row.name: _state(db, row, now) for row in list(rows.listed(db))}


def _state(db: sqlite3.Connection, row: UserRow, now: datetime) -> str:
    return users.status(row, now, used=uses.count(db, users.proof(row).key))


def _unknown_users(ca: Ca, names: set[str]) -> Iterator[Remark]:
    if ca.config is None:
        return
    for rule, condition in asking(ca.config.policy, User):
        for name in sorted(condition.names - names):
            detail = f"the rule {rule.name} asks for the user {name}, and there is none"
            yield warn(detail, f"cipsec user add {name}")


def credentials(ca: Ca) -> Iterable[Remark]:
    """See that nobody has lost track of a provisioning certificate that is still good."""
    if ca.record is None:
        return ()
    found = ca.record.read(lambda db: provisioning.listed(db, ca.now))
    valid = [one for one in found if one.status == "valid"]
    troubles = [*_forgotten(valid, ca.now), *_unknown(ca, found), *_without_issuer(ca, valid)]
    return or_ok(troubles, f"{many(len(found), 'provisioning certificate')}, {len(valid)} valid")


def _forgotten(valid: Iterable[Standing], now: datetime) -> Iterator[Remark]:
    for one in valid:
        age = now - from_seconds(one.row.created_at)
        if age > _FORGOTTEN:
            left = f"{one.row.uses - one.used} of {many(one.row.uses, 'use')} left"
            detail = f"{one.row.name}, made by {one.row.created_by} {show_duration(age)} ago, has"
            yield warn(f"{detail} {left}", f"cipsec ca revoke --credential {one.row.name}")


def _unknown(ca: Ca, found: Iterable[Standing]) -> Iterator[Remark]:
    if ca.config is None:
        return
    names = {one.row.name for one in found}
    for rule, condition in asking(ca.config.policy, Provisioning):
        for name in sorted(condition.names - names):
            detail = f"the rule {rule.name} asks for {name}, and there is no such certificate"
            yield warn(detail, f"cipsec ca provision {name} -o DIR")


def _without_issuer(ca: Ca, valid: list[Standing]) -> Iterator[Remark]:
    """Yield that what was given out proves nothing, for its issuer is not known any more."""
    file = ca.folder.provisioning_certificate_file
    if valid and not file.exists():
        yield fail(f"{file} is missing: none is accepted", "restore the CA folder from a backup")


CHECKS = {"users": known_users, "provisioning": credentials}
