"""What an applicant is answered; in which words of HTTP is left to `est.server`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Granted:
    """A certificate, recorded; `der` is what the applicant gets."""

    der: bytes


@dataclass(frozen=True, slots=True)
class Queued:
    """Accepted and not decided: ask again after `retry_after` seconds.

    `in_vain` says why the credential that was shown does not do, None where none was needed.
    """

    id: str
    retry_after: int
    in_vain: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused, and why; `authenticate` when a login could still change that."""

    reason: str
    authenticate: bool = False


Answer = Granted | Queued | Refused
