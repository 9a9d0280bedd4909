"""Command lines that a document shows, with what they print; times, ids and addresses differ."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .reading import Block

_PROMPT = "$ "
_EXIT = re.compile(r"# exit code (\d+)$")
_WHATEVER = "…"
_SHOWN_ADDRESS, _OUR_ADDRESS = "192.168.1.57", "127.0.0.1"
# Each differs from run to run; what stands for it has to be of the same kind.
_VARIES = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA-256"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "SERIAL"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "SERIAL"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, the exit code it ends with, and the lines it prints, if any are shown."""

    words: tuple[str, ...]
    code: int
    output: tuple[str, ...]
    where: str


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block."""
    found: list[tuple[str, list[str], int]] = []
    for number, line in enumerate(block.lines, start=block.line + 1):
        if line.startswith(_PROMPT):
            found.append((line.removeprefix(_PROMPT), [], number))
        else:
            found[-1][1].append(line)
    for line, output, number in found:
        code = _EXIT.search(line)
        words = tuple(shlex.split(_EXIT.sub("", line)))
        yield Command(words, int(code[1]) if code else 0, tuple(output), f"line {number}: {line}")


def differs(shown: Sequence[str], out: str, err: str) -> str | None:
    """Return how the output is not what is shown; a line with `…` alone stands for any lines."""
    printed, said = (list(map(_alike, text.splitlines())) for text in (out, err))
    pattern = re.compile("".join(map(_pattern, shown)))
    for lines in ([*said, *printed], [*printed, *said]):  # both are seen at a terminal
        if pattern.fullmatch("".join(f"{line}\n" for line in lines)):
            return None
    return "\n".join(["", *printed, *said])


def _pattern(line: str) -> str:
    if line.strip() == _WHATEVER:
        return "(?:.*\n)*?"
    parts = _alike(line).split(_WHATEVER)
    return ".*?".join(map(re.escape, parts)) + "\n"


def _alike(line: str) -> str:
    line = " ".join(line.split()).replace(_OUR_ADDRESS, _SHOWN_ADDRESS)
    for pattern, name in _VARIES:
        line = pattern.sub(name, line)
    return line
