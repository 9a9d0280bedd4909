"""docs/disaster.md: its command lines, in their order, do what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cipsec._cli.main import main
from cipsec.ca_folder import CaFolder
from tests.support import administrator, ca, programs

from . import transcript
from .reading import Section, sections
from .transcript import Command

DOCUMENT = Path(__file__).parents[2] / "docs" / "disaster.md"
_SECTIONS = sections(DOCUMENT)
_SECRET = "correct horse battery"


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaFolder:
    """The CA "Line 4" in the current folder, and the backup's passphrase in a file."""
    administrator.be(monkeypatch, "anna")
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "ca"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backup.pass").write_text(f"{_SECRET}\n")
    return ca.make(tmp_path / "ca")


def _run(command: Command, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    if command.words[0] == "cipsec":
        code = main(command.words[1:])
        return (code, *capsys.readouterr())
    programs.need(command.words[0])
    done = programs.run(*command.words)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_commands_do_what_is_shown(
    plant: CaFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first backup to the last roll-over."""
    assert ca.ask(plant)
    commands = [c for s in _SECTIONS for b in s.of("console") for c in transcript.commands(b)]
    assert len(commands) > 8
    for command in commands:
        code, out, err = _run(command, capsys)
        assert code == command.code, (command.where, out, err)
        difference = command.output and transcript.differs(command.output, out, err)
        assert not difference, (command.where, difference)
    assert CaFolder(tmp_path / "restored").certificate() in plant.roots()
    assert len(plant.previous()) == 1


def test_commands_that_the_text_mentions_exist() -> None:
    """With their options, as far as they are named."""
    prose = re.sub(r"```.*?```", "", DOCUMENT.read_text(), flags=re.DOTALL)
    found = re.findall(r"`(?:cipsec )?((?:ca|user|allowlist|cert) [a-z][^`]*)`", prose)
    assert len(found) > 12
    for mentioned in found:
        words = mentioned.split()
        assert main([*words[:2], "--help"]) == 0, mentioned


@pytest.mark.parametrize("section", _SECTIONS, ids=str)
def test_tables_are_whole(section: Section) -> None:
    """Every row has every column."""
    assert {len(row) for row in section.rows} <= {3}
