"""What a backup says of itself: of which CA, when it was made, and what is the newest in it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from cipsec import __version__
from cipsec.ca_folder import fingerprint
from cipsec.errors import CipsecError, Malformed
from cipsec.pki.names import show_name
from cipsec.store import certificates
from cipsec.times import parse_time, show_time

FORMAT = 1  # of what is in the archive; another cipsec may have another


@dataclass(frozen=True, slots=True)
class Facts:
    """One backup. `event` is the number of the newest event, `serial` the newest certificate's."""

    made_at: datetime
    version: str
    subject: str
    sha256: str
    certificates: int
    serial: str | None
    event: int

    def to_json(self) -> bytes:
        """Return it as the archive holds it."""
        value = {"format": FORMAT, **asdict(self), "made_at": show_time(self.made_at)}
        return json.dumps(value, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Facts:
        """Read what `to_json` wrote; raise Malformed."""
        try:
            value: dict[str, Any] = json.loads(data)
            if value.pop("format") != FORMAT:
                made_by = str(value.get("version"))
                raise Malformed(
                    f"the backup is of another kind, made by cipsec {made_by}",
                    hint="restore it with that version",
                )
            return cls(**{**value, "made_at": parse_time(value["made_at"])})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Malformed("the backup does not say what it is") from None
        except CipsecError as error:
            raise Malformed(error.message, hint=error.hint) from None


def of(db: sqlite3.Connection, root: x509.Certificate, now: datetime) -> Facts:
    """Return the facts of a store that is copied now."""
    newest = db.execute("SELECT serial FROM certificates ORDER BY serial DESC LIMIT 1").fetchone()
    last = db.execute("SELECT max(seq) FROM events").fetchone()[0]
    return Facts(
        made_at=now.replace(microsecond=0),
        version=__version__,
        subject=show_name(root.subject),
        sha256=fingerprint(root),
        certificates=certificates.count(db),
        serial=newest[0] if newest else None,
        event=int(last or 0),
    )
