"""Lines of the screen, and texts made fit for them; where they stand is left to `screen`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from rich.cells import cell_len, chop_cells, set_cell_size

from cipsec import safe
from cipsec.times import from_seconds

Show = Callable[[object], str]  # makes a text from outside harmless, for the terminal at hand

_NARROWEST = 4  # columns; also room for the widest character
_GAP = 1


class Tone(Enum):
    """How a line looks; never the only bearer of what it says: there may be no colours."""

    PLAIN = auto()
    STRONG = auto()
    FAINT = auto()
    CHOSEN = auto()
    WARNING = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen, harmless, and cut only where it is painted."""

    text: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Field:
    """Something that is known, and for what would be replaced what was known of the old one."""

    name: str
    value: str
    old: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its width, or where it `grows` the least; the lowest `rank` stays."""

    head: str
    width: int
    rank: int = 0
    grows: bool = False


def shower(*, unicode: bool) -> Show:
    """Return what makes texts harmless; without `unicode` they become ASCII too."""
    return safe.text if unicode else _ascii


def _ascii(value: object) -> str:
    return safe.text(value).encode("ascii", "backslashreplace").decode("ascii")


def utc(at: int) -> datetime:
    """Return a time of the store; the beginning of its time for what cannot be one."""
    try:
        return from_seconds(at)
    except (ValueError, OverflowError, OSError):
        return from_seconds(0)


def fold(text: str, width: int) -> list[str]:
    """Break a harmless text into lines of at most `width` columns, at spaces where it can."""
    width, lines = max(width, _NARROWEST), []
    while cell_len(text) > width:
        piece = chop_cells(text, width)[0]
        space = piece.rfind(" ") + 1
        cut = space if space > len(piece) // 2 else len(piece)
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*lines, text]


def cut(text: str, width: int) -> str:
    """Return a harmless text in exactly `width` columns; `~` stands where something is missing."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "~"[:width]


def fitting(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """Return which columns have room, by their number, and how wide each of them is."""
    kept = list(enumerate(columns))
    while len(kept) > 1 and _needed(column for _, column in kept) > width:
        kept.remove(max(kept, key=lambda item: item[1].rank))
    spare = max(width - _needed(column for _, column in kept), 0)
    growing = [number for number, column in kept if column.grows]
    more = {number: spare // len(growing) for number in growing}
    if growing:
        more[growing[0]] += spare % len(growing)
    return [(number, column.width + more.get(number, 0)) for number, column in kept]


def _needed(columns: Iterable[Column]) -> int:
    return sum(column.width + _GAP for column in columns) - _GAP


def joined(cells: Sequence[str], places: Sequence[tuple[int, int]]) -> str:
    """Return one line of a table."""
    return (" " * _GAP).join(cut(cells[number], width) for number, width in places)


_BESIDE = 64  # columns from which the old stands beside the new


def record(fields: Sequence[Field], width: int) -> list[Line]:
    """Return fields as lines `name  value`, the old beside the new where there is room."""
    names = max((len(field.name) for field in fields), default=0) + 2
    if any(field.old is not None for field in fields) and width >= _BESIDE:
        return _beside(fields, names, width)
    lines = []
    for field in fields:
        lines += _named(field.name, field.value, names, width)
        if field.old is not None:
            lines += _named("  old", field.old, names, width)
    return lines


def _named(name: str, value: str, names: int, width: int) -> list[Line]:
    parts = fold(value, width - names)
    heads = [name, *([""] * (len(parts) - 1))]
    return [Line(f"{head:<{names}}{part}") for head, part in zip(heads, parts, strict=True)]


def _beside(fields: Sequence[Field], names: int, width: int) -> list[Line]:
    half = (width - names - 3) // 2
    lines = [Line(f"{'':<{names}}{cut('THE REQUEST', half)} | WHAT IT REPLACES", Tone.STRONG)]
    for field in fields:
        if field.old is None:
            lines += _named(field.name, field.value, names, width)
            continue
        new, old = fold(field.value, half), fold(field.old, half)
        for number in range(max(len(new), len(old))):
            name = field.name if number == 0 else ""
            left, right = (part[number] if number < len(part) else "" for part in (new, old))
            lines.append(Line(f"{name:<{names}}{cut(left, half)} | {right}"))
    return lines
