"""`cipsec ca list`: what was issued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli.options import CaDir
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    import sqlite3

    from cipsec.store.certificates import CertificateRow
    from cipsec.store.database import Database

_COLUMNS = ["serial", "subject", "device", "not_after", "status", "rule", "reason"]
_REVOKED_COLUMNS = [*_COLUMNS[:5], "revoked_at", "revocation"]

Expiring = Annotated[
    str | None, typer.Option("--expiring", metavar="DURATION", help="Valid, but not for longer.")
]
Expired = Annotated[bool, typer.Option("--expired", help="No longer valid.")]
Revoked = Annotated[bool, typer.Option("--revoked", help="Revoked before its end.")]
Device = Annotated[
    str | None, typer.Option("--device", metavar="VENDOR:SERIAL", help="Of this CIP device.")
]
Match = Annotated[
    str | None, typer.Option("--match", metavar="TEXT", help="With this text in what is shown.")
]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which certificates to list; nothing set means all."""

    now: datetime
    expiring: timedelta | None
    expired: bool
    revoked: bool
    match: str | None

    def admits(self, row: CertificateRow) -> bool:
        """Tell whether to list it; two of expiring, expired and revoked admit what is either."""
        any_state = self.expiring is None and not self.expired and not self.revoked
        return (any_state or self._ends(row)) and (not self.match or self._has_text(row))

    def _ends(self, row: CertificateRow) -> bool:
        match row.status(self.now):
            case "expired":
                return self.expired
            case "revoked":
                return self.revoked
        return self.expiring is not None and row.not_after <= (self.now + self.expiring).timestamp()

    def _has_text(self, row: CertificateRow) -> bool:
        wanted = (self.match or "").casefold()
        fields = (row.serial, row.subject, row.device, row.mac, row.rule, row.reason, row.kind)
        return any(wanted in (field or "").casefold() for field in (*fields, row.revocation))


def listing(
    talk: Talk,
    *,
    expiring: Expiring = None,
    expired: Expired = False,
    revoked: Revoked = False,
    device: Device = None,
    match: Match = None,
    ca_dir: CaDir = None,
) -> None:
    """List the certificates that this CA issued, oldest first."""
    from cipsec._cli import ca_shown
    from cipsec.ca_folder import open_folder
    from cipsec.pki.device import DeviceId

    known = str(DeviceId.parse(device)) if device is not None else None
    soon = times.parse_duration(expiring) if expiring is not None else None
    wanted = _Wanted(times.now(), soon, expired, revoked, match)
    shown = ca_shown.certificate if talk.json else ca_shown.certificate_line
    with closing(open_folder(ca_dir).store()) as database:
        rows = Again(lambda: _listed(database, known, wanted, shown))
        talk.table("certificates", _REVOKED_COLUMNS if revoked else _COLUMNS, rows)
    if rows.is_empty:
        talk.say("cipsec: no certificate is there")


def _listed(
    database: Database,
    device: str | None,
    wanted: _Wanted,
    shown: Callable[[CertificateRow, datetime], dict[str, object]],
) -> Iterator[dict[str, object]]:
    """Yield the records of the certificates wanted, without keeping what was read for them."""
    from cipsec.store import certificates, paged

    def page(db: sqlite3.Connection, last: CertificateRow | None) -> Iterator[CertificateRow]:
        after = last.serial if last else ""
        return certificates.listed(db, device=device, after=after, limit=paged.ROWS)

    for row in paged.rows(database, page):
        if wanted.admits(row):
            yield shown(row, wanted.now)
