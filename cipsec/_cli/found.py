"""Findings on files as `cert verify` and `csr verify` show them, and how many weigh how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    from cipsec.pki.lint import Finding

COLUMNS = ["check", "verdict", "detail", "hint"]


def rows(talk: Talk, source: str, findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Return the rows on one file, its name as it was given, and absolute for programs."""
    name = str(Path(source).absolute()) if talk.json and source != "-" else source
    return [{"file": name, **asdict(finding)} for finding in findings]


def show(talk: Talk, found: Sequence[Mapping[str, object]], *, several: bool) -> None:
    """Show the rows, of several files with their names."""
    talk.table("findings", ["file"] * several + COLUMNS, found)


def count(talk: Talk, found: Sequence[Mapping[str, object]]) -> bool:
    """Say how many findings there are, and of what kind; tell whether anything fails."""
    verdicts = [row["verdict"] for row in found]
    failed, warned = verdicts.count("fail"), verdicts.count("warn")
    noun = "finding" if len(found) == 1 else "findings"
    talk.say(f"cipsec: {len(found)} {noun}: {failed} fail, {warned} warn")
    return failed > 0
