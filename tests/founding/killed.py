"""A program that is killed at every step of taking a CA's certificate in, and looks what is left.

Run as `python -m tests.founding.killed DIR`: prints how many kills it survived.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cryptography import x509

from cipsec import founding, times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys, names
from tests.support import upper
from tests.support.killing import killed_at
from tests.support.upper import Ca

_ROOTS = upper.root("CN=Old Root"), upper.root("CN=New Root")


def waiting(place: Path) -> CaFolder:
    """Make the folder of a CA that waits for its certificate."""
    wanted = founding.Wanted("Line 4", [], "approval", None)
    subject = names.parse_subject("CN=Line 4")
    key = keys.generate(keys.KeyType.EC_P256)
    return founding.request(place, wanted, subject=subject, key=key)


def install(folder: CaFolder, root: Ca, own: x509.Certificate) -> None:
    """Take a certificate in, with its root."""
    founding.install(folder, [own, root.certificate], by="anna", now=times.now())


def look(folder: CaFolder, expected: set[tuple[x509.Certificate, ...]]) -> None:
    """Check that the folder is one of what was and what is to be."""
    seen = () if folder.is_waiting() else tuple(folder.path_to_root())
    if seen not in expected:
        raise SystemExit(f"neither the old certificate nor the new one is in use: {seen}")
    if seen:
        folder.authority(None)


def one(place: Path, step: int, *, renewed: bool) -> bool:
    """Kill once; look; and do again what was interrupted."""
    shutil.rmtree(place, ignore_errors=True)
    folder = waiting(place)
    old, new = _ROOTS
    before: tuple[x509.Certificate, ...] = ()
    if renewed:
        first = old.answer(folder.request_file)
        install(folder, old, first)
        before = (first, old.certificate)
    own = new.answer(folder.request_file)
    killed = killed_at(step, place, lambda: install(folder, new, own))
    look(folder, {before, (own, new.certificate)})
    install(folder, new, own)
    look(folder, {(own, new.certificate)})
    if folder.chain_file.read_bytes().count(b"BEGIN") != 1:
        raise SystemExit("the old root is still there")
    return killed


def main(place: Path) -> None:
    """Kill at the first step, the second, … until nothing is left to kill."""
    for renewed in (False, True):
        step = 0
        while one(place, step := step + 1, renewed=renewed):
            pass
        sys.stdout.write(f"{step - 1}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
