"""As `killed`, for a root whose key is on a token: no step leaves a stray key there.

Run as `python -m tests.rollover.killed_token DIR URI PIN`: prints how many kills it survived.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from cipsec import founding, rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import NotFound
from cipsec.pki import names
from cipsec.pki.keys import KeyType
from cipsec.rollover import Step
from cipsec.token import making
from cipsec.token.module import module
from cipsec.token.uri import KeyUri
from tests.support.killing import killed_at

from .killed import act


def found(uri: KeyUri, pin: str) -> int:
    """Return how many private keys are on the token."""
    from pkcs11 import Attribute, ObjectClass

    session = module(uri.module).session(uri, pin)
    return len(list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))


def make(place: Path, uri: KeyUri, pin: str) -> CaFolder:
    """Make the CA "Line 4" with its key on the token."""
    key, _ = making.obtain(uri, pin, None)
    return founding.create(
        place,
        name="Line 4",
        subject=names.parse_subject("CN=Line 4"),
        key_type=KeyType.EC_P256,
        validity=timedelta(days=400),
        passphrase=None,
        hosts=[],
        policy="approval",
        now=times.now(),
        key=key,
    )


def main(place: Path, uri: KeyUri, pin: str) -> None:
    """Kill at the first call, the second, … until nothing is left to kill; each step by itself."""
    template = make(place / "template", uri, pin)

    def prepare(step: Step) -> None:
        rollover.prepare(step, pin, validity=timedelta(days=900))

    def activate(step: Step) -> None:
        with contextlib.suppress(NotFound):  # it was done but for the last line
            rollover.activate(step, pin)

    for what in (prepare, activate):
        number = 0
        while _one(place / "ca", template, what, number := number + 1, (uri, pin)):
            pass
        sys.stdout.write(f"{number - 1}\n")
        act(template, what)


def _one(
    place: Path,
    template: CaFolder,
    what: Callable[[Step], None],
    number: int,
    token: tuple[KeyUri, str],
) -> bool:
    folder = CaFolder(place)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template.path, place)
    before, made = found(*token), folder.successor.exists()
    killed = killed_at(number, place, lambda: act(folder, what))
    folder.authority(token[1])  # it issues
    folder.cacerts(times.now())
    if made or rollover.state(folder) != "prepared":
        act(folder, what)
    if rollover.state(folder) != (None if made else "prepared"):
        raise SystemExit(f"the step cannot be taken: {rollover.state(folder)}")
    if found(*token) != before + (not made):
        raise SystemExit("a stray key is on the token")
    for one in (folder.successor, *folder.previous()):
        if one.exists():
            one.authority(token[1])
    with closing(folder.store()) as database:
        rollover.sweep(Step(folder, database, "operator", times.now()))
    if left := [path.name for path in place.rglob(".*")]:
        raise SystemExit(f"left behind: {left}")
    return killed


if __name__ == "__main__":
    main(Path(sys.argv[1]), KeyUri.parse(sys.argv[2]), sys.argv[3])
