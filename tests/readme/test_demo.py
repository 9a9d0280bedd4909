"""`cipsec demo`: each way of granting is played to its end, and what is shown is what happened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cipsec._cli.main import main
from cipsec.ca_folder import CaFolder, open_folder
from cipsec.demo.stories import MODELS
from cipsec.ra import templates
from cipsec.store import events
from tests.support import programs

# What each story is about: commands in their order, and events that it leaves behind.
_SHOWN = {
    "vendor": ("vendor add", "ca serve", "enroll", "ca pending", "ca reject"),
    "serial": ("vendor add", "allowlist add", "ca serve", "enroll", "allowlist add"),
    "password": ("user add", "ca serve", "enroll", "policy check"),
    "provisioning": ("ca provision", "ca serve", "enroll", "ca show", "ca revoke"),
    "approval": ("ca serve", "enroll", "ca pending", "ca approve", "ca show", "ca list"),
    "lab": ("policy show", "ca serve", "enroll", "ca list"),
    "combined": ("vendor add", "allowlist add", "user add", "policy show", "ca serve", "discover",
                 "enroll", "ca approve", "cert verify", "renew", "ca list"),
}  # fmt: skip
_HAPPENED = {
    "vendor": [("vendor devices", "granted"), ("everyone else", "rejected")],
    "serial": [("everyone else", "pending"), ("inventory", "granted")],
    "password": [("users", "granted"), ("none", "refused")],
    "provisioning": [("commissioning", "granted"), ("everyone else", "pending")],
    "approval": [("everyone else", "replacement"), ("everyone else", "revoked")],
    "lab": [("laboratory", "granted")],
    "combined": [(rule, "granted") for rule in ("users", "inventory", "everyone else", "renewal")],
}
_ENDED_BY_HAND = {"provisioning": [("by hand", "revoked")]}
_TEMPORARY = "without --keep"


@dataclass(frozen=True, slots=True)
class Played:
    """A demo that ran: how it ended, what it printed, and where it was played."""

    code: int
    out: str
    err: str
    folder: Path


def _alone(command: Sequence[str], *, network: bool = True) -> list[str]:
    """Give the command a network of its own, where that can be had: nobody finds another's CA."""
    if os.geteuid() != 0:
        return list(command)
    programs.need("unshare", "ip")
    up = "ip link set lo up && " if network else ""
    return ["unshare", "-n", "sh", "-c", f'{up}exec "$@"', "sh", *command]


def _play(folder: Path, *arguments: str, network: bool = True) -> Played:
    command = [sys.executable, "-m", "cipsec", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder.parent)}
    done = subprocess.run(
        _alone(command, network=network), env=environment, capture_output=True, text=True,
        check=False, cwd=folder.parent,
    )  # fmt: skip
    return Played(done.returncode, done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Played]:
    """Every story, side by side where each has a network of its own: mostly they wait."""
    with ThreadPoolExecutor(len(MODELS) + 1 if os.geteuid() == 0 else 1) as pool:
        rooms = {model: tmp_path_factory.mktemp("demo") for model in [*MODELS, _TEMPORARY]}
        running = {
            model: pool.submit(_play, rooms[model] / "kept", "--model", model, "--keep", "kept")
            for model in MODELS
        }
        running[_TEMPORARY] = pool.submit(_play, rooms[_TEMPORARY] / "kept", "--model", "lab")
        return {model: run.result() for model, run in running.items()}


def test_every_model_has_a_story() -> None:
    """Whatever `ca init --policy` knows can be seen."""
    assert set(MODELS) == set(templates.MODELS) == set(_SHOWN) == set(_HAPPENED)


@pytest.mark.parametrize("model", MODELS)
def test_story(played: Mapping[str, Played], model: str) -> None:
    """It ends well; each command was printed before what it says; nothing went to stderr."""
    done = played[model]
    assert done.code == 0, done.out + done.err
    commands = [line for line in done.out.splitlines() if line.startswith("$ cipsec ")]
    assert commands[0].startswith("$ cipsec ca init ")
    assert f"--policy {model}" in commands[0]
    rest = iter(commands)
    for verb in _SHOWN[model]:
        assert any(line.startswith(f"$ cipsec {verb} ") for line in rest), verb
    assert done.err == f"\nIt is all in {done.folder}.\n"


@pytest.mark.parametrize("model", MODELS)
def test_record(played: Mapping[str, Played], model: str) -> None:
    """The record holds what the story tells, and the log's lines are shown at its end."""
    done = played[model]
    found = {(event.rule, event.event) for event in _events(open_folder(done.folder / "ca"))}
    assert found >= {*_HAPPENED[model], *_ENDED_BY_HAND.get(model, [])}
    _, shown = done.out.split("$ cipsec ca log --ca-dir ca\n")
    assert len(shown.splitlines()) == len(_events(open_folder(done.folder / "ca")))


def _events(folder: CaFolder) -> list[events.Event]:
    with closing(folder.store()) as database:
        return database.read(lambda db: [event for _, event in events.after(db, 0)])


def test_what_is_kept_can_be_used(
    played: Mapping[str, Played], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--keep` leaves the CA and the identities, with paths that are still good."""
    folder = played["combined"].folder
    assert {"ca", "pc", "drive", "listed"} <= {path.name for path in folder.iterdir()}
    assert main(["status", "--identity", str(folder / "drive")]) == 0
    assert main(["policy", "show", "--ca-dir", str(folder / "ca")]) == 0
    assert capsys.readouterr().out
    for path in folder.parent.iterdir():
        assert path == folder
    for line in played["combined"].out.splitlines():
        if line.startswith(("directory", "key  ", "certificate  ", "chain", "trust")):
            assert Path(line.split(maxsplit=1)[1]).exists(), line


def test_nothing_is_left_without_keep(played: Mapping[str, Played]) -> None:
    """The temporary folder is gone."""
    done = played[_TEMPORARY]
    assert (done.code, done.err) == (0, "")
    assert list(done.folder.parent.iterdir()) == []


def test_keep_wants_a_new_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there already stays as it is."""
    (tmp_path / "file").write_text("mine")
    assert main(["demo", "--keep", str(tmp_path)]) == 6
    assert main(["demo", "--keep", str(tmp_path / "file" / "below")]) == 6
    assert capsys.readouterr().err.count("cipsec: error: ") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_unknown_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, the models that there are, and no folder."""
    assert main(["demo", "--model", "anarchy", "--keep", str(tmp_path / "kept")]) == 2
    assert capsys.readouterr().err == (
        "cipsec: error: there is no model 'anarchy'\n"
        f"cipsec: hint: choose one of {', '.join(MODELS)}\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a network without loopback, as root can have")
def test_failure_can_be_looked_into(tmp_path: Path) -> None:
    """Where the server does not start, the hint leads to its log, which --keep leaves behind."""
    done = _play(tmp_path / "kept", "--model", "lab", "--keep", "kept", network=False)
    assert done.code == 6
    assert "cipsec: error: the server did not start\n" in done.err
    assert "look into DIR/serve.log\n" in done.err
    assert "cipsec: error: " in (tmp_path / "kept" / "serve.log").read_text()
