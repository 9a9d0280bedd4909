"""A program that is killed at every step of changing an identity folder, and looks what is left.

Run as `python -m tests.endpoint.killed DIR [no-links]`: prints how many kills it survived. Every
system call that changes a name or opens a file is a step; SIGKILL comes just before it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.endpoint.enroll import request_for
from cipsec.endpoint.folder import Draft, Folder, Issued
from cipsec.endpoint.server import Server
from cipsec.endpoint.state import Kind, State
from cipsec.pki import keys
from tests.support import killing
from tests.support.canned import Plant, named

PLANT = Plant()


def _without_links(*_: object, **__: object) -> None:
    raise OSError(1314, "A required privilege is not held by the client")


def draft() -> Draft:
    """Return a new key and a request for it."""
    key = keys.generate(keys.KeyType.EC_P256)
    state = State(kind=Kind.RENEW, server=Server.parse("plant"), since=times.now())
    request = request_for(key, named("Drive 7"), (), None)
    return Draft(key, request, (PLANT.certificate,), state)


def issued(made: Draft) -> Issued:
    """Return a certificate for it."""
    certificate = PLANT.issue(made.key.public_key(), named("Drive 7"))
    return Issued(certificate, (PLANT.certificate,), (PLANT.certificate,))


def change(folder: Folder, made: Draft, got: Issued) -> None:
    """Go the whole way from a new key to its certificate in use."""
    with folder.locked():
        folder.begin(made)
        folder.note(made, made.state)
        folder.hold(got)
        folder.finish(owes_hook=True)


def killed_at(step: int, folder: Folder, made: Draft, got: Issued) -> bool:
    """Change the folder in a child that is killed before the numbered step; tell whether it was."""
    return killing.killed_at(step, folder.path, lambda: change(folder, made, got))


def look(folder: Folder, old: Issued | None, new: Issued) -> None:
    """Check that what is on disk matches as it is, and after the next run has tidied up."""
    seen = _in_use(folder)
    with folder.locked():
        pass
    tidied = _in_use(folder)
    before = old.certificate if old else None
    if seen not in {before, new.certificate} or tidied not in {seen, new.certificate}:
        raise SystemExit("neither the old identity nor the new one is in use")
    waiting = folder.draft()  # readable, or none
    if tidied == new.certificate and waiting:
        raise SystemExit("what is done still waits")
    names = {path.name for path in folder.path.iterdir()}
    extra = {n for n in names if n.startswith(".") and n != ".lock"}
    if extra or len([n for n in names if n.isdecimal()]) != (tidied is not None):
        raise SystemExit(f"left behind: {sorted(names)}")


def _in_use(folder: Folder) -> object:
    identity = folder.identity()  # raises unless key and certificate match
    if identity is None:
        return None
    pairs = (identity.certificate_file, identity.key_file)
    leaf = identity.issued.certificate.public_bytes(Encoding.PEM)
    if leaf != pairs[0].read_bytes():
        raise SystemExit("the paths shown lead elsewhere")
    key = keys.from_pem(pairs[1].read_bytes()).public_key()
    if keys.spki(key) != keys.spki(identity.issued.certificate.public_key()):
        raise SystemExit("the paths shown do not match")
    return identity.issued.certificate


def main(place: Path) -> None:
    """Kill at the first step, the second, … until nothing is left to kill; once from nothing."""
    for from_nothing in (True, False):
        step = 0
        while _one(place, step := step + 1, from_nothing=from_nothing):
            pass
        sys.stdout.write(f"{step - 1}\n")


def _one(place: Path, step: int, *, from_nothing: bool) -> bool:
    shutil.rmtree(place, ignore_errors=True)
    folder, first = Folder(place), None
    if not from_nothing:
        old = draft()
        first = issued(old)
        change(folder, old, first)
    new = draft()
    second = issued(new)
    killed = killed_at(step, folder, new, second)
    look(folder, first, second)
    return killed


if __name__ == "__main__":
    if sys.argv[2:] == ["no-links"]:
        os.symlink = _without_links
    main(Path(sys.argv[1]))
