"""`cipsec doctor`: what the checks found, as a table, and whether anything is against it."""

from __future__ import annotations

import typer

from cipsec._cli import exits
from cipsec._cli.found import COLUMNS, count
from cipsec._cli.options import CaDir, IdentityDir, command, group
from cipsec._cli.talk import Talk

app: typer.Typer = group("doctor", "Look for what is wrong here, or soon will be.")


@command(app, "doctor")
def doctor(talk: Talk, *, ca_dir: CaDir = None, identity: IdentityDir = None) -> int | None:
    """Check this machine, the CA and the identity; change nothing. Exit code 10 when one fails.

    What is named must be there (else exit code 3); at the default places, what is there is checked.
    """
    from cipsec import times
    from cipsec.doctor.examine import findings

    found = list(findings(ca_dir, identity, times.now()))
    rows: list[dict[str, object]] = [
        {"check": f.check, "verdict": str(f.verdict), "detail": f.detail, "hint": f.hint}
        for f in found
    ]
    talk.table("checks", COLUMNS, rows)
    return exits.NO if count(talk, rows) else None
