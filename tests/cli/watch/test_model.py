"""What the view reads: bounded, whatever lies in folder and store."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import filelock
import pytest

from cipsec._cli.watch import model
from cipsec._cli.watch.model import Reader, View
from cipsec.ca_folder import CaFolder
from cipsec.store import certificates, channels, events, held, requests
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from tests.support import ca

from . import stage

_NOW = stage.NOW
_AT = int(_NOW.timestamp())


@pytest.fixture
def database(ca_folder: CaFolder) -> Iterator[Database]:
    """The store of the CA."""
    with closing(ca_folder.store()) as database:
        yield database


@pytest.fixture
def reader(ca_folder: CaFolder, database: Database) -> Reader:
    """What reads it."""
    return Reader(ca_folder, database)


def _view(reader: Reader, *, chosen: str | None = None, match: str = "") -> View:
    return reader.read(chosen, match, _NOW)


def _happen(database: Database, *happened: Event) -> None:
    with database.transaction() as db:
        for event in happened:
            events.append(db, event)


def test_what_waits(reader: Reader, ca_folder: CaFolder) -> None:
    """The longest waiting first, and all that is known of the chosen one."""
    stage.wait(ca_folder, stage.request(2), stage.request(1))
    view = _view(reader, chosen=f"{2:064x}")
    assert [row.subject for row in view.waiting] == ["CN=Drive 1", "CN=Drive 2"]
    assert view.pending == 2
    assert view.asked is not None
    assert view.asked.record["key_type"] == "ec-p256"


def test_what_is_chosen_and_decided(reader: Reader, ca_folder: CaFolder) -> None:
    """It is read though it does not wait; one that is not in the store is nothing."""
    stage.wait(ca_folder, stage.request(1, state="rejected", decided_by="bob"))
    view = _view(reader, chosen=f"{1:064x}")
    assert view.waiting == ()
    assert view.asked is not None
    assert view.asked.row.decided_by == "bob"
    assert _view(reader, chosen="ab" * 32).asked is None


def test_a_request_that_is_damaged(reader: Reader, ca_folder: CaFolder) -> None:
    """It is shown as far as it can be."""
    stage.wait(ca_folder, stage.request(1, csr=b"0\0"))
    asked = _view(reader, chosen=f"{1:064x}").asked
    assert asked is not None
    assert asked.trouble


def test_what_it_replaces_is_damaged(reader: Reader, database: Database) -> None:
    """The request is shown without it, and as damaged."""
    old = stage.certificate("0badcafe", ends=_NOW, der=b"no certificate")
    with database.transaction() as db:
        certificates.insert(db, old)
        requests.insert(db, stage.request(1, replaces="0badcafe"))
    asked = _view(reader, chosen=f"{1:064x}").asked
    assert asked is not None
    assert asked.trouble


def test_the_filter_looks_at_all(
    reader: Reader, ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at what the list has no room for; in names, addresses and labels too."""
    monkeypatch.setattr(model, "MOST", 2)
    names = stage.names("dns:pump.Example")
    stage.wait(ca_folder, *(stage.request(n) for n in range(5)), stage.request(9, sans=names))
    assert len(_view(reader).waiting) == 2
    assert [row.subject for row in _view(reader, match="PUMP.ex").waiting] == ["CN=Drive 9"]
    assert [row.subject for row in _view(reader, match="drive 4").waiting] == ["CN=Drive 4"]


def test_recent_decisions(reader: Reader, database: Database) -> None:
    """The newest first, read on from where the last reading ended; what waits is no decision."""
    _happen(database, Event(_AT, Code.PENDING, "endpoint"), Event(_AT, Code.GRANTED, "endpoint"))
    assert [one.event.event for one in _view(reader).decisions] == ["granted"]
    _happen(database, Event(_AT, Code.REJECTED, "anna"))
    assert [one.event.event for one in _view(reader).decisions] == ["rejected", "granted"]
    assert len(_view(reader).decisions) == 2


