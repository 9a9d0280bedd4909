"""Channels: what they are made of, and how they stand in the record."""

from __future__ import annotations

import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.doctor.finding import Finding
from cipsec.store import channels, events
from tests.notify import happening

from .looking import ASK, FAIL, OK, WARN, at_ca, brief, change, rules

_FILE = 'name = "it"\ntype = "file"\npath = "told.jsonl"'
_HOOK = 'name = "it"\ntype = "webhook"\nurl_file = "url"\nsecret_file = "secret"'
_PUSH = 'name = "it"\ntype = "apprise"\nurls_file = "urls"'
_PROGRAM = 'name = "it"\ntype = "command"\ncommand = ["./tell", "-x"]'
_MAIL = (
    'name = "it"\ntype = "email"\nserver = "mail.example"\nfrom = "a@b.example"\n'
    'to = ["c@d.example"]\nca_file = "mail.pem"'
)
_LOG = (
    'name = "it"\ntype = "syslog"\nserver = "log.example"\ntransport = "tls"\nca_file = "log.pem"'
)
_NEW = "it: nothing was to be told yet"


def _told_by(folder: CaFolder, *texts: str) -> None:
    """Replace ca.toml by one with these channels."""
    rules(folder, ASK, tail="\n".join(f"[[channel]]\n{text}" for text in texts))


def _look(folder: CaFolder, *, later: timedelta = timedelta()) -> list[Finding]:
    return at_ca(folder, "channels", later=later)


def _fails(folder: CaFolder, times_in_row: int, error: str = "no answer") -> None:
    """Let an event wait for a channel that fails so often."""
    at = int(times.now().timestamp())

    def work(db: sqlite3.Connection) -> None:
        channels.open_at_end(db, "it")
        events.append(db, happening.event("pending", at=at))
        for _ in range(times_in_row):
            row = channels.by_name(db, "it")
            assert row is not None
            assert channels.claim(db, row, at=at)
            channels.failed(db, "it", error)

    change(folder, work)


def test_none(ca_folder: CaFolder) -> None:
    """Without a channel nobody is told, which is how a new CA is."""
    assert brief(_look(ca_folder)) == [(OK, "there is none: nobody is told of what waits")]


def test_new(ca_folder: CaFolder) -> None:
    """A channel that had nothing to tell can be tried."""
    _told_by(ca_folder, _FILE)
    [found] = _look(ca_folder)
    assert (found.verdict, found.detail) == (OK, _NEW)
    assert found.hint == "cipsec notify test it"
    change(ca_folder, lambda db: channels.open_at_end(db, "it"))
    assert brief(_look(ca_folder)) == [(OK, _NEW)]


def test_its_first_message(ca_folder: CaFolder) -> None:
    """Something waits to be told, and was not tried yet: gathered, or no server runs."""
    _told_by(ca_folder, _FILE)
    _fails(ca_folder, 0)
    assert brief(_look(ca_folder)) == [(OK, "it: its first message waits to be told")]


def test_working(ca_folder: CaFolder) -> None:
    """When it told last is said; what was left out of it is something to see to."""
    _told_by(ca_folder, _FILE)

    def work(db: sqlite3.Connection, left: str | None = None) -> None:
        channels.open_at_end(db, "it")
        channels.delivered(db, "it", cursor=0, at=1_800_000_000, left=left)

    change(ca_folder, work)
    assert brief(_look(ca_folder)) == [(OK, "it: last told at 2027-01-15T08:00:00Z")]
    change(ca_folder, lambda db: work(db, left="c@d.example was refused"))
    assert brief(_look(ca_folder)) == [
        (WARN, "it: the last message was not told to all: c@d.example was refused")
    ]


@pytest.mark.parametrize(
    ("tries", "later", "verdict"),
    [
        (1, timedelta(), WARN),
        (10, timedelta(minutes=59), WARN),
        (11, timedelta(), FAIL),
        (1, timedelta(minutes=61), FAIL),
    ],
)
def test_failing(ca_folder: CaFolder, tries: int, later: timedelta, verdict: object) -> None:
    """More than ten failures in a row, or an hour in which people were not told, fail."""
    _told_by(ca_folder, _FILE)
    _fails(ca_folder, tries)
    [found] = _look(ca_folder, later=later)
    assert found.verdict is verdict
    assert found.detail.startswith(f"it: failed {tries} time")
    assert "no answer" in found.detail
    assert found.hint == "cipsec notify test it"


