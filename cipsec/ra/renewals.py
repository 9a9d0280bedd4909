"""The table `[renewal]` of ca.toml: what a renewal has to be beyond the same subject and names.

Who may renew at all is left to the rules (condition `own`). That a revoked certificate never does
cannot be configured away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from cipsec.errors import CipsecError, Malformed
from cipsec.pki import keys
from cipsec.ra import tables
from cipsec.store.certificates import CertificateRow
from cipsec.times import Due, from_seconds, show_duration, show_time

KEYS = {"grace", "earliest", "same_key", "longest", "change_names"}


@dataclass(frozen=True, slots=True)
class Renewals:
    """What renewals are like.

    `grace` is how long after its end a certificate still renews, `earliest` from when on it does,
    None for at once. `same_key` tells that a key may be certified again. `longest` is for how long
    a grant is renewed, None for ever. `ignore_change` lets a CSR pass that asks for other names by
    ChangeSubjectName: it gets the old ones.
    """

    grace: timedelta = timedelta()
    earliest: Due | None = None
    same_key: bool = True
    longest: timedelta | None = None
    ignore_change: bool = False

    def objection(
        self, row: CertificateRow, certificate: x509.Certificate, asked: bytes, now: datetime
    ) -> str | None:
        """Return why this is no renewal to be granted: it comes too early, or with the old key.

        `asked` is the public key in the CSR.
        """
        if not self.same_key and keys.spki(certificate.public_key()) == asked:
            return f"the renewal of certificate {row.serial} needs a new key"
        since = self._since(row)
        if since is not None and now < since:
            return f"certificate {row.serial} is not renewed before {show_time(since)}"
        return None

    def _since(self, row: CertificateRow) -> datetime | None:
        if self.earliest is None:
            return None
        # Not from the beginning, which is back-dated: half a life is half of what it can be used.
        start = from_seconds(row.issued_at)
        return self.earliest.since(start, from_seconds(row.not_after))

    def over(self, row: CertificateRow, now: datetime) -> str | None:
        """Return that the grant is too old to be renewed once more, if it is."""
        granted = row.first_granted
        if self.longest is None or now.timestamp() < granted + self.longest.total_seconds():
            return None
        return (
            f"certificate {row.serial} goes back to a grant of"
            f" {show_time(from_seconds(granted))},"
            f" which is not renewed after {show_duration(self.longest)}"
        )

    def in_grace(self, row: CertificateRow, now: datetime) -> bool:
        """Tell whether a certificate has ended, and not too long ago to be renewed."""
        late = now.timestamp() - row.not_after
        return row.status(now) == "expired" and late <= self.grace.total_seconds()

    def words(self) -> list[str]:
        """Return, for people, whatever is not as usual."""
        found = [
            (bool(self.grace), f"until {show_duration(self.grace)} after its end"),
            (self.earliest is not None, f"not before {self.earliest}"),
            (not self.same_key, "with a new key only"),
            (self.longest is not None, f"for {show_duration(self.longest or timedelta())} at most"),
            (self.ignore_change, "ChangeSubjectName is ignored"),
        ]
        return [text for is_so, text in found if is_so]


ALWAYS = Renewals()


def parse_renewals(table: Mapping[str, Any]) -> Renewals:
    """Read the table `[renewal]`; raise Malformed naming the key."""
    tables.known(table, KEYS, "renewal")
    longest = tables.duration(table, "longest", timedelta())
    if "longest" in table and not longest:
        raise Malformed("longest must be longer than nothing")
    return Renewals(
        grace=tables.duration(table, "grace", timedelta()),
        earliest=_earliest(table),
        same_key=tables.choice(table, "same_key", ("allow", "refuse")) == "allow",
        longest=longest or None,
        ignore_change=tables.choice(table, "change_names", ("refuse", "ignore")) == "ignore",
    )


def _earliest(table: Mapping[str, Any]) -> Due | None:
    if "earliest" not in table:
        return None
    text = tables.text(table, "earliest", "")
    try:
        return Due.parse(text)
    except CipsecError as error:
        raise Malformed(f"earliest: {error.message}", hint="write e.g. 50% or 90d") from None
