"""A Markdown document as its tests see it: sections with code blocks and tables, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"```(\w*)")
_HEADING = re.compile(r"(#{1,4}) (.+)")
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the lines in it, and the line of the document it begins at."""

    language: str
    lines: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        """What stands in it."""
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below one heading and above the next."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)  # of its tables, without headers

    def __str__(self) -> str:
        return self.title

    def of(self, language: str) -> list[Block]:
        """Return the blocks in one language."""
        return [block for block in self.blocks if block.language == language]


def sections(path: Path) -> list[Section]:
    """Read a document."""
    found, lines = [Section("")], path.read_text().splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if fence := _FENCE.match(line):
            end = lines.index("```", number)
            found[-1].blocks.append(Block(fence[1], tuple(lines[number:end]), number))
            number = end + 1
        elif heading := _HEADING.match(line):
            found.append(Section(heading[2]))
        elif line.startswith("|"):
            _add_row(found[-1], line)
    return found


def _add_row(section: Section, line: str) -> None:
    cells = [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]]
    if set(cells[0]) == {"-"}:
        section.rows.pop()  # what stands above this was the header
    else:
        section.rows.append(cells)
