"""What devices send, shown: no control, escape or bidirectional character reaches a stream."""

from __future__ import annotations

import sqlite3
import unicodedata
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cipsec.ca_folder import CaFolder
from cipsec.store import events, requests
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.requests import RequestRow
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran

_HOSTILE = {
    "erase": "Drive\x1b[2K\x1b[1A7",
    "title": "\x1b]0;owned\x07Drive",
    "markup": "[red]Drive[/red][/red] [link=file:///etc/passwd]7[/link]",
    "right to left": "Drive \u202e7 evirD\u2066",
    "lines": "Drive 7\r\nCN=Drive 8\ncipsec: error: owned\x85\u2028x",
    "tabs": "Drive\t7\tyes",
    "nothing": "\x00\x00\x00",
    "zero width": "Dri\u200bve\ufeff",
    "long": "D" * 12_000,
    "percent": "%s%n{0.__class__}",
    "json": '"},{"id":"x',
}


def _assert_harmless(ran: Ran, lines: int | None = None) -> None:
    for stream in (ran.out, ran.err):
        for char in stream.replace("\n", "").replace("\t", ""):
            assert unicodedata.category(char) not in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}, ran
    if lines is not None:
        assert ran.out.count("\n") == lines
        assert max(map(len, ran.out.splitlines())) < 1000


@pytest.mark.parametrize("text", _HOSTILE.values(), ids=_HOSTILE)
def test_every_command(on_ca: Cipsec, ca_folder: CaFolder, text: str) -> None:
    """From the queue to the log, for people and as JSON, each record stays one harmless line."""
    name = ca.unchecked_name(text)
    asked = ca.request(name)
    identifier = ca.ask(ca_folder, asked)
    _assert_harmless(on_ca("ca", "pending"), 1)
    _assert_harmless(on_ca("ca", "show", identifier))
    [shown] = on_ca("ca", "pending", "--json").json["requests"]
    assert shown["id"] == identifier
    _assert_harmless(on_ca("ca", "approve", "--match", text[:8]))
    note = text.replace("\x00", "0")[:2000]
    _assert_harmless(on_ca("ca", "approve", identifier, "--note", note), 1)
    ca.receive(ca_folder, asked)
    _assert_harmless(on_ca("ca", "list"), 1)
    _assert_harmless(on_ca("ca", "log"), 3)
    [issued] = on_ca("ca", "list", "--json").json["certificates"]
    assert issued["subject"] == shown["subject"]
    _assert_harmless(on_ca("ca", "show", issued["serial"]))
    for verb in ("pending", "list", "log"):
        _assert_harmless(on_ca("ca", verb, "--json"))
    request = ca.write_pem(ca_folder.path.parent / "csr", asked)
    _assert_harmless(on_ca("policy", "check", request))
    _assert_harmless(on_ca("ca", "issue", request, "-n"))
    _assert_harmless(on_ca("ca", "issue", request))
    _assert_harmless(on_ca("ca", "issue", request, "-o", ca_folder.path.parent / "out.pem"))


@pytest.mark.parametrize("text", ["Drive\x1b[2K7", "[/red]x", "\u202eevirD"])
def test_at_a_terminal(ca_folder: CaFolder, text: str) -> None:
    """The table that rich draws, and the list before the question, are harmless too."""
    ca.ask(ca_folder, ca.request(ca.unchecked_name(text)))
    there = ["--ca-dir", str(ca_folder.path), "--no-color"]
    screens = [
        at_terminal(["ca", "pending", *there]).screen,
        at_terminal(["ca", "log", *there]).screen,
        at_terminal(
            ["ca", "approve", "--match", "O=", "--expect", "1", *there], ("[y/N] ", "n\n")
        ).screen,
    ]
    for screen in screens:
        assert "\x1b[2K" not in screen
        assert "\u202e" not in screen
        assert "[/red]x" in screen or "[/red]" not in text


@pytest.mark.parametrize(
    "argv",
    [
        ["show", "\x1b[2K"],
        ["approve", "\u202eabcdef"],
        ["approve", "--match", "[/red]\x1b[2K"],
        ["pending", "--state", "\x1b[2K"],
        ["pending", "--older", "\x1b[2K"],
        ["list", "--device", "\x1b[2K"],
        ["log", "--since", "\x1b[2K"],
        ["issue", "\x1b[2K"],
        ["\x1b[2K"],
    ],
)
def test_hostile_arguments(on_ca: Cipsec, argv: list[str]) -> None:
    """What was pasted onto the command line does not come back alive either."""
    for more in ([], ["--json"]):
        ran = on_ca("ca", *argv, *more)
        assert ran.code in {2, 3, 6}
        _assert_harmless(ran)


_ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.fixed_dictionaries(dict.fromkeys(("subject", "proved", "address", "note"), _ANY)))
def test_any_text(on_ca: Cipsec, ca_folder: CaFolder, texts: dict[str, str]) -> None:
    """Whatever the store holds, each record is one line with all its columns."""
    _replace(ca_folder, _row(texts), _event(texts))
    pending, log = on_ca("ca", "pending", "--state", "all"), on_ca("ca", "log")
    _assert_harmless(pending, 1)
    _assert_harmless(log, 1)
    assert [len(row) for row in pending.rows + log.rows] == [9, 6]
    [shown] = on_ca("ca", "pending", "--json").json["requests"]
    assert {key: shown[key] for key in texts} == texts


def _row(texts: dict[str, str]) -> RequestRow:
    """Return a waiting request with these texts."""
    return RequestRow(
        id="a" * 64,
        state="pending",
        sans="[]",
        device=None,
        mac=None,
        claimed="nothing",
        label="",
        spki_sha256="",
        rule="",
        reason="",
        first_seen=0,
        last_seen=0,
        polls=1,
        decided_at=None,
        decided_by=None,
        serial=None,
        csr=b"",
        subject=texts["subject"],
        proved=texts["proved"],
        address=texts["address"],
        note=texts["note"],
    )


def _event(texts: dict[str, str]) -> Event:
    return Event(0, Code.PENDING, texts["subject"], subject=texts["proved"], reason=texts["note"])


def _replace(folder: CaFolder, row: RequestRow, event: Event) -> None:
    """Make the store hold one request and one event."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM requests")
        db.execute("DELETE FROM events")
        requests.insert(db, row)
        events.append(db, event)

    with closing(folder.store()) as database:
        database.write(work)
