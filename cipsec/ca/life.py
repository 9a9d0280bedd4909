"""How long a CA can sign: while its certificate and those of all CAs above it are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from cipsec.errors import LocalState
from cipsec.times import show_time


@dataclass(frozen=True, slots=True)
class Life:
    """From when on and until when; `own_begins`, `own_ends` where that is its own certificate's."""

    begins: datetime
    ends: datetime
    own_begins: bool = field(kw_only=True)
    own_ends: bool = field(kw_only=True)

    @classmethod
    def of(cls, path: Sequence[x509.Certificate]) -> Life:
        """Return that of a CA, given with the CAs above it: its own certificate first."""
        own = path[0]
        begins = max(one.not_valid_before_utc for one in path)
        ends = min(one.not_valid_after_utc for one in path)
        return cls(
            begins,
            ends,
            own_begins=own.not_valid_before_utc == begins,
            own_ends=own.not_valid_after_utc == ends,
        )

    def require(self, now: datetime) -> None:
        """Raise LocalState when the CA's certificate, or one above it, is not valid at `now`."""
        if now >= self.ends:
            raise LocalState(f"{_which(own=self.own_ends)} expired at {show_time(self.ends)}")
        if now < self.begins:
            raise LocalState(
                f"{_which(own=self.own_begins)} is valid only from {show_time(self.begins)}",
                hint="check this machine's clock with: date -u",
            )


def _which(*, own: bool) -> str:
    return "the CA's own certificate" if own else "the certificate of a CA above this one"
