"""`cipsec ca approve|reject`: which requests an administrator means; deciding is `ra.queue`'s."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe, times
from cipsec._cli import actor, ask, exits
from cipsec._cli.ids import waiting
from cipsec._cli.options import CaDir, DryRun, Note, Yes, check_text
from cipsec._cli.talk import Talk
from cipsec.errors import NotFound, UsageError

if TYPE_CHECKING:
    import sqlite3

    from cipsec.ra.queue import Decided, Verdict
    from cipsec.store.database import Database
    from cipsec.store.requests import RequestRow

_SHOWN_BEFORE_ASKING = 20

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID…", autocompletion=waiting, help="Requests, by 8 or more digits."),
]
Match = Annotated[
    str | None,
    typer.Option(
        "--match", metavar="TEXT", help="All that wait and have this text; with --expect."
    ),
]
Expect = Annotated[
    int | None, typer.Option("--expect", metavar="N", min=1, help="How many --match must find.")
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Revoke, with the grant, the certificate that it replaces."),
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Leave the certificate that it replaces in force.")
]
Again = Annotated[bool, typer.Option("--force", "-f", help="Decide again what was decided.")]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an administrator asked for: which outcome, for requests by id or by text, and how."""

    outcome: str
    ids: list[str]
    match: str | None
    expect: int | None
    note: str | None
    dry_run: bool
    yes: bool
    again: bool
    predecessor: bool | None = None

    @property
    def verdict(self) -> Verdict:
        """Return it as the decision on each of the requests."""
        from cipsec.ra.queue import Verdict
        from cipsec.store.requests import State

        return Verdict(
            State(self.outcome), actor.name(), self.note, self.predecessor, again=self.again
        )


def approve(
    talk: Talk,
    *,
    ids: Ids = None,
    note: Note = None,
    match: Match = None,
    expect: Expect = None,
    replace: Replace = False,
    keep: Keep = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    force: Again = False,
    ca_dir: CaDir = None,
) -> int:
    """Approve requests.

    Each device receives its certificate when it asks next.

    For example: cipsec ca approve 8aff87f416ac; or many: cipsec ca approve --match Line --expect 9
    """
    if replace and keep:
        raise UsageError("--replace and --keep exclude each other")
    predecessor = replace if replace or keep else None
    wish = _Wish(
        "approved", ids or [], match, expect, note or None, dry_run, yes, force, predecessor
    )
    made = _act(talk, ca_dir, wish)
    if any(decided.changed and decided.outcome == "approved" for decided in made):
        talk.say("cipsec: the certificate is issued when the device asks next")
    return _code(talk, made, {"approved", "granted"})


def reject(
    talk: Talk,
    *,
    ids: Ids = None,
    note: Note = None,
    match: Match = None,
    expect: Expect = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    force: Again = False,
    ca_dir: CaDir = None,
) -> int:
    """Reject requests.

    Each device is told so, with the note, when it asks next.
    """
    wish = _Wish("rejected", ids or [], match, expect, note or None, dry_run, yes, force)
    return _code(talk, _act(talk, ca_dir, wish), {"rejected"})


def _code(talk: Talk, made: list[Decided], wanted: set[str]) -> int:
    """Return the exit code: whether all are as wanted, whoever decided so."""
    others = {decided.outcome for decided in made} - wanted
    if others - {"granted", "pending"}:
        talk.say("cipsec: hint: what was decided otherwise before is decided again with -f")
    if others == {"pending"} and all(decided.changed for decided in made):
        return exits.PENDING
    return exits.OK if made and not others else exits.NO


def _act(talk: Talk, ca_dir: Path | None, wish: _Wish) -> list[Decided]:
    """Decide what was asked for and say what became of it; nothing when a person said no."""
    from cipsec.ca_folder import open_folder

    _check(wish)
    with closing(open_folder(ca_dir).store()) as database:
        ids = wish.ids or _found(talk, database, wish)
        # By the ids that were counted and shown: what arrives meanwhile is not decided unseen.
        made = _decide(database, ids, wish)
    _report(talk, made, dry_run=wish.dry_run)
    return made


