"""How checks are made: all of them, bounded, with hints that can be typed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.doctor.finding import Finding, Remark, Verdict, examine, fail, ok, or_ok, typed, warn
from cipsec.errors import LocalState, StoreFailed

from .looking import FAIL, OK, WARN, brief


def _raising(error: Exception) -> Iterator[Remark]:
    yield warn("before")
    raise error


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (LocalState("it is damaged", hint="mend it"), "it is damaged"),
        (StoreFailed("the store cannot be used: locked"), "the store cannot be used: locked"),
        (
            PermissionError(13, "Permission denied", "/x"),
            "it cannot be looked at: /x: permission denied",
        ),
        (TypeError("not an int"), "it cannot be looked at: TypeError: not an int"),
        (OverflowError("too large"), "it cannot be looked at: OverflowError: too large"),
        (RecursionError("deep"), "it cannot be looked at: RecursionError: deep"),
        (IndexError("none"), "it cannot be looked at: IndexError: none"),
    ],
)
def test_a_check_that_raises_fails(error: Exception, detail: str) -> None:
    """What it said before counts, and the checks behind it are made."""
    found = list(examine({"one": lambda _: _raising(error), "two": lambda _: [ok("fine")]}, None))
    assert [one.check for one in found] == ["one", "one", "two"]
    assert brief(found) == [(WARN, "before"), (FAIL, detail), (OK, "fine")]
    assert found[1].hint == getattr(error, "hint", None)


def test_a_mistake_is_not_hidden() -> None:
    """What can only be a mistake of this program's ends it, loudly."""
    for error in (AssertionError(), sqlite3.OperationalError("not translated")):
        with pytest.raises(type(error)):
            list(examine({"one": lambda _, error=error: _raising(error)}, None))  # type: ignore[misc]  # mypy infers no lambda with a default


def test_options_are_added_to_commands() -> None:
    """A hint that is a command acts on what was looked at; other hints stay as they are."""
    remarks = [fail("a", "cipsec policy show"), warn("b", "date -u"), ok("c")]
    found = examine({"one": lambda _: remarks}, None, option=" --ca-dir /x")
    assert [one.hint for one in found] == ["cipsec policy show --ca-dir /x", "date -u", None]


def test_the_gravest_are_kept() -> None:
    """A thousand remarks are twenty and their number; what fails comes before what warns."""
    remarks = [*(warn(f"w{n}", "w") for n in range(1000)), *(fail(f"f{n}", "f") for n in range(3))]
    found = list(examine({"one": lambda _: remarks}, None))
    assert len(found) == 21
    assert brief(found)[:4] == [(FAIL, "f0"), (FAIL, "f1"), (FAIL, "f2"), (WARN, "w0")]
    assert found[-1] == Finding("one", Verdict.WARN, "and 983 more", "w")


def test_details_are_short() -> None:
    """A subject of 64 kB does not fill the screen."""
    [found] = examine({"one": lambda _: [warn("x" * 65_536)]}, None)
    assert len(found.detail) == 400


def test_or_ok() -> None:
    """All is well where nothing was found, and only there."""
    assert list(or_ok([], "fine")) == [ok("fine")]
    assert list(or_ok(iter([warn("a")]), "fine")) == [warn("a")]


def test_paths_are_typed() -> None:
    """A path with spaces and quotes is one word in a shell."""
    assert typed(Path("/a b/it's")) == "'/a b/it'\"'\"'s'"
