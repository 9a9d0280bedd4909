"""Regular expressions that an operator wrote, to run on text that an attacker wrote.

Python's `re` backtracks, and cannot be stopped once it runs. So a pattern is taken only if the
number of steps it could ever need, for any text of at most `MAX_TEXT` characters, is small.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from cipsec.errors import Malformed

MAX_TEXT = 256  # characters; a subject's CN and serialNumber have at most 64 (X.520)
_MAX_STEPS = 1 << 18  # under 10 ms on a small machine
_MAX_PATTERN = 1000  # characters

_ONE_STEP = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "GROUPREF"})


def compiled(text: str) -> re.Pattern[str]:
    """Compile a pattern whose classes know ASCII alone; raise Malformed, also when it is slow."""
    if len(text) > _MAX_PATTERN:
        raise Malformed(f"more than {_MAX_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as "possible nested set": never what is meant
            pattern = re.compile(text, re.ASCII)  # else \d has the digits of every script
            _cost(_parse(text))
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise Malformed(f"this is not a regular expression: {error}") from None
    return pattern


def fullmatch(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Match all of `text`; what is longer than `MAX_TEXT` does not match."""
    return pattern.fullmatch(text) if len(text) <= MAX_TEXT else None


def _slow() -> Malformed:
    return Malformed(
        "some texts would take too long to match",
        hint="give repeats an end: [0-9]{1,10} for [0-9]+, [^=]{0,20} for .*, none in another",
    )


@functools.cache
def _parser() -> Any:
    # Undocumented, and in every Python from 3.11: the tree that `re` itself compiles, so that no
    # second reading of the syntax can differ from its own.
    return import_module("re._parser")


def _parse(text: str) -> Iterable[tuple[Any, Any]]:
    parsed: Iterable[tuple[Any, Any]] = _parser().parse(text, re.ASCII)
    return parsed


def _cost(items: Iterable[tuple[Any, Any]]) -> tuple[int, int]:
    """Return the steps a backtracking matcher takes at most, and in how many ways it can match.

    Whatever follows an item is tried once for each way in which the item can match. Raises
    Malformed beyond the limit.
    """
    steps, ways = 0, 1
    for operation, argument in items:
        more_steps, more_ways = _cost_of(str(operation), argument)
        steps += ways * more_steps
        ways *= more_ways
        if steps > _MAX_STEPS or ways > _MAX_STEPS:
            raise _slow()
    return steps, ways


def _cost_of(operation: str, argument: Any) -> tuple[int, int]:
    match operation:
        case _ if operation in _ONE_STEP:
            return 1, 1
        case "SUBPATTERN":
            return _cost(argument[-1])
        case "BRANCH":
            costs = [_cost(branch) for branch in argument[1]]
            return sum(steps for steps, _ in costs), sum(ways for _, ways in costs)
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeated(*argument)
        case "ASSERT" | "ASSERT_NOT":
            return _cost(argument[1])[0], 1
    raise Malformed("conditional, possessive and atomic groups are not taken")


def _repeated(least: int, most: int, body: Iterable[tuple[Any, Any]]) -> tuple[int, int]:
    """Sum up over every number of rounds; one without an end stops with the text."""
    steps_once, ways_once = _cost(body)
    limit = MAX_TEXT if most == _parser().MAXREPEAT else most
    steps, total, ways = 0, 0, 1
    for rounds in range(max(least, limit) + 1):
        total += ways if rounds >= least else 0
        if rounds < limit:
            steps += ways * max(steps_once, 1)
            ways *= ways_once
        if max(steps, total, ways) > _MAX_STEPS:
            raise _slow()
    return steps, total
