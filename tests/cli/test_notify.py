"""`cipsec notify`: how the channels fare, and whether they work."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.ra.notify.directory import directory
from cipsec.store import channels, events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.writer import Writer
from tests.notify.happening import following, until
from tests.notify.receivers import PASSWORD, hook, identity, mailbox
from tests.support.ports import HOST, free_port

from .conftest import Cipsec

KEYS = ["name", "type", "events", "target", "failures", "error", "tried_at", "sent_at", "waiting"]
LINES = '[[channel]]\nname = "log"\ntype = "file"\npath = "events.jsonl"\nevents = ["all"]\n'


def add(folder: CaFolder, text: str) -> None:
    """Add channels to ca.toml."""
    with folder.config_file.open("a") as file:
        file.write(f"\n{text}")


def dead(name: str = "dead") -> str:
    """Return a webhook that nobody answers, and its secret."""
    url = f"http://{HOST}:{free_port()}/T0K3N"
    return f'[[channel]]\nname = "{name}"\ntype = "webhook"\nurl = "{url}"\ndigest = "0s"\n'


def test_no_channels(on_ca: Cipsec) -> None:
    """An empty list is no error; the key is there."""
    for verb in ("list", "test"):
        ran = on_ca("notify", verb)
        assert (ran.code, ran.out) == (0, "")
        assert ran.err == "cipsec: there is no channel; add a [[channel]] to ca.toml\n"
        assert on_ca("notify", verb, "--json").json == {"channels": []}


def test_list(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every channel, before any server ran."""
    add(ca_folder, LINES + dead())
    log, hooked = on_ca("notify", "list", "--json").json["channels"]
    assert list(log) == list(hooked) == KEYS
    assert (log["type"], log["events"], log["target"]) == ("file", ["all"], "events.jsonl")
    assert hooked["events"] == sorted(hooked["events"])
    assert (hooked["waiting"], hooked["failures"], hooked["sent_at"]) == (0, 0, None)
    ran = on_ca("notify", "list")
    assert [row[0] for row in ran.rows] == ["log", "dead"]
    assert "T0K3N" not in ran.out


def test_list_while_a_channel_is_dead(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """How often it failed, why, and how many events wait; then a test by hand sets it going."""
    add(ca_folder, dead())
    database = ca_folder.store()
    writer = Writer(database)

    def row_fails() -> bool:
        row = database.read(lambda db: channels.by_name(db, "dead"))
        return row is not None and row.failed > 0

    async def work() -> None:
        def whom() -> object:
            return directory(ca_folder.configuration())

        async with following(database, writer, whom, ca_folder.path):  # type: ignore[arg-type]  # a directory
            for name in ("pending", "granted", "revoked"):
                database.write(lambda db, n=name: events.append(db, Event(1, Code(n), "endpoint")))  # type: ignore[misc]  # mypy infers no lambda with a default
            await until(row_fails)

    asyncio.run(work())
    writer.close()
    database.close()
    [shown] = on_ca("notify", "list", "--json").json["channels"]
    assert shown["waiting"] == 2
    assert shown["failures"] >= 1
    assert "connection refused" in shown["error"]
    assert shown["tried_at"].endswith("Z")
    with hook() as received:
        text = ca_folder.config_file.read_text()
        ca_folder.config_file.write_text(re.sub(r'url = "http.*"', f'url = "{received.url}"', text))
        assert on_ca("notify", "test", "dead").code == 0
    [mended] = on_ca("notify", "list", "--json").json["channels"]
    assert (mended["failures"], mended["error"], mended["waiting"]) == (0, None, 2)


def test_test(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A test reaches the people there are, by the name of who sent it."""
    with hook() as received:
        add(
            ca_folder,
            f'{LINES}[[channel]]\nname = "hook"\ntype = "webhook"\nurl = "{received.url}"\n',
        )
        ran = on_ca("notify", "test")
    assert (ran.code, ran.err) == (0, "")
    assert [row[0] for row in ran.rows] == ["log", "hook"]
    assert [row[3] for row in ran.rows] == ["yes", "yes"]
    [event] = received.documents[0]["events"]
    assert (event["event"], event["actor"]) == ("test", "operator")
    line = json.loads((ca_folder.path / "events.jsonl").read_text())
    assert line["reason"] == "a test of this channel: nothing happened"


def test_test_of_one(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Only the one that is named; one that is not there is exit 3."""
    add(ca_folder, LINES + dead())
    assert on_ca("notify", "test", "log").code == 0
    ran = on_ca("notify", "test", "lgo")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "cipsec: error: there is no channel lgo\ncipsec: hint: list them with: cipsec notify list\n"
    )


def test_test_that_fails(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Exit 4; which one, why, and what to do; the others are told all the same."""
    add(ca_folder, dead() + LINES)
    ran = on_ca("notify", "test", "-v")
    assert ran.code == 4
    assert [row[3] for row in ran.rows] == ["no", "yes"]
    error, hint = ran.err.splitlines()
    assert error.startswith(f"cipsec: error: channel dead: {HOST} port ")
    assert error.endswith("connection refused")
    assert hint.startswith("cipsec: hint: ")
    assert "T0K3N" not in ran.out + ran.err
    shown = on_ca("notify", "test", "--json")
    assert shown.code == 4
    assert [one["delivered"] for one in shown.json["channels"]] == [False, True]
    assert shown.json["error"]["kind"] == "unreachable"


def test_test_by_mail(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """With TLS, by the mail server's own CA; a wrong password is said and not shown."""
    tls = identity(ca_folder.path)
    (ca_folder.path / "mail.password").write_text(PASSWORD)
    with mailbox(tls) as box:
        add(
            ca_folder,
            f'[[channel]]\nname = "mail"\ntype = "email"\nserver = "{HOST}"\nport = {box.port}\n'
            'from = "ca@plant"\nto = ["alice@plant"]\nca_file = "receiver-ca.pem"\n'
            'user = "plant"\npassword_file = "mail.password"\n',
        )
        assert on_ca("notify", "test", "mail").code == 0
        assert box.mails[0]["Subject"] == "[Line 4] test: this is a test"
        (ca_folder.path / "mail.password").write_text("T0K3N")
        ran = on_ca("notify", "test", "mail", "-vv")
    assert ran.code == 4
    assert ran.err == (
        f"cipsec: error: channel mail: {HOST} refuses user plant and the password (535)\n"
        "cipsec: hint: put the right one into mail.password\n"
    )
    assert "T0K3N" not in ran.out


@pytest.mark.parametrize("verb", ["list", "test"])
def test_broken_channel(on_ca: Cipsec, ca_folder: CaFolder, verb: str) -> None:
    """ca.toml is named, the channel and the key."""
    add(ca_folder, '[[channel]]\nname = "x"\ntype = "pigeon"\n')
    ran = on_ca("notify", verb)
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith("cipsec: error: ca.toml: channel 1 (x): type must be one of email, ")
