"""Fixtures for the RA: servers on a new CA folder, commands on it, programs that rules ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec._cli.main import main
from cipsec.ra import external
from cipsec.ra.allowlist import background
from cipsec.ra.external import Programs
from tests.support import est, vendor
from tests.support.asking import Script, made, scripts
from tests.support.est import Server

from .harmless import Command, Ran
from .replacing import DEVICE, GENUINE, LISTED, SECOND


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a list or a program has two minutes: this machine may be busy."""
    monkeypatch.setattr(background, "_PATIENCE_SECONDS", 120.0)
    monkeypatch.setattr(external, "_PATIENCE_SECONDS", 120.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that asks about everybody but users and its own devices."""
    with est.serving(tmp_path) as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Server]:
    """A server that grants to everybody."""
    with est.serving(tmp_path, est.LAB) as server:
        yield server


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Server]:
    """A server that grants to the devices on its list, at their word."""
    with est.serving(tmp_path, est.RENEWAL + LISTED + est.ASK) as server:
        server.allow("line", f"{DEVICE},,,,")
        server.tick = SECOND
        yield server


@pytest.fixture(scope="module")
def acme() -> vendor.Pki:
    """A vendor."""
    return vendor.make()


@pytest.fixture
def proving(tmp_path: Path, acme: vendor.Pki) -> Iterator[Server]:
    """A server that grants to the devices of the vendor, who prove which one they are."""
    with est.serving(tmp_path, est.RENEWAL + GENUINE + est.ASK) as server:
        vendor.install(server.folder.path / "vendors", "acme", acme.root)
        server.tick = SECOND
        yield server


@pytest.fixture
def command(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run one command line on the server's CA folder, in process, with nobody to ask."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(server.folder.path))

    def run(*argv: object) -> Ran:
        code = main([str(arg) for arg in argv])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A function from a shell script's text to a command."""
    return scripts(tmp_path)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """The programs of a server on an empty CA folder."""
    programs = made(tmp_path)
    yield programs
    asyncio.run(programs.close())
