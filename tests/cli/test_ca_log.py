"""`cipsec ca log`: which events, in which form; and `ca log verify`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from tests.notify.test_syslog import parsed
from tests.ra.harmless import HOSTILE, check
from tests.support import ca

from .conftest import Cipsec, Ran


def change(folder: CaFolder, *statements: str) -> None:
    """Do to the store what an attacker would."""
    with closing(sqlite3.connect(folder.store_file, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def approve(on_ca: Cipsec, folder: CaFolder, subject: str) -> str:
    """Let a request come, be approved with a note, and be granted; return its id."""
    asked = ca.request(subject)
    request = ca.ask(folder, asked)
    assert on_ca("ca", "approve", request, "--note", "cabinet 7").code == 0
    ca.receive(folder, asked)
    return request


# Which events.


@pytest.fixture
def two(on_ca: Cipsec, ca_folder: CaFolder) -> list[str]:
    """Two devices that were approved; the ids of their requests."""
    names = ("CN=seven,serialNumber=0001:00000007", "CN=eight,serialNumber=0001:00000008")
    return [approve(on_ca, ca_folder, name) for name in names]


def names(ran: Ran) -> list[str]:
    """Return the names of the events that were shown."""
    assert ran.code == 0
    return [row["event"] for row in ran.json["events"]]


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--event", "granted"], ["granted"] * 2),
        (["--event", "granted", "--event", "pending"], ["pending", "granted"] * 2),
        (["--device", "1:7"], ["pending", "approved", "granted"]),
        (["--device", "0001:00000009"], []),
        (["--device", "1:8", "--event", "approved"], ["approved"]),
        (["--since", "1h", "--event", "approved"], ["approved"] * 2),
        (["--since", "2199-01-01"], []),
    ],
)
def test_filters(on_ca: Cipsec, two: list[str], argv: list[str], found: list[str]) -> None:
    """Each narrows down what the others left."""
    assert len(two) == 2
    assert names(on_ca("ca", "log", "--json", *argv)) == found


def test_of_a_request_and_of_a_certificate(on_ca: Cipsec, two: list[str]) -> None:
    """By the digits that tables show."""
    shown = on_ca("ca", "log", "--json", "--request", two[0][:12]).json["events"]
    assert [row["event"] for row in shown] == ["pending", "approved", "granted"]
    serial = shown[-1]["serial"]
    assert names(on_ca("ca", "log", "--json", "--serial", serial[:16].upper())) == ["granted"]


def test_a_decision_says_what_was_shown(on_ca: Cipsec, two: list[str]) -> None:
    """Who, about which request, why: and all of it is chained."""
    [event] = on_ca("ca", "log", "--json", "--event", "approved", "--device", "1:7").json["events"]
    assert (event["request"], event["reason"], event["actor"]) == (two[0], "cabinet 7", "operator")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--event", "grantd"], "choose among agreed"),
        (["--event", "test"], "is not the name of an event"),
        (["--request", "xyz"], "is not a request's id"),
        (["--serial", ""], "is not a serial number"),
        (["--device", "seven"], "hint"),
        (["--json", "--format", "rfc5424"], "exclude each other"),
        (["--json", "verify"], "write: cipsec ca log verify --json"),
        (["verify", "--head", "12"], "is not the head of a log"),
        (["verify", "--heads", "/nowhere"], ""),
        (["verify", "--follow"], "No such option"),
    ],
)
def test_wrong_usage(on_ca: Cipsec, argv: list[str], said: str) -> None:
    """One line, and what to type."""
    ran = on_ca("ca", "log", *argv)
    assert ran.code == (6 if "/nowhere" in argv else 2)
    assert said in ran.err
    assert len(ran.err.splitlines()) <= 2


# In which form.


def test_syslog(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Each a message of RFC 5424 in UTF-8, whatever the names are; and its head is whole."""
    database = ca_folder.store()
    for subject in HOSTILE.values():
        event = Event(1_800_000_000, Code.PENDING, "endpoint", subject=subject, reason="why")
        database.write(lambda db, e=event: events.append(db, e))  # type: ignore[misc]  # mypy infers no lambda with a default
    database.close()
    ran = on_ca("ca", "log", "--format", "rfc5424")
    assert ran.code == 0
    lines = ran.out.removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE)
    shown = on_ca("ca", "log", "--json").json["events"]
    for line, event_shown in zip(lines, shown, strict=True):
        head, data, _ = parsed(line.encode())
        assert len(line.encode()) <= 2048
        assert (head["pri"], head["msgid"]) == ("85", "pending")
        assert data["head"] == event_shown["head"]


