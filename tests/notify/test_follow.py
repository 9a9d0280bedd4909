"""Following the log: cursors, digests, dead channels, restarts."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cipsec import times
from cipsec.errors import LocalState, Malformed
from cipsec.ra.notify import deliver, follower
from cipsec.ra.notify.directory import Directory
from cipsec.store import channels
from cipsec.store.database import Database
from cipsec.store.writer import Writer
from tests.support.ports import HOST, free_port

from . import happening
from .happening import event, following, happen, row
from .receivers import dripping, hook, mailbox, misbehaving, silent

LINES = 'name = "it"\ntype = "file"\npath = "it.jsonl"\nevents = ["all"]\n'


def posting(url: str, *, name: str = "it", digest: str = "0s", more: str = "") -> str:
    """Return a webhook."""
    head = f'name = "{name}"\ntype = "webhook"\nurl = "{url}"\n'
    return f'{head}digest = "{digest}"\n{more}'


def subjects(document: dict[str, list[dict[str, str]]]) -> list[str]:
    """Return the subjects that a document tells of."""
    return [one["subject"] for one in document["events"]]


def written(folder: Path) -> list[str]:
    """Return the subjects in the file."""
    path = folder / "it.jsonl"
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")  # the last line may be on its way
    return [json.loads(line)["subject"] for line in whole.splitlines()]


def stands_at(store: Database) -> int | None:
    """Return the last event that was told."""
    found = row(store)
    return found.cursor if found else None


def test_a_new_channel_begins_now(store: Database, writer: Writer, folder: Path) -> None:
    """No flood of history; then everything, in order, across restarts, once."""
    whom = happening.directory(LINES)
    happen(store, *(event(subject=f"CN=old {n}") for n in range(5)))

    async def work() -> None:
        async with following(store, writer, lambda: whom, folder):
            happen(store, event(subject="CN=1"), event("granted", subject="CN=2"))
            await happening.until(lambda: len(written(folder)) == 2)
        happen(store, event(subject="CN=3"))
        async with following(store, writer, lambda: whom, folder):
            happen(store, event(subject="CN=4"))
            await happening.until(lambda: stands_at(store) == 9)

    asyncio.run(work())
    assert written(folder) == ["CN=1", "CN=2", "CN=3", "CN=4"]
    stands = row(store)
    assert stands is not None
    assert (stands.cursor, stands.failures, stands.error) == (9, 0, None)
    assert stands.sent_at is not None


def test_the_end_of_a_server(
    store: Database, writer: Writer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told as the server ended is recorded, and not told again by the next."""
    monkeypatch.setattr(follower, "_END_SECONDS", 60)
    whom = happening.directory(LINES)
    write = Writer.write

    async def slowly(self: Writer, work: Callable[..., object]) -> object:
        await asyncio.sleep(0.2)
        return await write(self, work)

    async def work() -> None:
        async with following(store, writer, lambda: whom, folder):
            monkeypatch.setattr(Writer, "write", slowly)
            happen(store, event(subject="CN=1"))
            await happening.until(lambda: written(folder))

    asyncio.run(work())
    assert written(folder) == ["CN=1"]
    stands = row(store)
    assert stands is not None
    assert (stands.cursor, stands.failures) == (1, 0)


def test_many_records(store: Database, writer: Writer, folder: Path) -> None:
    """A record is kept of every event, however many wait."""
    whom = happening.directory(LINES)

    async def work() -> None:
        async with following(store, writer, lambda: whom, folder):
            happen(store, *(event(subject=f"CN={n}") for n in range(1_500)))
            await happening.until(lambda: len(written(folder)) >= 1_500)

    asyncio.run(work())
    assert written(folder) == [f"CN={n}" for n in range(1_500)]


def test_digest(store: Database, writer: Writer, folder: Path) -> None:
    """A plant that powers up is one message."""

    async def work() -> None:
        whom = happening.directory(posting(received.url, digest="1s"))
        async with following(store, writer, lambda: whom, folder):
            for n in range(300):
                happen(store, event(subject=f"CN={n}"))
                await asyncio.sleep(0)
            await happening.until(lambda: stands_at(store) == 300)

    began = time.monotonic()
    with hook() as received:
        asyncio.run(work())
    assert sum(document["counts"]["pending"] for document in received.documents) == 300
    assert len(received.documents) <= time.monotonic() - began + 1
    assert len(received.documents[0]["events"]) <= 50