def test_a_long_past(reader: Reader, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many events only the newest are looked at, of the decisions the newest are kept."""
    monkeypatch.setattr(model, "_LOOK_BACK", 3)
    _happen(database, *(Event(_AT, Code.GRANTED, f"user {n}") for n in range(9)))
    assert [one.event.actor for one in _view(reader).decisions] == ["user 8", "user 7", "user 6"]


def test_expiring(reader: Reader, database: Database) -> None:
    """What ends soon and has no successor: not the renewed, the revoked, the server's own."""
    soon, late = _NOW + timedelta(days=3), _NOW + timedelta(days=300)
    rows = [
        stage.certificate("01", ends=soon, device="0001:00000001"),
        stage.certificate("02", ends=soon, device="0001:00000002"),
        stage.certificate("03", ends=late, device="0001:00000002"),
        stage.certificate("04", ends=soon, device="0001:00000004", revoked_at=_AT),
        stage.certificate("05", ends=soon, device="0001:00000005", kind="server"),
        stage.certificate("06", ends=_NOW - timedelta(days=1), device="0001:00000006"),
    ]

    with database.transaction() as db:
        for row in rows:
            certificates.insert(db, row)
            held.insert(db, row.serial, held.texts(device=row.device))
    assert [row.serial for row in _view(reader).expiring] == ["01"]


def test_the_channels(reader: Reader, database: Database, ca_folder: CaFolder) -> None:
    """Those of ca.toml, in its order; one that has told nothing yet too."""
    with ca_folder.config_file.open("a") as file:
        file.write('\n[[channel]]\nname = "log"\ntype = "file"\npath = "a.log"\n')
        file.write('\n[[channel]]\nname = "new"\ntype = "file"\npath = "b.log"\n')
    database.write(lambda db: channels.open_at_end(db, "log"))
    _happen(database, Event(_AT, Code.GRANTED, "endpoint"))
    first, second = _view(reader).channels
    assert (first.name, first.behind, second.name, second.row) == ("log", 1, "new", None)


def test_warnings_of_a_calm_ca(reader: Reader, ca_folder: CaFolder) -> None:
    """None while a server runs."""
    with filelock.FileLock(ca_folder.lock_file):
        assert _view(reader).warnings == ()


def test_no_server(reader: Reader, ca_folder: CaFolder) -> None:
    """Whether it never ran or ended."""
    said = ("no server runs on this folder: nobody is answered",)
    assert _view(reader).warnings == said
    assert not ca_folder.lock_file.exists(), "looking leaves nothing behind"
    ca_folder.lock_file.touch()
    assert _view(reader).warnings == said


def test_whether_a_server_runs_cannot_be_told(reader: Reader, ca_folder: CaFolder) -> None:
    """Then nothing is said."""
    with closing(socket.socket(socket.AF_UNIX)) as no_file:
        no_file.bind(str(ca_folder.lock_file))
    assert _view(reader).warnings == ()


def test_a_global_grant(tmp_path: object, ca_folder: CaFolder, database: Database) -> None:
    """It is named for as long as it is in force."""
    rule = '\n[[rule]]\nname = "lab"\nwhen = { anyone = true }\nthen = "grant"\n'
    text = ca_folder.config_file.read_text()
    ca_folder.config_file.write_text(f'{text}{rule}until = "2999-01-01"\n')
    view = _view(Reader(ca_folder, database))
    assert view.warnings[0] == (
        "global grant: the rule 'lab' grants to anyone until 2999-01-01T00:00:00Z"
    )
    ca_folder.config_file.write_text(f'{text}{rule}until = "2001-01-01"\n')
    assert "global grant" not in str(_view(Reader(ca_folder, database)).warnings)


@pytest.mark.parametrize("text", ["name = [", None])
def test_broken_rules(reader: Reader, ca_folder: CaFolder, text: str | None) -> None:
    """The view goes on, and says so, until they are mended."""
    whole = ca_folder.config_file.read_text()
    if text is None:
        ca_folder.config_file.unlink()
    else:
        ca_folder.config_file.write_text(text)
    stage.wait(ca_folder, stage.request(1))
    view = _view(reader)
    assert "no rule is in force" in view.warnings[0]
    assert "ca.toml" in view.warnings[0]
    assert len(view.waiting) == 1
    ca_folder.config_file.write_text(whole)
    assert "ca.toml" not in str(_view(reader).warnings)


def test_policy_errors(reader: Reader, database: Database) -> None:
    """Those of the last hour, counted, with the newest."""
    old = Event(_AT - 4000, Code.POLICY_ERROR, "server", reason="long ago")
    _happen(database, old)
    assert "policy" not in str(_view(reader).warnings)
    new = [Event(_AT, Code.POLICY_ERROR, "server", reason=f"line {n}") for n in (1, 2)]
    _happen(database, *new)
    assert _view(reader).warnings[0] == ("2 policy errors in the last hour, the newest: line 2")


def test_a_real_request(reader: Reader, ca_folder: CaFolder) -> None:
    """As the server puts it into the queue, with what it would replace beside it."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    view = _view(reader, chosen=identifier)
    assert view.asked is not None
    assert view.asked.record["predecessor"] is None
    assert view.waiting[0].id == identifier
