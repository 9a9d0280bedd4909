"""What a check says, and how all checks of a section are made, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from cipsec import files, shell
from cipsec.errors import CipsecError
from cipsec.pki.faults import UNREADABLE

T = TypeVar("T")

_MOST = 20  # remarks of one check: who has more to mend looks with the command of the hint
_LONGEST = 400
# What damaged or hostile contents of files and of the store have made readers raise.
_DAMAGE = (OSError, ArithmeticError, LookupError, RecursionError, *UNREADABLE)


class Verdict(StrEnum):
    """How it stands: `warn` for what works now, `fail` for what does not or is not safe."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a check found; `hint` is something to type."""

    verdict: Verdict
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark with the name of its check."""

    check: str
    verdict: Verdict
    detail: str
    hint: str | None = None


Check = Callable[[T], Iterable[Remark]]


def ok(detail: str, hint: str | None = None) -> Remark:
    """Return that it is as it should be."""
    return Remark(Verdict.OK, detail, hint)


def warn(detail: str, hint: str | None = None) -> Remark:
    """Return that it works, and somebody should see to it."""
    return Remark(Verdict.WARN, detail, hint)


def fail(detail: str, hint: str | None = None) -> Remark:
    """Return that it does not work, or is not safe."""
    return Remark(Verdict.FAIL, detail, hint)


def failed(error: CipsecError, hint: str | None = None) -> Remark:
    """Return that an error stands in the way."""
    return fail(error.message, error.hint or hint)


def or_ok(remarks: Iterable[Remark], detail: str) -> Sequence[Remark]:
    """Return the remarks; that all is well where there is none."""
    return list(remarks) or [ok(detail)]


def examine(checks: Mapping[str, Check[T]], subject: T, *, option: str = "") -> Iterator[Finding]:
    """Make every check, also behind one that fails, and yield what they say.

    `option` is what hints that are commands of cipsec need to act on the same subject.
    """
    for name, check in checks.items():
        for remark in _bounded(_made(check, subject)):
            hint = remark.hint
            if hint is not None and hint.startswith("cipsec "):
                hint += option
            yield Finding(name, remark.verdict, remark.detail[:_LONGEST], hint)


def _made(check: Check[T], subject: T) -> list[Remark]:
    found: list[Remark] = []
    try:
        found.extend(check(subject))
    except CipsecError as error:
        found.append(failed(error))
    except OSError as error:
        found.append(fail(f"it cannot be looked at: {_said(error)}"))
    except _DAMAGE as error:
        found.append(fail(f"it cannot be looked at: {type(error).__name__}: {error}"))
    return found


def _said(error: OSError) -> str:
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return f"{where}{files.reason(error)}"


def _bounded(remarks: Sequence[Remark]) -> Iterator[Remark]:
    """Yield the gravest, in the order in which they were made."""
    if len(remarks) <= _MOST:
        yield from remarks
        return
    gravity = list(Verdict)[::-1]
    worst = sorted(remarks, key=lambda remark: gravity.index(remark.verdict))
    yield from worst[:_MOST]
    left = worst[_MOST]
    yield Remark(left.verdict, f"and {len(remarks) - _MOST} more", left.hint)


def many(count: int, one: str, more: str | None = None) -> str:
    """Return a number with its noun: `1 entry`, `3 entries`."""
    return f"1 {one}" if count == 1 else f"{count} {more or one + 's'}"


def typed(path: Path) -> str:
    """Return a path as one types it in a shell."""
    return shell.quote(path)
