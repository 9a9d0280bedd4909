"""A program that is killed at every step of changing a passphrase, and looks what opens what.

Run as `python -m tests.founding.killed_passphrase DIR`: prints how many kills it survived.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from cipsec import passphrase, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import Locked
from cipsec.pki import keys
from tests.support import ca
from tests.support.killing import killed_at

_CHANGES = (("old", "new"), ("old", None), (None, "new"))


def made(place: Path, secret: str | None) -> CaFolder:
    """Make a CA with an issuer of provisioning certificates."""
    shutil.rmtree(place, ignore_errors=True)
    folder = ca.make(place, passphrase=secret)
    folder.provisioning_authority(secret, times.now())
    return folder


def opening(folder: CaFolder, secrets: Sequence[str | None]) -> str | None:
    """Return which of the passphrases opens the CA's key; it must open the other key too."""
    for secret in secrets:
        try:
            folder.authority(secret)
        except Locked:
            continue
        folder.provisioning_authority(secret, times.now())
        return secret
    raise SystemExit("neither passphrase opens the CA's key")


def check_modes(folder: CaFolder) -> None:
    """No key, named or left over, may be anybody else's to read at any time."""
    for file in folder.path.glob("*.key*"):
        if file.stat().st_mode & 0o077:
            raise SystemExit(f"{file} is not private")


def one(place: Path, step: int, old: str | None, new: str | None) -> bool:
    """Kill once; look; settle as the server does; change again to the end."""
    folder = made(place, old)
    killed = killed_at(
        step, place, lambda: passphrase.change(folder, old, new, by="anna", now=times.now())
    )
    check_modes(folder)
    # None first: a key without passphrase opens with any.
    opens = opening(folder, sorted((old, new), key=lambda secret: secret is not None))
    if keys.is_encrypted(folder.key_file.read_bytes()) == (opens is None):
        raise SystemExit("the wrong passphrase opens the CA's key")
    passphrase.settle(folder, opens)
    for file in folder.key_files():
        pem = file.read_bytes()
        if keys.is_twice(pem) or keys.is_encrypted(pem) != (opens is not None):
            raise SystemExit(f"{file} is not under the passphrase of the CA's key alone")
    passphrase.change(folder, opens, new, by="anna", now=times.now())
    opening(folder, [new])
    left = [file.name for file in place.glob(".*")]
    if left:
        raise SystemExit(f"left behind: {left}")
    return killed


def main(place: Path) -> None:
    """Kill at the first step, the second, … until nothing is left to kill."""
    for old, new in _CHANGES:
        step = 0
        while one(place, step := step + 1, old, new):
            pass
        sys.stdout.write(f"{step - 1}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
