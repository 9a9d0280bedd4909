"""`cipsec ca handover`: a page, or JSON; since when."""

from __future__ import annotations

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from tests.report import plant
from tests.support import ca

from .conftest import Cipsec

_KEYS = [
    *("made_at", "since", "ca", "counts", "granted", "changes", "events"),
    *("waiting", "waiting_count"),
    *("troubles", "policy_error", "channels", "expiring_within", "expiring", "chain_head"),
]


def test_page(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """On stdout, nothing on stderr: to be piped into mail."""
    plant.fill(ca_folder)
    assert on_ca("ca", "approve", ca.ask(ca_folder), "--note", "cabinet 7").code == 0
    ran = on_ca("ca", "handover")
    assert (ran.code, ran.err) == (0, "")
    assert "by operator: cabinet 7" in ran.out
    assert "ENDS WITHIN 6d" in on_ca("ca", "handover", "--ahead", "6d").out
    head = ran.out.splitlines()[-1]
    assert on_ca("ca", "log", "verify", "--head", head).code == 0


def test_json(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every key, also when there is nothing; events as the log has them."""
    assert list(on_ca("ca", "handover", "--json").json["handover"]) == _KEYS
    assert on_ca("ca", "approve", ca.ask(ca_folder), "--note", "cabinet 7").code == 0
    [event] = on_ca("ca", "handover", "--json").json["handover"]["events"]
    assert event == on_ca("ca", "log", "--json").json["events"][-1]


def test_since(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A duration or a time; what was before is not told."""
    assert on_ca("ca", "approve", ca.ask(ca_folder)).code == 0
    database = ca_folder.store()
    old = Event(plant.AT - 2 * plant.DAY, Code.REVOKED, "anna")
    database.write(lambda db: events.append(db, old))
    database.close()
    for since, count in (("1h", 2), ("3d", 3), ("2020-01-01", 3)):
        shown = on_ca("ca", "handover", "--since", since, "--json").json["handover"]
        assert sum(shown["counts"].values()) == count


@pytest.mark.parametrize("argv", [["--since", "2199-01-01"], ["--since", "x"], ["--ahead", "x"]])
def test_wrong_usage(on_ca: Cipsec, argv: list[str]) -> None:
    """Exit code 2, and what to type."""
    ran = on_ca("ca", "handover", *argv)
    assert ran.code == 2
    assert "cipsec: hint: " in ran.err
