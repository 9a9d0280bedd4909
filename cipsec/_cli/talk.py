"""The file that talks.

stdout carries the result and nothing else: a table at a terminal, the same rows separated by tabs
in a pipe, one JSON object with `--json`. stderr carries the conversation: what happens (`say`),
warnings, `cipsec: error: …` and on the next line `cipsec: hint: …`, something to type. Progress
appears only when stderr is a terminal. Whatever came from outside passes through `safe.text`;
nothing is ever read as markup.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from cipsec import safe
from cipsec._cli import exits, streams, terminal
from cipsec.errors import CipsecError, LocalState, Pending, Unfit

_IN_ONE_PIECE = 20  # characters: a time, a short id
_ROOM = 16  # characters of a column whose cells are folded: less is a ladder of syllables
_SAID = 4096  # characters of one line on stderr


@dataclass(frozen=True, slots=True)
class Talk:
    """How one command speaks: chosen by the options that every command has."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    no_input: bool = False
    no_color: bool = False

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: a terminal, and not forbidden by `--no-input`."""
        return not self.no_input and terminal.is_there()

    def fingerprint(self, digits: str) -> str:
        """Return a SHA-256 for the result: in groups of four for eyes, else in one piece."""
        if self.json or not sys.stdout.isatty():
            return digits
        return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))

    def say(self, line: str) -> None:
        """Tell what happens, on stderr, unless `-q`."""
        if not self.quiet:
            _tell(safe.text(line, limit=_SAID))

    def show(self, line: str) -> None:
        """Tell what a question is about, where it is asked: also with `-q`, and with a log."""
        if self.interactive:
            terminal.write(f"{safe.text(line, limit=_SAID)}\n")
        else:
            self.say(line)

    def detail(self, line: str) -> None:
        """Tell what only `-v` wants to know."""
        if self.verbose:
            _tell(safe.text(line, limit=_SAID))

    def warn(self, line: str) -> None:
        """Warn, on stderr, even with `-q`."""
        _tell(f"cipsec: warning: {safe.text(line, limit=_SAID)}")

    def live(self, line: str) -> None:
        """Rewrite one line in place; nothing unless stderr is a terminal."""
        if not self.quiet and sys.stderr.isatty():
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(f"\r{safe.text(line)[: width - 1]:<{width - 1}}")
            sys.stderr.flush()

    def end_live(self) -> None:
        """Clear the live line."""
        if not self.quiet and sys.stderr.isatty():
            self.live("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def document(self, value: Mapping[str, object]) -> None:
        """Print one JSON object."""
        _print(safe.json_text(value, indent=2))

    def event(self, value: Mapping[str, object]) -> None:
        """Print one line of a JSON stream, at once."""
        _print(safe.json_text(value), at_once=True)

    def row(self, cells: Iterable[object]) -> None:
        """Print one row of a stream for people, separated by tabs, at once."""
        _print("\t".join(map(_cell, cells)), at_once=True)

    def line(self, text: str) -> None:
        """Print one line of a narrative, at once; the caller has made it harmless."""
        _print(text, at_once=True)

    def raw(self, data: bytes) -> None:
        """Print bytes (PEM, DER) as they are."""
        with streams.heard():
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def table(self, key: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
        """Print rows of `columns` as a table, tab-separated lines, or JSON under `key`."""
        listed = list(rows)
        if self.json:
            self.document({key: listed})
            return
        cells = [[_cell(row.get(column)) for column in columns] for row in listed]
        if sys.stdout.isatty() and cells:
            _table(*_with_something(columns, cells), color=self._color)
        else:
            for row in cells:
                _print("\t".join(row))

    def fields(self, key: str, value: Mapping[str, object]) -> None:
        """Print one record as `name: value` lines, or as JSON under `key`."""
        if self.json:
            self.document({key: dict(value)})
            return
        width = max((len(name) for name in value), default=0)
        for name, item in value.items():
            for number, part in enumerate(_parts(item)):
                label = name.replace("_", " ") if number == 0 else ""
                _print(f"{label:<{width}}  {part}")

    def nothing(self, line: str, key: str, *, one: bool = False) -> None:
        """Say that a person did not agree; the JSON has its key all the same: nothing, or none."""
        self.say(line)
        if self.json:
            self.document({key: None if one else []})

    def error(self, error: CipsecError) -> None:
        """Say what went wrong and, on the next line, what to type."""
        if self.json:
            with contextlib.suppress(OSError, LocalState):  # stderr has it as well
                self.document({"error": error_object(error)})
        _tell(f"cipsec: error: {safe.text(error.message)}")
        if isinstance(error, Unfit):
            for what, remedy in error.objections:
                _tell(f"cipsec: objection: {safe.text(what)}")
                _tell(f"cipsec: hint: {safe.text(remedy)}")
        elif error.hint:
            _tell(f"cipsec: hint: {safe.text(error.hint)}")

    def end(self, code: int) -> int:
        """Write what is still held back; return the exit code, which a result that is lost makes 6.

        A reader that went away (`| head`) has what it wanted.
        """
        try:
            with streams.heard():
                sys.stdout.flush()
        except BrokenPipeError:
            pass
        except LocalState as error:
            if code == exits.OK:
                code = exits.code_of(error)
                dataclasses.replace(self, json=False).error(error)
        streams.let_go()
        return code

    @property
    def _color(self) -> bool:
        return not self.no_color and "NO_COLOR" not in os.environ


def error_object(error: CipsecError) -> dict[str, object]:
    """Return an error as `--json` shows it."""
    shown: dict[str, object] = {
        "kind": error.kind,
        "message": safe.text(error.message),
        "hint": safe.text(error.hint) if error.hint else None,
    }
    if isinstance(error, Pending):
        shown |= {"retry_after": error.retry_after, "request": error.request}
    if isinstance(error, Unfit):
        shown["objections"] = [
            {"message": safe.text(what), "hint": safe.text(remedy)}
            for what, remedy in error.objections
        ]
    return shown


def _print(line: str, *, at_once: bool = False) -> None:
    """Print a line of the result; raise LocalState where stdout takes no more."""
    with streams.heard():
        _line(sys.stdout, line)
        if at_once:
            sys.stdout.flush()


def _tell(line: str) -> None:
    """Say a line on stderr, if anybody hears it: the exit code is the same all the same."""
    with contextlib.suppress(OSError):
        _line(sys.stderr, line)


def _line(stream: TextIO, line: str) -> None:
    encoding = stream.encoding or "utf-8"  # a pipe on Windows, or PYTHONIOENCODING, may be narrow
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(_cell(item) for item in value) or "-"
        case _:
            return safe.text(value) or "-"


def _parts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}: {_cell(item)}" for name, item in value.items()] or ["-"]
    if isinstance(value, (list, tuple)):
        return [_cell(item) for item in value] or ["-"]
    return [_cell(value)]


def _with_something(
    columns: Sequence[str], cells: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Leave out the columns in which nothing stands: a terminal has 80 of them."""
    kept = [n for n in range(len(columns)) if any(row[n] != "-" for row in cells)]
    return [columns[n] for n in kept], [[row[n] for n in kept] for row in cells]


