"""A program that is killed at every step of a roll-over, and looks what is left.

Run as `python -m tests.rollover.killed DIR`: prints how many kills it survived. Every call that
changes a name or opens a file in the CA's folder is a step; SIGKILL comes just before it.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import NotFound
from cipsec.pki import keys
from cipsec.rollover import Step
from tests.support import ca
from tests.support.killing import killed_at

_SECRET = "correct horse"
Act = Callable[[Step], object]
Look = Callable[[CaFolder, bytes, Act], None]  # at the CA, whose signature it had, what was done


def prepare(step: Step) -> None:
    """Make the next root."""
    kind = keys.KeyType.EC_P256
    rollover.prepare(step, _SECRET, key_type=kind, validity=timedelta(days=9000))


def activate(step: Step) -> None:
    """Let it issue."""
    rollover.activate(step, _SECRET)


def act(folder: CaFolder, what: Act) -> None:
    """Take one step, as an operator does."""
    with closing(folder.store()) as database:
        what(Step(folder, database, "operator", times.now()))


def look(folder: CaFolder, old: bytes, what: Act) -> None:
    """Check that the CA issues, nothing is lost, and the step, or the next, can be taken."""
    now = times.now()
    before = folder.authority(_SECRET).certificate  # raises unless the key is its own
    folder.cacerts(now)
    if before.signature != old and not folder.previous():
        raise SystemExit("the old root is lost")
    if what is prepare:
        if folder.next() is None:
            act(folder, prepare)
    else:
        with contextlib.suppress(NotFound):
            act(folder, activate)
        _settled(folder, old)
    require_swept(folder)


def require_swept(folder: CaFolder) -> None:
    """Check that nothing of what was cut off stays."""
    act(folder, rollover.sweep)
    left = [path.name for path in folder.path.rglob(".*")]
    if rollover.is_interrupted(folder) or left:
        raise SystemExit(f"left behind: {left}")


def _settled(folder: CaFolder, old: bytes) -> None:
    """Check that the new root issues with its own key, and the old one can still sign."""
    own = folder.authority(_SECRET).certificate
    former = folder.authorities(_SECRET, times.now())[1:]
    if own.signature == old or [one.certificate.signature for one in former] != [old]:
        raise SystemExit("the roots are not what they have to be")
    if keys.spki(keys.from_pem(folder.key_file.read_bytes(), _SECRET).public_key()) != keys.spki(
        own.public_key()
    ):
        raise SystemExit("ca.key is not the key of ca.pem")
    issuer = folder.provisioning_authority(_SECRET, times.now()).certificate
    if issuer.not_valid_after_utc != own.not_valid_after_utc:
        raise SystemExit("the issuer of provisioning certificates ends before the CA")
    with closing(sqlite3.connect(folder.store_file)) as db:
        told = db.execute("SELECT count(*) FROM events WHERE event = 'rollover-activated'")
        if told.fetchone()[0] != 1:
            raise SystemExit("it is not on record, or twice")


def main(place: Path) -> None:
    """Make a root, and play."""
    template = ca.make(place / "template", passphrase=_SECRET)
    template.provisioning_authority(_SECRET, times.now())
    play(place, template, (prepare, activate), look)


def play(place: Path, template: CaFolder, steps: Sequence[Act], look: Look) -> None:
    """Kill at the first call, the second, … until nothing is left to kill; each step by itself."""
    for what in steps:
        number = 0
        while _one(place, template, what, number := number + 1, look):
            pass
        sys.stdout.write(f"{number - 1}\n")
        act(template, what)


def _one(place: Path, template: CaFolder, what: Act, number: int, look: Look) -> bool:
    folder = CaFolder(place / "ca")
    shutil.rmtree(folder.path, ignore_errors=True)
    shutil.copytree(template.path, folder.path)
    old = folder.certificate().signature
    killed = killed_at(number, folder.path, lambda: act(folder, what))
    look(folder, old, what)
    return killed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
