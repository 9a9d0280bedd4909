"""`cipsec ca log verify`: heads to compare with, and what was found; walking is the store's."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from cipsec import files, named
from cipsec._cli import exits
from cipsec._cli.options import CaDir
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, NotFound

if TYPE_CHECKING:
    from cipsec.store.chain import Head
    from cipsec.store.verification import Verified

_LONGEST_LINE = 1 << 20

Known = Annotated[
    list[str] | None,
    typer.Option("--head", metavar="NUMBER:HASH", help="A head written down before; repeatable."),
]
Heads = Annotated[
    str | None,
    typer.Option(
        "--heads", metavar="FILE", help="Take the heads from this text: mails, syslog, reports."
    ),
]


def verify(
    talk: Talk, *, head: Known = None, heads: Heads = None, ca_dir: CaDir = None
) -> int | None:
    """Verify that the log is whole and as it was recorded.

    Exit code 10 when it is not.

    The chain of hashes finds edits, gaps and another order. That its end was taken out, or that
    all was made anew, is found by heads that were written down elsewhere: in notifications, in
    reports, by the server when it starts and ends.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.store import verification
    from cipsec.store.chain import Head

    known = [Head.parse(text) for text in head or []]
    if heads is not None:
        known += _found_in(heads)
    with closing(open_folder(ca_dir).store()) as database:
        done = verification.verify(database, known)
    _show(talk, done)
    return None if done.intact else exits.NO


def _found_in(name: str) -> list[Head]:
    from cipsec.report import heads
    from cipsec.store.chain import Head

    found = set(heads.found(_lines(name)))
    if not found:
        raise NotFound(
            f"there is no head of a log in {name}", hint="a head is NUMBER:HASH, alone on its line"
        )
    return [Head.parse(text) for text in found]


def _lines(name: str) -> Iterator[str]:
    """Yield the lines of a text, of one that is endless its beginning; raise LocalState."""
    if name == "-":
        yield from _pieces(sys.stdin)
        return
    try:
        with _opened(Path(name)) as file:
            yield from _pieces(file)
    except OSError as error:
        raise LocalState(f"{name} cannot be read: {files.reason(error)}") from None


def _opened(path: Path) -> TextIO:
    """Open a text, also one that comes through a pipe; raise LocalState, OSError."""
    if path.is_file():
        return path.open(encoding="utf-8", errors="replace")
    return io.TextIOWrapper(io.BytesIO(named.read(path)), encoding="utf-8", errors="replace")


def _pieces(file: TextIO) -> Iterator[str]:
    whole = True
    while line := file.readline(_LONGEST_LINE):
        if whole:
            yield line
        whole = line.endswith("\n")


def _show(talk: Talk, done: Verified) -> None:
    record: dict[str, object] = {
        "intact": done.intact,
        "events": done.events,
        "head": str(done.head),
        "heads_compared": done.heads,
        "wrong": done.wrong,
    }
    findings = [{"event": f.event, "kind": f.kind, "detail": f.detail} for f in done.findings]
    if talk.json:
        talk.document({"log": record | {"findings": findings}})
        return
    if findings:
        record["findings"] = [finding["detail"] for finding in findings]
    talk.fields("log", record)
    if not done.intact:
        talk.warn("the log is not as it was recorded; keep the CA folder as it is, and compare")
    elif not done.heads:
        talk.say("cipsec: no head from elsewhere was compared: see --head and --heads")