def _table(columns: list[str], cells: list[list[str]], *, color: bool) -> None:
    """Print a table where there is room for one, else each row on lines of its own."""
    widths = [max(len(c), *(len(row[n]) for row in cells)) for n, c in enumerate(columns)]
    short = [n for n, width in enumerate(widths) if width <= _IN_ONE_PIECE]
    long = [n for n in range(len(columns)) if n not in short]
    left = shutil.get_terminal_size().columns - sum(widths[n] + 2 for n in short)
    if left >= _ROOM * len(long):
        _rich_table(columns, cells, color=color)
        return
    _print(
        "  ".join(f"{columns[n].replace('_', ' ').upper():<{widths[n]}}" for n in short).rstrip()
    )
    for row in cells:
        _print("  ".join(f"{row[n]:<{widths[n]}}" for n in short).rstrip())
        for n in long:
            if row[n] != "-":
                _print(f"    {columns[n].replace('_', ' ')}: {row[n]}")


def _rich_table(columns: Sequence[str], cells: list[list[str]], *, color: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # Ids, times and states stay in one piece; sentences and names give way.
        short = all(len(row[number]) <= _IN_ONE_PIECE for row in cells)
        table.add_column(Text(column.replace("_", " ").upper()), overflow="fold", no_wrap=short)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(no_color=not color, highlight=False, markup=False, emoji=False).print(table)