def test_hostile_error(ca_folder: CaFolder) -> None:
    """What a receiver said of 64 kB and more is cut."""
    _told_by(ca_folder, _FILE)
    _fails(ca_folder, 11, "\x1b[2K" * 20_000)
    [found] = _look(ca_folder)
    assert len(found.detail) <= 400


def test_what_does_not_concern_it(ca_folder: CaFolder) -> None:
    """An event of a kind that a channel does not tell does not wait for it."""
    _told_by(ca_folder, f'{_FILE}\nevents = ["granted"]')
    _fails(ca_folder, 1)
    [found] = _look(ca_folder, later=timedelta(days=3))
    assert found.verdict is WARN


@pytest.mark.parametrize(("text", "names"), [(_HOOK, ["url", "secret"]), (_PUSH, ["urls"])])
def test_secrets(ca_folder: CaFolder, text: str, names: list[str]) -> None:
    """Files with secrets are there, and not everybody's to read."""
    _told_by(ca_folder, text)
    found = _look(ca_folder)
    assert brief(found)[:-1] == [
        (FAIL, f"it: there is no file {ca_folder.path / name}") for name in names
    ]
    for name in names:
        (ca_folder.path / name).write_text("secret")
        (ca_folder.path / name).chmod(0o640)
    assert brief(_look(ca_folder)) == [(OK, _NEW)]
    if os.name != "nt":
        path = ca_folder.path / names[0]
        path.chmod(0o644)
        found = _look(ca_folder)
        assert [one.verdict for one in found] == [WARN, OK]
        assert found[0].hint == f"chmod o-rwx {path}"
        assert all("secret\n" not in one.detail for one in found)


@pytest.mark.parametrize(("text", "name"), [(_MAIL, "mail.pem"), (_LOG, "log.pem")])
def test_certificates(ca_folder: CaFolder, text: str, name: str) -> None:
    """The CA by which a server is known has to be there; everybody may read it."""
    _told_by(ca_folder, text)
    path = ca_folder.path / name
    assert brief(_look(ca_folder)) == [(FAIL, f"it: there is no file {path}"), (OK, _NEW)]
    path.mkdir()
    assert brief(_look(ca_folder))[0] == (FAIL, f"it: {path} is not a file")
    path.rmdir()
    path.touch(mode=0o644)
    assert brief(_look(ca_folder)) == [(OK, _NEW)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode for programs")
def test_program(ca_folder: CaFolder) -> None:
    """A program is there and can be run; it is not run."""
    _told_by(ca_folder, _PROGRAM)
    program = ca_folder.path / "tell"
    found = _look(ca_folder)
    assert brief(found)[0] == (FAIL, "it: ./tell cannot be run")
    assert found[0].hint == f"ls -l {program}"
    program.write_text("#!/bin/sh\ntouch ran\n")
    program.chmod(0o755)
    assert brief(_look(ca_folder)) == [(OK, _NEW)]
    assert not (ca_folder.path / "ran").exists()


def test_apprise(ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel of type apprise needs the extra."""
    _told_by(ca_folder, _PUSH)
    (ca_folder.path / "urls").touch(mode=0o600)
    monkeypatch.setattr("cipsec.doctor.channels.is_installed", lambda _: False)
    found = _look(ca_folder)
    assert brief(found) == [(FAIL, "it: apprise is not installed"), (OK, _NEW)]
    assert found[0].hint == 'pip install "cipsec[notify]"'


def test_without_a_record(ca_folder: CaFolder) -> None:
    """Where the store cannot be used, what channels need is looked at all the same."""
    _told_by(ca_folder, _HOOK)
    ca_folder.store_file.unlink()
    assert [one.verdict for one in _look(ca_folder)] == [FAIL, FAIL]


def test_strange_file(ca_folder: CaFolder) -> None:
    """A pipe where a secret should be is not waited for."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes")
    _told_by(ca_folder, _PUSH)
    path: Path = ca_folder.path / "urls"
    os.mkfifo(path)
    assert brief(_look(ca_folder))[0] == (FAIL, f"it: {path} is not a file")
