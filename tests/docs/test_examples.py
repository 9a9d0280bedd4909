"""docs/approval-models.md: every example loads, every command line does what is shown."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from cipsec._cli.main import main
from cipsec.pki import fingerprint
from cipsec.ra import config
from cipsec.ra.vendors import settings
from cipsec.store import events

from . import transcript
from .plant import PROGRAMS, Plant
from .reading import Block, Section, sections
from .transcript import Command

DOCUMENT = Path(__file__).parents[2] / "docs" / "approval-models.md"
_SECTIONS = sections(DOCUMENT)
_PLAYED = [section for section in _SECTIONS if section.of("console")]
_TOML = [(section, block) for section in _SECTIONS for block in section.of("toml")]
_SHOWN_ID = "5f3c0a9b71d2"  # stands for the id of the request that came last
_PATIENCE = "60s"  # where the document's endpoint would wait for ever
_SHOWN_FINGERPRINT = "7b0c…"  # of the vendor's root
_SHOWN_YEAR, _YEAR = "2027-06-30", "2199-06-30"  # what is to end some day has not ended today


def prepare(plant: Plant, block: Block) -> None:
    """Put a file of the document where it says that it belongs; its first line says so."""
    name, text = block.lines[0].removeprefix("# "), _later(block)
    match block.language:
        case "toml" if name == "ca.toml":
            plant.configure(text)
        case "toml" | "csv":
            (plant.ca.path / name).write_text(text)
        case "python":
            plant.program(Path(block.lines[1]).name, block.text)


def _later(block: Block) -> str:
    return block.text.replace(_SHOWN_YEAR, _YEAR)


def arguments(command: Command, plant: Plant) -> list[str]:
    """Return what to run: endpoints are told where the server is, ids are those there are."""
    words = list(command.words[1:])
    if words[0] == "enroll":
        words += ["--server", plant.server(), "--timeout", _PATIENCE]
    meant = {_SHOWN_ID: _latest, _SHOWN_FINGERPRINT: _root}
    return [meant[word](plant) if word in meant else word for word in words]


def _root(plant: Plant) -> str:
    root = x509.load_pem_x509_certificate((plant.folder / "acme.pem").read_bytes())
    return fingerprint.sha256(root)


def _latest(plant: Plant) -> str:
    with closing(plant.ca.store()) as database:
        asked = database.read(lambda db: [one.request for _, one in events.after(db, 0)])
    return list(dict.fromkeys(filter(None, asked)))[-1]


@pytest.mark.parametrize("section", _PLAYED, ids=str)
def test_commands_do_what_is_shown(
    section: Section, made: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console blocks of a section, with the files that it shows: exit codes and output."""
    for block in section.blocks:
        prepare(made, block)
        if block.language != "console":
            continue
        for command in transcript.commands(block):
            code = main(arguments(command, made))
            printed = capsys.readouterr()
            out, err = (text.replace(str(made.folder), PROGRAMS) for text in printed)
            assert code == command.code, (command.where, out, err)
            difference = command.output and transcript.differs(command.output, out, err)
            assert not difference, (command.where, difference)


@pytest.mark.parametrize(("section", "block"), _TOML, ids=str)
def test_configuration_loads(section: Section, block: Block, made: Plant) -> None:
    """Each TOML block is what its first line says, and loads."""
    name = block.lines[0].removeprefix("# ")
    if name == "ca.toml":
        found = config.parse(made.whole(block.text).encode())
        assert not found.policy.shadowed(), section.title
    else:
        assert name == "vendors/acme.toml"
        settings.parse(block.text.encode(), name)


def test_no_command_line_is_left_out() -> None:
    """Whatever looks like a command of ours stands in a console block, which is run."""
    for section in _SECTIONS:
        for block in section.blocks:
            if block.language != "console":
                assert "cipsec " not in block.text.replace("cipsec ca init", ""), section.title
            else:
                assert block.lines[0].startswith("$ cipsec "), section.title


def test_links_lead_somewhere() -> None:
    """Each link within the document has a heading, as GitHub names it; each other one a file."""
    text = DOCUMENT.read_text()
    anchors = {
        re.sub(r"[^a-z0-9 _-]", "", section.title.lower()).replace(" ", "-")
        for section in _SECTIONS
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    others = re.findall(r"\]\((?!#)([^)#]+)", text)
    assert [one for one in others if not (DOCUMENT.parent / one).is_file()] == []


def test_commands_and_options_exist() -> None:
    """Commands that the text mentions, outside of console blocks, are there, with these options."""
    prose = re.sub(r"```.*?```", "", DOCUMENT.read_text(), flags=re.DOTALL)
    for mentioned in re.findall(
        r"`(?:cipsec )?((?:ca|user|vendor|allowlist|policy) [a-z][^`]*)`", prose
    ):
        verbs = re.match(r"[a-z-]+ [a-z-]+", mentioned)
        assert verbs, mentioned
        assert main([*verbs[0].split(), "--help"]) == 0, mentioned


_TELLS = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
told = {"asked": json.load(sys.stdin), "environment": sorted(os.environ), "folder": os.getcwd()}
Path(sys.argv[1]).write_text(json.dumps(told))
"""


def test_what_a_program_is_told(made: Plant) -> None:
    """The keys of the table, in their order; the environment and the folder that the text says."""
    made.program("tells", _TELLS)
    command = f'["{PROGRAMS}/tells", "{PROGRAMS}/told"]'
    rule = f'[[rule]]\nname = "told"\nwhen = {{ exec = {command} }}\nthen = "grant"\n'
    made.configure(rule)
    assert main(["policy", "check", "pc.csr"]) == 0
    told = json.loads((made.folder / "told").read_bytes())
    rows = next(s.rows for s in _SECTIONS if s.title == "Asking another system")
    assert [row[0].strip("`") for row in rows][: len(told["asked"])] == list(told["asked"])
    assert told["environment"] == ["CIPSEC_CA_DIR", "LANG", "PATH"]
    assert told["folder"] == str(made.ca.path)


def test_exit_codes_of_a_program(made: Plant) -> None:
    """0 holds, 1 does not, anything else is no opinion: then the next rule, or a wait."""
    for status, then, outcome in (
        (0, "grant", 0),
        (1, "grant", 12),
        (2, "grant", 12),
        (0, "reject", 12),
        (1, "reject", 12),
        (2, "reject", 11),
    ):
        made.program(f"ends-{status}", f"#!python\nimport sys; sys.exit({status})\n")
        made.configure(
            f'[[rule]]\nname = "asks"\nwhen = {{ exec = ["{PROGRAMS}/ends-{status}"] }}\n'
            f'then = "{then}"\n# the last rule\n'
        )
        assert main(["policy", "check", "pc.csr"]) == outcome, (status, then)