def test_what_does_not_concern(store: Database, writer: Writer, folder: Path) -> None:
    """Other events are passed over; now and then the cursor follows."""

    async def work() -> None:
        whom = happening.directory(posting(received.url))
        async with following(store, writer, lambda: whom, folder):
            happen(store, *(event("granted") for _ in range(1_200)))
            await happening.until(lambda: row(store).cursor >= 1_000)  # type: ignore[union-attr]  # it follows
            happen(store, event(subject="CN=me"))
            await happening.until(lambda: received.got)

    with hook() as received:
        asyncio.run(work())
    [document] = received.documents
    assert subjects(document) == ["CN=me"]


def test_rules_choose(store: Database, writer: Writer, folder: Path) -> None:
    """What a rule decides that names channels goes to these alone."""
    chosen = {"line 3": frozenset({"night"})}

    async def work() -> None:
        whom = happening.directory(
            posting(f"{received.url}/day", name="day"),
            posting(f"{received.url}/night", name="night"),
            by_rule=chosen,
        )
        async with following(store, writer, lambda: whom, folder):
            happen(store, event(rule="line 3", subject="CN=3"))
            await happening.until(lambda: received.got)
            happen(store, event(rule="rest", subject="CN=rest"))
            await happening.until(lambda: len(received.got) == 3)

    with hook() as received:
        asyncio.run(work())
    got = sorted((path, *subjects(json.loads(body))) for path, _, body in received.got)
    assert got == [("/day", "CN=rest"), ("/night", "CN=3"), ("/night", "CN=rest")]


def _threads(name: str) -> int:
    """Return how many threads of this name there are."""
    return sum(thread.name == name for thread in threading.enumerate())


