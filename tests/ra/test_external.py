"""The condition `exec`: what programs say, who asks them at once, and what is remembered."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

import pytest

from cipsec.errors import Malformed
from cipsec.ra.external import Opinion, Programs, check_command
from cipsec.ra.notyet import NotYet
from tests.support.asking import DOCUMENT, Script, asked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


# What a program says.


@pytest.mark.parametrize(
    ("text", "holds", "why"),
    [
        ("exit 0", True, "agrees"),
        ("echo; echo ' in stock '; echo more; exit 0", True, "agrees: in stock"),
        ("exit 1", False, "does not agree"),
        ("echo unknown; exit 1", False, "does not agree: unknown"),
        ("exit 2", None, "has no opinion: it ended with exit status 2"),
        ("echo down; exit 255", None, "has no opinion: it ended with exit status 255: down"),
        ("kill -SEGV $$", None, "has no opinion: it was ended by signal 11"),
        ("echo yes; kill -KILL $$", None, "has no opinion: it was ended by signal 9"),
    ],
)
def test_exit_status(
    programs: Programs, script: Script, text: str, holds: bool | None, why: str
) -> None:
    """0 holds, 1 does not, all else is no opinion."""
    command = script(text)
    assert asked(programs, command) == Opinion(holds, f"{command[0]} {why}")


def test_its_words_are_harmless(programs: Programs, script: Script) -> None:
    """Escapes, marks, markup and bytes that are no text: one printable line of bounded length."""
    command = script(r"printf '\033[2K[/red]\342\200\256\377%0300d\n' 7; exit 1")
    why = asked(programs, command).why.removeprefix(f"{command[0]} does not agree: ")
    assert why.startswith("\\x1b[2K[/red]\\u202e\\xff000")
    assert why.isprintable()
    assert len(why) < 300


def test_what_it_is_told(programs: Programs, script: Script, tmp_path: Path) -> None:
    """The document on stdin, arguments as they are, the CA's folder, and hardly any environment."""
    (command,) = script('cat >told; printf "%s\\n" "$@" >arguments; env | sort >environment')
    assert asked(programs, (command, "$(id)", "a b", "")).holds
    folder = tmp_path / "ca"
    assert (folder / "told").read_bytes().endswith(b"}\n")
    assert json.loads((folder / "told").read_bytes()) == DOCUMENT
    assert (folder / "arguments").read_text() == "$(id)\na b\n\n"
    names = {line.partition("=")[0] for line in (folder / "environment").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "_", "SHLVL"} == {"PATH", "LANG", "CIPSEC_CA_DIR"}
    assert f"CIPSEC_CA_DIR={folder}\n" in (folder / "environment").read_text()


def test_its_complaint_is_logged(
    programs: Programs, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The first line of stderr, made harmless."""
    command = script(r"printf '\033[2Kno route\nmore\n' >&2; exit 3")
    with caplog.at_level(logging.WARNING):
        assert asked(programs, command).holds is None
    assert [record.getMessage() for record in caplog.records] == [f"{command[0]}: \\x1b[2Kno route"]


def test_a_document_that_is_too_long(programs: Programs, script: Script, tmp_path: Path) -> None:
    """It is not cut off: the program is not started."""
    command = script("touch started")

    async def told() -> Opinion:
        with pytest.raises(NotYet) as wait:
            programs.opinion(command, "long", lambda: {"subject": "x" * 70_000})
        await wait.value.ready()
        return programs.opinion(command, "long", dict)

    opinion = asyncio.run(told())
    why = f"{command[0]} has no opinion: the request is too long to be told"
    assert opinion == Opinion(None, why)
    assert not (tmp_path / "ca" / "started").exists()


@pytest.mark.parametrize(
    "kind", ["missing", "directory", "not executable", "no format", "dangling"]
)
def test_cannot_be_started(programs: Programs, tmp_path: Path, kind: str) -> None:
    """That is no opinion, and says why."""
    path = tmp_path / "program"
    match kind:
        case "directory":
            path.mkdir()
        case "not executable":
            path.write_text("#!/bin/sh\n")
        case "no format":
            path.write_bytes(b"\0\0\0\0")
            path.chmod(0o755)
        case "dangling":
            path.write_text("#!/nowhere/interpreter\n")
            path.chmod(0o755)
    opinion = asked(programs, (str(path),))
    assert opinion.holds is None
    assert opinion.why.startswith(f"{path} has no opinion: it cannot be started: ")
    assert opinion.why.endswith(("file or directory", "Permission denied", "Exec format error"))


@pytest.mark.parametrize(
    "value",
    [
        "/usr/bin/true",
        [],
        ["true"],
        ["./true"],
        [""],
        ["/usr/bin/true", 1],
        ["/usr/bin/true", "a\0b"],
        ["/usr/bin/true"] * 65,
        None,
        {"/usr/bin/true": "x"},
    ],
)
def test_not_a_command(value: object) -> None:
    """A list of texts that begins with an absolute path, and nothing else."""
    with pytest.raises(Malformed, match=r"^exec "):
        check_command(value)


def test_a_command() -> None:
    """Arguments are as they were written."""
    assert check_command(["/usr/bin/ask", "", "$(id)"]) == ("/usr/bin/ask", "", "$(id)")


def test_what_the_document_cannot_say_is_the_callers_mistake(
    programs: Programs, script: Script
) -> None:
    """It is not told to the program as something else."""
    command = script("exit 0")

    async def told() -> None:
        with pytest.raises(NotYet) as wait:
            programs.opinion(command, "x", lambda: {"now": object()})
        await wait.value.ready()

    with pytest.raises(TypeError):
        asyncio.run(told())
