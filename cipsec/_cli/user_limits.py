"""What limits a user's password: as options, in words, and beside what was used of it."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli.until import parse
from cipsec.errors import LocalState, UsageError

if TYPE_CHECKING:
    import sqlite3

    from cipsec._cli.talk import Talk
    from cipsec.store.users import UserRow

COLUMNS = ["name", "status", "until", "uses", "used", "labels", "changed_at"]
_NO_LABEL = "-"

Uses = Annotated[
    int | None,
    typer.Option("--uses", metavar="N", min=1, max=1_000_000, help="For how many enrollments."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="LABEL", help="Only at this EST label, - for none; repeatable."
    ),
]
AtLabel = Annotated[
    str | None,
    typer.Option("--label", metavar="LABEL", help="As if at this EST label, - for none."),
]


def limited(
    row: UserRow,
    until: str | None,
    uses: int | None,
    wanted: list[str] | None,
    now: datetime,
) -> UserRow:
    """Return the user with the limits that were given; those that were not given stay."""
    from cipsec.ra.users import labels_text

    return dataclasses.replace(
        row,
        until=row.until if until is None else int(parse(until, now).timestamp()),
        uses=row.uses if uses is None else uses,
        labels=labels_text(tuple(map(label, wanted))) if wanted else row.labels,
    )


def unlimited(row: UserRow) -> UserRow:
    """Return the user without limits."""
    return dataclasses.replace(row, until=None, uses=None, labels=None)


def label(text: str) -> str:
    """Return the label that is meant; none can begin with a hyphen, so that stands for no label.

    Raises UsageError for what no label can be.
    """
    from cipsec.ra.config import is_label

    if text == _NO_LABEL:
        return ""
    if not is_label(text):
        raise UsageError(
            f"{text!r} cannot be a label", hint="letters, digits and . _ -, or - for no label"
        )
    return text


def warn_of_labels(talk: Talk, ca_dir: Path | None, row: UserRow) -> None:
    """Say which of the user's labels the server does not know: nobody can enroll there."""
    from cipsec.ca_folder import open_folder
    from cipsec.ra.users import labels

    allowed = set(labels(row) or ()) - {""}
    if not allowed:
        return
    try:
        known = open_folder(ca_dir).configuration().server.labels
    except LocalState as error:
        talk.warn(f"the labels are not checked: {error.message}")
        return
    for text in sorted(allowed - known):
        talk.warn(f"ca.toml has no label {text}: nobody can enroll there")


def in_words(row: UserRow) -> str:
    """Return the user and its limits as the record keeps them."""
    from cipsec._cli.ca_shown import moment
    from cipsec.ra.users import labels

    parts = [f"user {row.name}"]
    if row.until is not None:
        parts.append(f"until {moment(row.until)}")
    if row.uses is not None:
        parts.append("1 use" if row.uses == 1 else f"{row.uses} uses")
    allowed = labels(row)
    if allowed is not None:
        parts.append(f"at {' or '.join(text or 'no label' for text in allowed) or 'no path'}")
    return ", ".join(parts)


def record(db: sqlite3.Connection, row: UserRow, now: datetime) -> dict[str, object]:
    """Return a user for `--json`: limits, None for no limit, what was used, and what that means."""
    from cipsec._cli.ca_shown import moment
    from cipsec.ra.users import labels, proof, status
    from cipsec.store import uses

    used, allowed = uses.count(db, proof(row).key), labels(row)
    return {
        "name": row.name,
        "created_at": moment(row.created_at),
        "changed_at": moment(row.changed_at),
        "until": moment(row.until),
        "uses": row.uses,
        "used": used,
        "labels": None if allowed is None else list(allowed),
        "status": status(row, now, used=used),
    }


def line(shown: dict[str, object]) -> dict[str, object]:
    """Return a user's record as a row of a table, where an empty label would not be seen."""
    found = shown["labels"]
    texts = [text or "(no label)" for text in found] if isinstance(found, list) else found
    return {**shown, "labels": texts if texts != [] else "(none)"}
