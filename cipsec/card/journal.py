"""What the cards of this user enrolled: JSON lines, so that after a loss one can list it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from cipsec import files
from cipsec.errors import CipsecError
from cipsec.times import parse_time, show_time

_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One enrollment. Serials and SHA-256 in hex; `directory` is the identity's folder."""

    time: datetime
    reader: str
    card_subject: str
    card_serial: str
    card_sha256: str
    subject: str
    serial: str
    sha256: str
    server: str
    directory: str


def append(path: Path, entry: Entry) -> None:
    """Add a line, durably; the file is the user's alone. Raise LocalState."""
    value = asdict(entry) | {"time": show_time(entry.time)}
    files.append_line(path, json.dumps(value).encode("ascii"))


def entries(path: Path) -> Iterator[Entry]:
    """Yield what can be read, oldest first; nothing where there is no journal. LocalState."""
    if not files.exists(path):
        return
    for line in files.read(path, limit=_LIMIT).splitlines():
        entry = _entry(line)
        if entry is not None:
            yield entry


def _entry(line: bytes) -> Entry | None:
    """Return an entry; None for a line that a power failure, or somebody, left damaged."""
    try:
        value = json.loads(line)
        texts = {field.name: str(value[field.name]) for field in fields(Entry)}
        time = parse_time(texts.pop("time"))
    except (ValueError, TypeError, KeyError, RecursionError, CipsecError):
        return None
    return Entry(time=time, **texts)
