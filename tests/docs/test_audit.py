"""docs/events.md and docs/reports.md: every command line runs, every table and link is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cipsec._cli.main import main
from cipsec.report import tables
from tests.support import ca

from .reading import sections
from .test_events import DOCUMENT as EVENTS
from .transcript import commands

REPORTS = EVENTS.with_name("reports.md")
_HEAD = re.compile(r"\d+:[0-9a-f]{64}")
_COMMANDS = [
    command
    for document in (EVENTS, REPORTS)
    for section in sections(document)
    for block in section.of("console")
    for command in commands(block)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a CA in which something has happened, and a mailbox with its head."""
    made = ca.make(tmp_path / "ca")
    ca.ask(made)
    monkeypatch.setenv("CIPSEC_CA_DIR", str(made.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", _COMMANDS, ids=lambda command: " ".join(command.words))
def test_commands(folder: Path, command: object, capsys: pytest.CaptureFixture[str]) -> None:
    """As they are written, but for heads and for what would go on for ever."""
    assert main(["ca", "handover"]) == 0
    mail = capsys.readouterr().out
    (folder / "mails-of-march.mbox").write_text(mail)
    head = _HEAD.findall(mail)[-1]
    words = [_HEAD.sub(head, word) for word in command.words[1:]]  # type: ignore[attr-defined]  # a command of the document
    assert main([word for word in words if word != "--follow"]) == 0
    assert capsys.readouterr().err.count("error") == 0


def test_tables_of_reports() -> None:
    """Those of `--table`, in the order of a report."""
    [rows] = [section.rows for section in sections(REPORTS) if section.rows]
    assert tuple(row[0].strip("`") for row in rows) == tables.NAMES


@pytest.mark.parametrize("document", [EVENTS, REPORTS], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """To a document that is there, and a heading of it, as GitHub names it."""
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        other = document.with_name(name) if name else document
        titles = [section.title.lower() for section in sections(other)]
        anchors = {re.sub(r"[^a-z0-9 _-]", "", title).replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, target
