"""Fixtures for all tests: a CA in a temporary folder, an empty store."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has none

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.store.database import Database
from cipsec.store.writer import Writer
from tests.support import ca, vpcd

# Whoever runs the tests has a terminal, a language and perhaps a CA; none of them is the tests'.
for _name in ("LINES", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "LC_CTYPE", "LANGUAGE",
              "PYTHONIOENCODING", "CIPSEC_CA_DIR", "CIPSEC_IDENTITY"):  # fmt: skip
    os.environ.pop(_name, None)
os.environ |= {"COLUMNS": "80", "LANG": "C.UTF-8"}
vpcd.claim_socket()
# A shell starts what runs behind it with SIGINT ignored, and so do the programs that tests start
# and interrupt: they would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)
# So does nohup with SIGHUP. Who runs the tests by it goes on; only what he starts is as usual.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
# How long an example takes says how busy the machine is, and no more.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# What tests/run says of a commit it says again: the same examples each time. Others are tried by
# everybody who runs some of the tests.
settings.register_profile("same", deadline=None, derandomize=True)


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


# What is announced or found on the network, which all processes share, runs in one of them.
_NETWORK = ("tests/discovery/", "tests/cli/test_discover.py", "tests/cli/endpoint/test_at_ca.py")
# Whoever takes longest begins first, lest the others wait for it in the end.
_LONG = (*_NETWORK, "tests/serve/", "tests/interop/", "tests/readme/", "tests/cli/endpoint/",
         "tests/platforms/")  # fmt: skip


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file of tests to a process; all files on the network to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return "network" if nodeid.startswith(_NETWORK) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Say how several processes share the tests."""
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
