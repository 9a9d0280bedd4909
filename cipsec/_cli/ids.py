"""The ids of requests, completed at Tab; which are meant is for the commands to find out."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import typer

from cipsec.errors import CipsecError


def waiting(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the ids of the requests that wait; none where there is no CA to be read.

    Ids alone: what a shell does with a subject that a stranger chose is not for us to find out.
    """
    from cipsec._cli import ca_shown
    from cipsec.ca_folder import open_folder
    from cipsec.store import requests
    from cipsec.store.requests import State

    named = ctx.params.get("ca_dir")  # as it is typed: while it is, nothing is converted
    folder = Path(str(named)) if named else None
    with suppress(CipsecError), closing(open_folder(folder).store()) as database:
        rows = database.read(lambda db: list(requests.listed(db, [State.PENDING])))
        return [row.id[: ca_shown.SHORT_ID] for row in rows if row.id.startswith(incomplete)]
    return []
