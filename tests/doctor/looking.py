"""Looking at a CA or an identity by one check, and what the tests change about them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.doctor import identity, subject
from cipsec.doctor.examine import CA_CHECKS
from cipsec.doctor.finding import Finding, Remark, Verdict, examine
from cipsec.endpoint.folder import Folder
from cipsec.store.database import Work

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def at_ca(folder: CaFolder, check: str, *, later: timedelta = timedelta()) -> list[Finding]:
    """Return what one check finds on a CA, now or some time later."""
    looked_at = subject.at(folder, times.now() + later)
    return list(examine({check: CA_CHECKS[check]}, looked_at))


def at_identity(
    folder: Folder, check: str, *, later: timedelta = timedelta(), now: datetime | None = None
) -> list[Finding]:
    """Return what one check finds on an identity, now or some time later."""
    looked_at = identity.at(folder, (now or times.now()) + later)
    return list(examine({check: identity.CHECKS[check]}, looked_at))


def now() -> int:
    """Return the time as the store has it: of the test, which may come long after its import."""
    return int(times.now().timestamp())


def brief(found: Iterable[Finding | Remark]) -> list[tuple[Verdict, str]]:
    """Return verdicts and details."""
    return [(one.verdict, one.detail) for one in found]


def rules(folder: CaFolder, *tables: str, head: str = "", tail: str = "") -> None:
    """Replace ca.toml by one with these rules."""
    text = f'name = "Line 4"\n{head}\n' + "\n".join(f"[[rule]]\n{table}" for table in tables)
    folder.config_file.write_text(f"{text}\n{tail}\n", encoding="utf-8")


ASK = 'name = "everyone else"\nwhen = { anyone = true }\nthen = "ask"'


def change(folder: CaFolder, work: Work[object]) -> None:
    """Change the store as the server would."""
    with closing(folder.store()) as database:
        database.write(work)