# Verification.


def test_verify(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Nothing wrong, and what was not looked at is said."""
    approve(on_ca, ca_folder, "CN=Drive 7")
    ran = on_ca("ca", "log", "verify")
    assert ran.code == 0
    rows = dict(line.split(None, 1) for line in ran.out.splitlines())
    assert (rows["intact"], rows["events"]) == ("yes", "3")
    assert ran.err == "cipsec: no head from elsewhere was compared: see --head and --heads\n"
    done = on_ca("ca", "log", "verify", "--json").json["log"]
    head = on_ca("ca", "log", "--json").json["events"][-1]["head"]
    assert done == {
        "intact": True,
        "events": 3,
        "head": head,
        "heads_compared": 0,
        "wrong": 0,
        "findings": [],
    }
    assert on_ca("ca", "log", "verify", "--head", head).err == ""


def test_an_edit(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Exit code 10, where, and what it means."""
    approve(on_ca, ca_folder, "CN=Drive 7")
    change(ca_folder, "UPDATE events SET actor = 'nobody' WHERE event = 'approved'")
    ran = on_ca("ca", "log", "verify")
    assert ran.code == 10
    assert "event 2 is not as it was recorded" in ran.out
    assert ran.err.startswith("cipsec: warning: the log is not as it was recorded")
    [finding] = on_ca("ca", "log", "verify", "--json").json["log"]["findings"]
    assert (finding["event"], finding["kind"]) == (2, "changed")


def test_heads_from_a_text(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Whatever they stand in; with care taken of all else, they alone find a lost end."""
    approve(on_ca, ca_folder, "CN=Drive 7")
    shown = on_ca("ca", "log", "--json").out
    one, two, three = (row["head"] for row in on_ca("ca", "log", "--json").json["events"])
    text = tmp_path / "kept"
    text.write_bytes(f'> {one}\r\n[x head="{two}"]\xff\n{shown}\n'.encode("latin-1"))
    done = on_ca("ca", "log", "verify", "--heads", text, "--json").json["log"]
    assert (done["intact"], done["heads_compared"]) == (True, 3)
    change(
        ca_folder,
        "DELETE FROM events WHERE seq = 3",
        "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'events'",
    )
    assert on_ca("ca", "log", "verify", "--head", two).code == 0
    ran = on_ca("ca", "log", "verify", "--heads", text)
    assert ran.code == 10
    assert "the log ends with event 2, and the head of event 3 was written down" in ran.out
    assert on_ca("ca", "log", "verify", "--head", three).code == 10


def test_a_text_without_heads(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """To compare with nothing would look like success."""
    text = tmp_path / "kept"
    text.write_bytes(b"\0" * 5_000_000 + b"12:" + b"a" * 65)
    ran = on_ca("ca", "log", "verify", "--heads", text)
    assert (ran.code, ran.out) == (3, "")
    assert "there is no head of a log" in ran.err
    assert on_ca("ca", "log", "verify", "--heads", tmp_path).code == 6


def test_hostile_names(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """In the log and in what is found of it."""
    database = ca_folder.store()
    for text in HOSTILE.values():
        event = Event(0, Code.REFUSED, text[:64], subject=text[:999], reason=text[:999])
        database.write(lambda db, e=event: events.append(db, e))  # type: ignore[misc]  # mypy infers no lambda with a default
    database.close()
    for argv in (["log"], ["log", "--json"], ["log", "verify"], ["log", "verify", "--json"]):
        ran = on_ca("ca", *argv)
        check(ran, 0)  # type: ignore[arg-type]  # as it is used here


@pytest.mark.parametrize("at", ["1000000000000000000", "-1e300", "'yesterday'", "x'00'"])
def test_a_time_that_is_none(on_ca: Cipsec, ca_folder: CaFolder, at: str) -> None:
    """What another program left there is shown as what it is, and found."""
    approve(on_ca, ca_folder, "CN=Drive 7")
    change(ca_folder, f"UPDATE events SET at = {at} WHERE seq = 2")
    assert on_ca("ca", "log", "--json").json["events"][1]["at"].startswith("not a time: ")
    assert on_ca("ca", "log").code == on_ca("ca", "handover", "--since", "1h").code == 0
    assert on_ca("ca", "log", "verify").code == 10
