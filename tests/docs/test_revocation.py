"""docs/revocation.md: every command line does what is shown, every setting is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cipsec._cli.main import main
from cipsec.errors import Malformed
from cipsec.ra.publication import parse_crl

from . import transcript
from .plant import Plant
from .reading import sections

DOCUMENT = Path(__file__).parents[2] / "docs" / "revocation.md"
_SECTIONS = sections(DOCUMENT)
_SETTINGS = {row[0].strip("`"): row[2] for s in _SECTIONS for row in s.rows if s.title == "Publish"}


def test_commands_do_what_is_shown(made: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """All of the document's, one after the other: exit codes and output."""
    played = 0
    for block in (block for section in _SECTIONS for block in section.of("console")):
        for command in transcript.commands(block):
            code = main(list(command.words[1:]))
            printed = capsys.readouterr()
            assert code == command.code, (command.where, printed)
            difference = command.output and transcript.differs(
                [_number(line) for line in command.output], _number(printed.out), printed.err
            )
            assert not difference, (command.where, difference)
            played += 1
    assert played == 4
    assert (made.folder / "line-4.crl").read_bytes() == made.ca.crl_file.read_bytes()


def _number(text: str) -> str:
    """Return the text with the number of a list as it is shown."""
    lines = ("number 0" if line.startswith("number ") else line for line in text.split("\n"))
    return "\n".join(lines)


def test_configuration_loads(made: Plant) -> None:
    """The table as it is shown."""
    [block] = [block for section in _SECTIONS for block in section.of("toml")]
    made.configure(block.text)
    shown = made.ca.configuration().crl
    assert (shown.url, shown.listen) == ("http://est.line4.example:8080/ca.crl", ":8080")


def test_settings() -> None:
    """Every key that the parser knows is there, with its default."""
    assert set(_SETTINGS) == {"validity", "url", "listen"}
    for key, default in _SETTINGS.items():
        given = {} if default == "none" else {key: tomllib.loads(f"it = {default[1:-1]}")["it"]}
        assert parse_crl(given) == parse_crl({})
    with pytest.raises(Malformed):
        parse_crl({"another": 1})
