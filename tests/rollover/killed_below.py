"""As `killed`, for a CA below another: killed at every step of asking, taking in, taking over.

Run as `python -m tests.rollover.killed_below DIR`: prints how many kills it survived.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from contextlib import closing
from pathlib import Path

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import NotFound
from cipsec.pki import keys
from cipsec.rollover import Step
from tests.support import upper
from tests.support.killing import killed_at

from . import below
from .killed import Act, act

_SECRET = "correct horse"
_ROOTS = upper.root("CN=Old Root"), upper.root("CN=New Root")


def ask(step: Step) -> None:
    """Make the next key and its request."""
    rollover.request(step, _SECRET)


def take_in(step: Step) -> None:
    """Take in what the new root made of it."""
    below.take_in(step, _ROOTS[1])


def activate(step: Step) -> None:
    """Let it issue."""
    rollover.activate(step, _SECRET)


def look(folder: CaFolder, old: bytes, what: Act) -> None:
    """Check that the CA issues below a root, nothing is lost, and the step can be taken again."""
    now = times.now()
    before = folder.authority(_SECRET).certificate  # raises unless the key is its own
    if folder.root() not in [root.certificate for root in _ROOTS]:
        raise SystemExit("no chain leads to a root")
    if before.signature != old and not folder.previous():
        raise SystemExit("the old one is lost")
    folder.cacerts(now)
    if what is ask and rollover.state(folder) is None:
        act(folder, ask)
    if what is take_in and rollover.state(folder) == "waiting":
        act(folder, take_in)
    if what is activate:
        with contextlib.suppress(NotFound):
            act(folder, activate)
        _settled(folder, old)
    with closing(folder.store()) as database:
        rollover.sweep(Step(folder, database, "operator", now))
    left = [path.name for path in folder.path.rglob(".*")]
    if rollover.is_interrupted(folder) or left:
        raise SystemExit(f"left behind: {left}")


def _settled(folder: CaFolder, old: bytes) -> None:
    """Check that the new one issues with its own key, request and chain, and the old can sign."""
    own, root = folder.authority(_SECRET).certificate, _ROOTS[1].certificate
    former = folder.authorities(_SECRET, times.now())[1:]
    if own.signature == old or [one.certificate.signature for one in former] != [old]:
        raise SystemExit("the CAs are not what they have to be")
    [kept] = folder.previous()
    if folder.path_to_root() != [own, root] or kept.path_to_root()[1:] != [_ROOTS[0].certificate]:
        raise SystemExit("the chains are not theirs")
    if folder.chain_file.read_bytes().count(b"BEGIN") != 1:
        raise SystemExit("the old root is still there")
    key = keys.from_pem(folder.key_file.read_bytes(), _SECRET).public_key()
    if b"BEGIN" not in folder.request_file.read_bytes() or keys.spki(key) != keys.spki(
        own.public_key()
    ):
        raise SystemExit("ca.key is not the key of ca.pem")


def main(place: Path) -> None:
    """Kill at the first call, the second, … until nothing is left to kill; each step by itself."""
    template = below.make(place / "template", _ROOTS[0], passphrase=_SECRET)
    for what in (ask, take_in, activate):
        number = 0
        while _one(place, template, what, number := number + 1):
            pass
        sys.stdout.write(f"{number - 1}\n")
        act(template, what)


def _one(place: Path, template: CaFolder, what: Act, number: int) -> bool:
    folder = CaFolder(place / "ca")
    shutil.rmtree(folder.path, ignore_errors=True)
    shutil.copytree(template.path, folder.path)
    old = folder.certificate().signature
    killed = killed_at(number, folder.path, lambda: act(folder, what))
    look(folder, old, what)
    return killed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
