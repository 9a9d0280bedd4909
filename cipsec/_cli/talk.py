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
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cipsec import safe
from cipsec._cli import drawn, exits, streams, terminal
from cipsec._cli.rows import Again, Row, cell, cells, json_lines
from cipsec.errors import CipsecError, LocalState, Pending, Unfit

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
        streams.put(safe.json_text(value, indent=2))

    def event(self, value: Mapping[str, object]) -> None:
        """Print one line of a JSON stream, at once."""
        streams.put(safe.json_text(value), at_once=True)

    def row(self, cells: Iterable[object]) -> None:
        """Print one row of a stream for people, separated by tabs, at once."""
        streams.put("\t".join(map(cell, cells)), at_once=True)

    def line(self, text: str) -> None:
        """Print one line of a narrative, at once; the caller has made it harmless."""
        streams.put(text, at_once=True)

    def raw(self, data: bytes) -> None:
        """Print bytes (PEM, DER) as they are."""
        with streams.heard():
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def pieces(self, data: Iterable[bytes]) -> None:
        """Print what is too large for one piece, as it is."""
        with streams.heard():
            sys.stdout.flush()
        for piece in data:
            with streams.heard():
                sys.stdout.buffer.write(piece)

    def table(self, key: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Print rows of `columns` as a table, tab-separated lines, or JSON under `key`.

        They are printed as they come. At a terminal they are measured before: an iterator's are
        kept for that, others (a list, `Again`) are gone through twice.
        """
        if self.json:
            for line in json_lines(key, rows):
                streams.put(line)
        elif sys.stdout.isatty():
            drawn.table(columns, _again(columns, rows), color=self._color)
        else:
            for row in cells(columns, rows):
                streams.put("\t".join(row))

    def fields(self, key: str, value: Mapping[str, object]) -> None:
        """Print one record as `name: value` lines, or as JSON under `key`."""
        if self.json:
            self.document({key: dict(value)})
            return
        width = max((len(name) for name in value), default=0)
        for name, item in value.items():
            for number, part in enumerate(_parts(item)):
                label = name.replace("_", " ") if number == 0 else ""
                streams.put(f"{label:<{width}}  {part}")

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


def _tell(line: str) -> None:
    """Say a line on stderr, if anybody hears it: the exit code is the same all the same."""
    with contextlib.suppress(OSError):
        streams.line(sys.stderr, line)


def _again(columns: Sequence[str], rows: Iterable[Row]) -> Iterable[list[str]]:
    once = isinstance(rows, Iterator)
    return list(cells(columns, rows)) if once else Again(lambda: cells(columns, rows))


def _parts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}: {cell(item)}" for name, item in value.items()] or ["-"]
    if isinstance(value, (list, tuple)):
        return [cell(item) for item in value] or ["-"]
    return [cell(value)]
