"""`cipsec ca handover`: options to values; what is told is left to `report.handover`."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Annotated

import typer

from cipsec import times
from cipsec._cli.ca_log import moment
from cipsec._cli.options import CaDir
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

Since = Annotated[
    str, typer.Option("--since", metavar="TIME|DURATION", help="When the shift began.")
]
Ahead = Annotated[
    str, typer.Option("--ahead", metavar="DURATION", help="Tell what ends within this time.")
]


def handover(
    talk: Talk, *, since: Since = "8h", ahead: Ahead = "24h", ca_dir: CaDir = None
) -> None:
    """Tell the next shift what it has to know, on one page.

    What was done, who waits, what is broken, what ends.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.report import handover as handovers
    from cipsec.report import handover_text

    begun, now = moment(since), times.now()
    if begun > now:
        raise UsageError(f"--since {since} is yet to come", hint="write 8h, or when it began")
    soon: timedelta = times.parse_duration(ahead)
    folder = open_folder(ca_dir)
    with closing(folder.store()) as database, database.snapshot() as db:
        told = handovers.handover(folder, db, since=begun, now=now, ahead=soon)
    if talk.json:
        talk.document({"handover": handovers.document(told)})
        return
    for line in handover_text.text(told).splitlines():
        talk.line(line)
