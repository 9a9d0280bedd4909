"""What a report holds: the CA, the policy in force, the head of the log, counts, and tables."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cipsec import __version__, files
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.errors import LocalState
from cipsec.pki.names import show_name
from cipsec.ra import config
from cipsec.ra.policy import Rule
from cipsec.report.tables import Moment, Table, expiring, tables
from cipsec.store import chain
from cipsec.times import show_duration, show_time

SCHEMA = "cipsec.report.v1"


@dataclass(frozen=True, slots=True)
class Report:
    """A report: what it says at once (`head`, as JSON has it), and the tables that it streams."""

    head: Mapping[str, object]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force: the SHA-256 of ca.toml, its rules in words, or why it cannot be read."""

    name: str
    sha256: str | None
    rules: tuple[Mapping[str, object], ...]
    error: str | None = None


def report(folder: CaFolder, db: sqlite3.Connection, *, now: datetime, soon: timedelta) -> Report:
    """Return the report on a CA at `now`; what ends within `soon` is listed as expiring.

    To be read, like its tables, within one transaction: then it is of one moment.
    """
    certificate, found = folder.certificate(), policy(folder)
    moment = Moment(db, now, soon)
    head: dict[str, object] = {
        "schema": SCHEMA,
        "made_at": show_time(now),
        "cipsec": __version__,
        "ca": {
            "name": found.name,
            "subject": show_name(certificate.subject),
            "sha256": fingerprint(certificate),
            "not_after": show_time(certificate.not_valid_after_utc),
        },
        "chain_head": str(chain.head(db)),
        "policy": {"sha256": found.sha256, "error": found.error, "rules": list(found.rules)},
        "expiring_within": show_duration(soon),
        "counts": _counts(moment),
    }
    return Report(head, tables(moment))


def policy(folder: CaFolder) -> Policy:
    """Return the policy in force; one that cannot be read is said to be so, and grants nothing."""
    try:
        data = files.read(folder.config_file, limit=1024 * 1024)
    except LocalState as error:
        return Policy("", None, (), error.message)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        read = config.parse(data)
    except LocalState as error:
        return Policy("", sha256, (), error.message)
    return Policy(read.name, sha256, tuple(map(_rule, read.policy.rules)))


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "name": rule.name,
        "when": [str(condition) for condition in rule.when],
        "then": str(rule.then),
        "until": show_time(rule.until) if rule.until else None,
        "approvals": rule.approvals,
        "replacement": str(rule.replacement) if rule.replacement else None,
    }


def _counts(moment: Moment) -> dict[str, int]:
    """Return how many certificates of endpoints there are, in each state, and who waits."""
    row = moment.db.execute(
        "SELECT count(*), coalesce(sum(revoked_at IS NULL AND not_after >= ?1), 0),"
        " coalesce(sum(revoked_at IS NOT NULL), 0),"
        " coalesce(sum(revoked_at IS NULL AND not_after < ?1), 0)"
        " FROM certificates WHERE kind = 'endpoint'",
        (moment.at,),
    ).fetchone()
    waiting = moment.db.execute("SELECT count(*) FROM requests WHERE state = 'pending'").fetchone()
    names = ("issued", "in_force", "revoked", "expired")
    return {
        **dict(zip(names, row, strict=True)),
        "waiting": int(waiting[0]),
        "expiring": sum(1 for _ in expiring(moment)),
    }