def _check(wish: _Wish) -> None:
    if bool(wish.ids) == (wish.match is not None):
        raise UsageError(
            "name the requests, or find them with --match", hint="list them with: cipsec ca pending"
        )
    if wish.match is not None and not wish.match.strip():
        raise UsageError("--match with an empty text would mean everybody")
    if wish.expect is not None and wish.match is None:
        raise UsageError("--expect counts what --match finds", hint="leave it out")
    check_text(wish.note, "--note")


def _decide(database: Database, ids: list[str], wish: _Wish) -> list[Decided]:
    """Decide all or, when one is not there, none."""
    if wish.dry_run:
        return database.read(lambda db: _foreseen(db, ids, wish))
    return database.write(lambda db: _decided(db, ids, wish))


def _found(talk: Talk, database: Database, wish: _Wish) -> list[str]:
    """Return the ids that --match finds: as many as expected; none when a person says no."""
    from cipsec.ra import queue

    text = wish.match or ""
    rows = database.read(lambda db: queue.matching(db, text))
    if not rows:
        raise NotFound(f"no request that waits has {text!r}", hint="cipsec ca pending")
    if wish.expect is None:
        hint = f"look at them with: cipsec ca pending; then add --expect {len(rows)}"
        raise UsageError(f"{_requests(len(rows))} with {text!r}", hint=hint)
    if wish.expect != len(rows):
        raise UsageError(
            f"{_requests(len(rows))} with {text!r}, not {wish.expect}",
            hint="look at them with: cipsec ca pending",
        )
    if talk.interactive and not (wish.yes or wish.dry_run) and not _agrees(talk, rows, wish):
        talk.say("cipsec: nothing was decided")
        return []
    return [row.id for row in rows]


def _requests(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count} requests wait"


def _agrees(talk: Talk, rows: list[RequestRow], wish: _Wish) -> bool:
    """Show who is meant, and ask."""
    from cipsec._cli import ca_shown

    for row in rows[:_SHOWN_BEFORE_ASKING]:
        line = f"{row.id[: ca_shown.SHORT_ID]} {row.subject} {row.device or ''} {row.address}"
        talk.show(safe.text(line))
    if len(rows) > _SHOWN_BEFORE_ASKING:
        talk.show(f"… and {len(rows) - _SHOWN_BEFORE_ASKING} more")
    return ask.confirm(talk, f"Shall they all be {wish.outcome}?", option="-y")


def _foreseen(db: sqlite3.Connection, ids: list[str], wish: _Wish) -> list[Decided]:
    from cipsec.ra.queue import Decided, settled

    verdict = wish.verdict
    return [
        settled(row, verdict)
        or Decided(row.id, wish.outcome, changed=False, reason="nothing stands against it")
        for row in _rows(db, ids)
    ]


def _decided(db: sqlite3.Connection, ids: list[str], wish: _Wish) -> list[Decided]:
    from cipsec.ra import queue

    verdict, now = wish.verdict, times.now()
    return [queue.decide(db, row, verdict, now) for row in _rows(db, ids)]


def _rows(db: sqlite3.Connection, ids: list[str]) -> list[RequestRow]:
    """Return the requests, each once however often it was named."""
    from cipsec.ra import queue

    return list({row.id: row for row in (queue.find(db, text) for text in ids)}.values())


def _report(talk: Talk, made: list[Decided], *, dry_run: bool) -> None:
    from cipsec._cli import ca_shown

    if talk.json:
        talk.document({"decisions": [asdict(decided) for decided in made]})
    else:
        lines = [{**asdict(d), "id": d.id[: ca_shown.SHORT_ID]} for d in made]
        talk.table("decisions", ["id", "outcome", "changed", "reason"], lines)
    if dry_run:
        talk.say("cipsec: nothing was changed")
