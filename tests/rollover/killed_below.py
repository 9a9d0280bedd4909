"""As `killed`, for a CA below another: killed at every step of asking, taking in, taking over.

Run as `python -m tests.rollover.killed_below DIR`: prints how many kills it survived.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import NotFound
from cipsec.pki import keys
from cipsec.rollover import Step
from tests.support import upper

from . import below
from .killed import Act, act, play, require_swept

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
    before = folder.authority(_SECRET).certificate  # raises unless the key is its own
    if folder.root() not in [root.certificate for root in _ROOTS]:
        raise SystemExit("no chain leads to a root")
    if before.signature != old and not folder.previous():
        raise SystemExit("the old one is lost")
    folder.cacerts(times.now())
    if what is ask and rollover.state(folder) is None:
        act(folder, ask)
    if what is take_in and rollover.state(folder) == "waiting":
        act(folder, take_in)
    if what is activate:
        with contextlib.suppress(NotFound):
            act(folder, activate)
        _settled(folder, old)
    require_swept(folder)


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
    """Make a CA below a root, and play."""
    template = below.make(place / "template", _ROOTS[0], passphrase=_SECRET)
    play(place, template, (ask, take_in, activate), look)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
