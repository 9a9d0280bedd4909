"""`cipsec ca pending` as an administrator runs it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_KEYS = [
    "id",
    "state",
    "subject",
    "device",
    "mac",
    "proved",
    "claimed",
    "address",
    "first_seen",
    "last_seen",
    "polls",
    "spki_sha256",
    "rule",
    "reason",
    "replaces",
    "approvals",
    "note",
]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_nobody_waits(on_ca: Cipsec) -> None:
    """An empty queue is no error: nothing on stdout, a line on stderr."""
    ran = on_ca("ca", "pending")
    assert (ran.code, ran.out, ran.err) == (0, "", "cipsec: no request waits\n")


def test_nobody_waits_json(on_ca: Cipsec) -> None:
    """The key is there and empty."""
    assert on_ca("ca", "pending", "--json").json == {"requests": []}


def test_pending_json(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every key of the contract, the whole id, times in UTC."""
    asked = ca.request(sans=["dns:drive7.local"])
    identifier = ca.ask(ca_folder, asked)
    [shown] = on_ca("ca", "pending", "--json").json["requests"]
    assert list(shown) == _KEYS
    assert shown["id"] == identifier
    assert shown["state"] == "pending"
    assert shown["subject"] == "CN=Drive 7,serialNumber=0001:6040C8F2"
    assert shown["device"] == "0001:6040C8F2"
    assert shown["proved"] == "nothing"
    assert shown["claimed"] == "device 0001:6040C8F2"
    assert shown["address"] == "192.0.2.7"
    assert shown["rule"] == "everyone else"
    assert shown["polls"] == 1
    assert shown["replaces"] is None
    assert shown["note"] is None
    assert _TIME.fullmatch(shown["first_seen"])


def test_pending_rows(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """In a pipe one line a request, the longest waiting first, ids short enough to type."""
    now = times.now()
    late = ca.ask(ca_folder, ca.request("CN=late"), now=now - timedelta(seconds=65))
    early = ca.ask(ca_folder, ca.request("CN=early"), now=now - timedelta(hours=3, minutes=5))
    rows = on_ca("ca", "pending").rows
    assert [row[0] for row in rows] == [early[:12], late[:12]]
    assert rows[0][1:] == ["3h 5m", "CN=early", "-", "nothing", "nothing", "192.0.2.7", "-"]


def test_pending_at_a_terminal(ca_folder: CaFolder) -> None:
    """At a terminal a table with headings."""
    identifier = ca.ask(ca_folder)
    session = at_terminal(["ca", "pending", "--ca-dir", str(ca_folder.path)])
    assert session.code == 0
    assert "WAITS" in session.screen
    assert identifier[:12] in session.screen


def test_pending_polls_are_counted(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A device that asks again stays one request."""
    asked = ca.request()
    for _ in range(3):
        ca.ask(ca_folder, asked)
    [shown] = on_ca("ca", "pending", "--json").json["requests"]
    assert shown["polls"] == 3


def test_pending_older(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """--older leaves out who came just now."""
    old = ca.ask(ca_folder, now=times.now() - timedelta(days=2))
    ca.ask(ca_folder)
    rows = on_ca("ca", "pending", "--older", "1d").rows
    assert [row[0] for row in rows] == [old[:12]]
    assert on_ca("ca", "pending", "--older", "yesterday").code == 2


@pytest.mark.parametrize("state", ["pending", "approved", "rejected", "granted", "all"])
def test_pending_states(on_ca: Cipsec, ca_folder: CaFolder, state: str) -> None:
    """Each state on its own, or all with a column that tells."""
    asked = [ca.request(f"CN={name}") for name in ("pending", "approved", "rejected", "granted")]
    ids = [ca.ask(ca_folder, one) for one in asked]
    assert on_ca("ca", "approve", ids[1], ids[3]).code == 0
    assert on_ca("ca", "reject", ids[2]).code == 0
    ca.receive(ca_folder, asked[3])
    shown = on_ca("ca", "pending", "--state", state, "--json").json["requests"]
    found = {one["subject"]: one["state"] for one in shown}
    names = ["pending", "approved", "rejected", "granted"] if state == "all" else [state]
    assert found == {f"CN={name}": name for name in names}
    if state != "pending":
        assert {row[1] for row in on_ca("ca", "pending", "--state", state).rows} == set(names)


def test_pending_unknown_state(on_ca: Cipsec) -> None:
    """A state that is none is wrong usage, with the choices."""
    ran = on_ca("ca", "pending", "--state", "lost")
    assert ran.code == 2
    assert ran.err == (
        "cipsec: error: 'lost' is not a state\n"
        "cipsec: hint: choose one of pending, approved, rejected, granted, all\n"
    )
