"""A view of a CA on a stage: textual's pilot presses the keys and sees what a person would see."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding
from textual.pilot import Pilot

from cipsec import times
from cipsec._cli.watch.app import Watch
from cipsec._cli.watch.dialogs import Question
from cipsec._cli.watch.paper import Paper
from cipsec._cli.watch.text import shower
from cipsec._cli.watch.threads import Store
from cipsec.ca_folder import CaFolder
from cipsec.store import requests
from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import RequestRow, State
from tests.store import rows
from tests.support import ca

_PATIENCE_SECONDS = 120.0
STANDARD = (80, 24)
NOW = times.now()
CSR = ca.request().parsed.public_bytes(Encoding.DER)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """The view, and who sits before it."""

    app: Watch
    pilot: Pilot[None]

    @property
    def screen(self) -> str:
        """What is on the screen, line by line."""
        paper = self.app.screen.query_one(Paper)
        width = paper.size.width
        return "\n".join(paper.render_line(y).crop(0, width).text for y in range(paper.size.height))

    @property
    def chosen(self) -> str:
        """The line that is chosen."""
        [line] = [line for line in self.screen.splitlines() if line.startswith("> ")]
        return line

    async def press(self, *keys: str) -> None:
        """Press keys, each after the one before had its effect on the screen."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()
            assert await self._until(self._took_effect), f"{key} has no end"

    def _took_effect(self) -> bool:
        """Tell whether nothing is being read or recorded, and a question can be answered."""
        front = self.app.screen
        if isinstance(front, Question):
            return front._is_seen
        return all(work.is_finished for work in self.app.workers if work.group == "asking")

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition; tell whether it came true."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                return False
            await self.pilot.pause(0.02)
        return True

    async def see(self, *texts: str, without: str | None = None) -> str:
        """Wait until the texts are on the screen, and return it."""

        def is_there() -> bool:
            shown = self.screen
            stayed = without is not None and without in shown
            return all(text in shown for text in texts) and not stayed

        if await self._until(is_there):
            return self.screen
        raise AssertionError(f"{texts} did not appear, or {without!r} stayed:\n{self.screen}")


Play = Callable[[Stage], Awaitable[None]]


def perform(
    folder: CaFolder,
    play: Play,
    *,
    size: tuple[int, int] = STANDARD,
    actor: str = "anna",
    unicode: bool = True,
) -> Watch:
    """Play before a view of the folder, and return the view as it ended."""

    async def run() -> Watch:
        with closing(folder.store()) as database, closing(Store(folder, database)) as store:
            app = Watch(store, actor=actor, show=shower(unicode=unicode))
            async with app.run_test(size=size) as pilot:
                await play(Stage(app, pilot))
            return app

    return asyncio.run(run())


def request(number: int, **changes: object) -> RequestRow:
    """Return a request that waits, the lower its number the longer."""
    subject = f"CN=Drive {number}"
    seen = int(NOW.timestamp()) - 3600 + number
    row = dataclasses.replace(rows.request(f"{number:064x}", first_seen=seen), csr=CSR)
    row = dataclasses.replace(row, subject=subject, device=f"0001:{number:08X}")
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]  # as the test names them


def wait(folder: CaFolder, *waiting: RequestRow) -> None:
    """Put requests into the queue."""
    with closing(folder.store()) as database, database.transaction() as db:
        for row in waiting:
            requests.insert(db, row)


def row_of(folder: CaFolder, identifier: str) -> RequestRow:
    """Return a request as the store has it."""
    with closing(folder.store()) as database:
        row = database.read(lambda db: requests.by_id(db, identifier))
    assert row is not None
    return row


def states(folder: CaFolder) -> dict[str, str]:
    """Return subject and state of every request."""
    with closing(folder.store()) as database:
        found = database.read(lambda db: list(requests.listed(db, State)))
    return {row.subject: row.state for row in found}


def names(*texts: str) -> str:
    """Return alternative names as the store has them."""
    return json.dumps(texts)


def certificate(serial: str, *, ends: datetime, **changes: object) -> CertificateRow:
    """Return an endpoint's certificate that ends at a time."""
    row = rows.certificate(serial, enrollment=serial, not_after=int(ends.timestamp()))
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]  # as the test names them