@pytest.mark.parametrize("behave", [None, silent, dripping(b"220-hello\r\n")])
def test_dead_channels_delay_no_other(
    store: Database,
    writer: Writer,
    folder: Path,
    behave: Callable[..., None] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closed, silent, or dripping for ever: the others are told, and the end waits for none."""
    monkeypatch.setattr(deliver, "SECONDS", 3_600)

    async def work(port: int) -> None:
        mail = (
            f'name = "dead"\ntype = "email"\nserver = "{HOST}"\nport = {port}\ntls = "none"\n'
            'from = "a@b"\nto = ["c@d"]\ndigest = "0s"'
        )
        hanging = posting(f"http://{HOST}:{port}", name="hanging")
        whom = happening.directory(mail, hanging, LINES)
        async with following(store, writer, lambda: whom, folder):
            for n in range(3):
                happen(store, event(subject=f"CN={n}"))
                await happening.until(lambda n=n: len(written(folder)) == n + 1)  # type: ignore[misc]  # mypy infers no lambda with a default

    if behave is None:
        asyncio.run(asyncio.wait_for(work(free_port()), 120))
    else:
        with misbehaving(behave) as port:
            asyncio.run(asyncio.wait_for(work(port), 120))
    dead = row(store, "dead")
    assert dead is not None
    assert (dead.cursor, dead.failures >= 1) == (0, True)
    deadline = time.monotonic() + 60  # a thread that was told to end may need a moment
    while _threads("notify") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _threads("notify") == 0


def test_tried_again_after_a_restart(store: Database, writer: Writer, folder: Path) -> None:
    """Failures are counted in the store, the pause grows, and one message tells what waited."""
    port = free_port()
    whom = happening.directory(posting(f"http://{HOST}:{port}"))

    async def dead() -> None:
        async with following(store, writer, lambda: whom, folder):
            happen(store, event(subject="CN=0"))
            await happening.until(lambda: row(store).failed >= 2 and row(store).error)  # type: ignore[union-attr]  # it follows; no try goes on
            happen(store, event(subject="CN=1"))

    async def alive() -> None:
        whom = happening.directory(posting(received.url))
        async with following(store, writer, lambda: whom, folder):
            await happening.until(lambda: received.got)
            await happening.until(lambda: not row(store).failures)  # type: ignore[union-attr]  # likewise

    asyncio.run(dead())
    stands = row(store)
    assert stands is not None
    assert stands.cursor == 0
    assert stands.error == f"{HOST} port {port} cannot be reached: connection refused"
    with hook() as received:
        asyncio.run(alive())
    [document] = received.documents
    assert subjects(document) == ["CN=0", "CN=1"]
    stands = row(store)
    assert stands is not None
    assert (stands.cursor, stands.error) == (2, None)


def test_days_of_failure(store: Database, writer: Writer, folder: Path) -> None:
    """Thousands of events that waited are one message."""
    writer_done = happening.directory(posting(f"http://{HOST}:{free_port()}"))

    async def work() -> None:
        async with following(store, writer, lambda: writer_done, folder):
            pass
        happen(store, *(event(subject=f"CN={n}") for n in range(5_000)))
        whom = happening.directory(posting(received.url))
        async with following(store, writer, lambda: whom, folder):
            await happening.until(lambda: row(store).cursor == 5_000)  # type: ignore[union-attr]  # it follows

    with hook() as received:
        asyncio.run(work())
    [document] = received.documents
    assert document["counts"] == {"pending": 5_000}
    assert document["left_out"] == 4_950


def test_a_delivery_that_was_cut_short(store: Database, writer: Writer, folder: Path) -> None:
    """A crash in the midst of a try: it is tried again, once that try cannot go on any more."""
    whom = happening.directory(LINES)
    happen(store, event(subject="CN=0"))
    at = int(times.now().timestamp())
    store.write(lambda db: channels.open_at_end(db, "it"))
    store.write(lambda db: channels.move(db, "it", cursor=0))
    stands = row(store)
    assert stands is not None
    assert store.write(lambda db: channels.claim(db, stands, at=at - 16))
    assert not store.write(lambda db: channels.claim(db, stands, at=at))

    async def work() -> None:
        async with following(store, writer, lambda: whom, folder):
            await happening.until(lambda: written(folder))

    asyncio.run(work())
    assert written(folder) == ["CN=0"]


def test_two_followers(store: Database, writer: Writer, folder: Path) -> None:
    """Two servers on one store tell each event once."""

    async def work() -> None:
        whom = happening.directory(posting(received.url))
        async with (
            following(store, writer, lambda: whom, folder),
            following(store, writer, lambda: whom, folder),
        ):
            for n in range(10):
                happen(store, event(subject=f"CN={n}"))
                await asyncio.sleep(0.05)
            await happening.until(lambda: row(store).cursor == 10)  # type: ignore[union-attr]  # they follow

    with hook() as received:
        asyncio.run(work())
    told = [subject for document in received.documents for subject in subjects(document)]
    assert told == [f"CN={n}" for n in range(10)]


def test_ca_toml_changes(store: Database, writer: Writer, folder: Path) -> None:
    """A channel that is taken out is forgotten; while the file is broken, those known are told."""
    state: dict[str, Directory | None] = {"now": happening.directory(LINES)}

    def whom() -> Directory:
        if state["now"] is None:
            raise Malformed("ca.toml: this is not TOML")
        return state["now"]

    async def work() -> None:
        async with following(store, writer, whom, folder):
            state["now"] = None
            await asyncio.sleep(0.2)
            happen(store, event("policy-error", subject="CN=broken"))
            await happening.until(lambda: written(folder) == ["CN=broken"])
            state["now"] = happening.directory()
            await happening.until(lambda: row(store) is None)
            happen(store, event(subject="CN=unheard"))
            state["now"] = happening.directory(LINES)
            await happening.until(lambda: row(store) is not None)
            happen(store, event(subject="CN=heard"))
            await happening.until(lambda: len(written(folder)) == 2)

    asyncio.run(work())
    assert written(folder) == ["CN=broken", "CN=heard"]


def test_never_whole(store: Database, writer: Writer, folder: Path) -> None:
    """A ca.toml that is broken from the start is waited for."""
    state: list[Directory] = []

    def whom() -> Directory:
        if not state:
            raise LocalState("ca.toml cannot be read")
        return state[0]

    async def work() -> None:
        async with following(store, writer, whom, folder):
            await asyncio.sleep(0.2)
            state.append(happening.directory(LINES))
            await happening.until(lambda: row(store) is not None)
            happen(store, event(subject="CN=0"))
            await happening.until(lambda: written(folder))

    asyncio.run(work())


def test_a_restored_store(store: Database, writer: Writer, folder: Path) -> None:
    """A log that is shorter than the cursor, from a backup, is followed from its end."""
    whom = happening.directory(LINES)
    happen(store, event())
    store.write(lambda db: channels.open_at_end(db, "it"))
    store.write(lambda db: channels.move(db, "it", cursor=99))

    async def work() -> None:
        async with following(store, writer, lambda: whom, folder):
            await happening.until(lambda: row(store).cursor == 1)  # type: ignore[union-attr]  # it is there
            happen(store, event(subject="CN=new"))
            await happening.until(lambda: written(folder) == ["CN=new"])

    asyncio.run(work())


def test_requests_come_along(store: Database, writer: Writer, folder: Path) -> None:
    """A mail tells what the device proved and claimed."""
    happening.waits(store)

    async def work() -> None:
        mail = (
            f'name = "it"\ntype = "email"\nserver = "{HOST}"\nport = {box.port}\ntls = "none"\n'
            'from = "a@b"\nto = ["c@d"]\ndigest = "0s"'
        )
        whom = happening.directory(mail)
        async with following(store, writer, lambda: whom, folder):
            happen(store, event())
            await happening.until(lambda: box.mails)

    with mailbox(None) as box:
        asyncio.run(work())
    assert "  claimed   device 0001:6040C8F2" in box.mails[0].get_content()
