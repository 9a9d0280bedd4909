"""Running the command line in process, and what it left on its streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cipsec._cli.main import main
from cipsec.ca_folder import CaFolder
from tests.support import administrator


@dataclass(frozen=True, slots=True)
class Ran:
    """One command that ran: its exit code and its streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout says, which must be one JSON object."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """What stdout says, as the rows of a table in a pipe."""
        return [line.split("\t") for line in self.out.splitlines()]


Cipsec = Callable[..., Ran]


@pytest.fixture
def cipsec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cipsec:
    """Run one command line in process, as the user `operator` with nobody to ask."""
    administrator.be(monkeypatch, "operator")
    monkeypatch.delenv("CIPSEC_CA_DIR", raising=False)

    def run(*argv: object) -> Ran:
        code = main([str(arg) for arg in argv])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def on_ca(cipsec: Cipsec, ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch) -> Cipsec:
    """Run one command line on the CA of `ca_folder`, without naming it each time."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(ca_folder.path))
    return cipsec
