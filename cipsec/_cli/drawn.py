"""Rows at a terminal: a table where there is room for one, else each on lines of its own.

They are gone through twice, to be measured and to be printed, and never kept: there may be a
million.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from cipsec._cli import streams

_IN_ONE_PIECE = 20  # characters: a time, a short id
_ROOM = 16  # characters of a column whose cells are folded: less is a ladder of syllables
_GAP = 2
_AT_ONCE = 500  # rows that are given to rich, which keeps them until all are drawn


def table(columns: Sequence[str], rows: Iterable[list[str]], *, color: bool) -> None:
    """Print rows that can be gone through more than once; nothing where there are none."""
    widths = [0] * len(columns)  # of what says something: a lone dash does not
    for row in rows:
        widths = [
            max(width, _width(cell)) if cell != "-" else width
            for width, cell in zip(widths, row, strict=True)
        ]
    # Columns in which nothing stands are left out: a terminal has room for 80 characters.
    kept = [n for n, width in enumerate(widths) if width]
    if not kept:
        return
    names = [columns[n].replace("_", " ") for n in kept]
    widest = [max(widths[n], len(name)) for n, name in zip(kept, names, strict=True)]
    shown = ([row[n] for n in kept] for row in rows)
    room = _shares(widest, shutil.get_terminal_size().columns)
    if room is not None:
        _folded(names, shown, widest, room, color=color)
    else:
        _on_lines(names, shown, widest)


def _shares(widest: Sequence[int], columns: int) -> list[int] | None:
    """Return the width of each column; None where long ones would have less than `_ROOM`.

    Ids, times and states stay in one piece; sentences and names share what is left.
    """
    long = sorted(
        (n for n, width in enumerate(widest) if width > _IN_ONE_PIECE), key=widest.__getitem__
    )
    shares = list(widest)
    left = columns + _GAP - sum(width + _GAP for width in widest if width <= _IN_ONE_PIECE)
    if left - _GAP < _ROOM * len(long):
        return None
    for place, n in enumerate(long):
        shares[n] = min(widest[n], left // (len(long) - place) - _GAP)
        left -= shares[n] + _GAP
    return shares


def _on_lines(names: Sequence[str], rows: Iterable[list[str]], widest: Sequence[int]) -> None:
    short = [n for n, width in enumerate(widest) if width <= _IN_ONE_PIECE]
    long = [n for n, width in enumerate(widest) if width > _IN_ONE_PIECE]
    streams.put("  ".join(f"{names[n].upper():<{widest[n]}}" for n in short).rstrip())
    for row in rows:
        streams.put("  ".join(f"{row[n]:<{widest[n]}}" for n in short).rstrip())
        for n in long:
            if row[n] != "-":
                streams.put(f"    {names[n]}: {row[n]}")


def _folded(
    names: Sequence[str],
    rows: Iterator[list[str]],
    widest: Sequence[int],
    room: Sequence[int],
    *,
    color: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(no_color=not color, highlight=False, markup=False, emoji=False)
    is_first = True
    while part := list(islice(rows, _AT_ONCE)):
        drawn = Table(
            box=None, pad_edge=False, show_edge=False, show_header=is_first, header_style="bold"
        )
        for name, width, share in zip(names, widest, room, strict=True):
            short = width <= _IN_ONE_PIECE
            drawn.add_column(Text(name.upper()), overflow="fold", no_wrap=short, width=share)
        for row in part:
            drawn.add_row(*map(Text, row))
        with streams.heard():
            console.print(drawn)
        is_first = False


def _width(cell: str) -> int:
    if cell.isascii():
        return len(cell)
    from rich.cells import cell_len

    return cell_len(cell)
