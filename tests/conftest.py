"""Fixtures for all tests: a CA in a temporary folder, an empty store."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import filelock
import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.store.database import Database
from cipsec.store.writer import Writer
from tests.support import ca, vpcd

vpcd.claim_socket()
# A shell starts what runs behind it with SIGINT ignored, and so do the programs that tests start
# and interrupt: they would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def ca_folder(tmp_path: Path) -> CaFolder:
    """The CA "Line 4": key without passphrase, policy "approval", three years old."""
    return ca.make(tmp_path / "ca", now=times.now() - timedelta(days=1100))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = Database.create(tmp_path / "store.sqlite3")
    yield database
    database.close()


@pytest.fixture
def writer(store: Database) -> Iterator[Writer]:
    """The writer of `store`."""
    writer = Writer(store)
    yield writer
    writer.close()


# Modules in which something is announced or found on the network, which all processes share, or
# that have a card daemon of their own, which wants its time.
_SHARED = (
    "discovery",
    "interop",
    "serve",
    "card/pcsc",
    "card/test_tls.py",
    "cli/smartcard/test_terminal.py",
    "cli/test_discover.py",
    "cli/endpoint/test_at_ca.py",
    "cli/endpoint/test_smartcard.py",
)


@pytest.fixture(scope="module", autouse=True)
def _alone_on_the_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let one such module run at a time, where several processes run the tests."""
    inside = request.path.relative_to(Path(__file__).parent).as_posix()
    if not inside.startswith(_SHARED):
        yield
        return
    with filelock.FileLock(Path(tempfile.gettempdir()) / f"cipsec-tests-{os.geteuid()}.lock"):
        yield
