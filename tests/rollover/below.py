"""A CA below a company's root, and that root's answers to its requests."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cryptography import x509

from cipsec import founding, rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys, names
from cipsec.rollover import Step
from tests.support.upper import Ca, points_at


def make(
    place: Path,
    root: Ca,
    *,
    passphrase: str | None = None,
    policy: str = "approval",
    days: float = 400,
) -> CaFolder:
    """Make the CA "Line 4" below a root, ready to serve."""
    wanted = founding.Wanted("Line 4", [], policy, passphrase)
    subject = names.parse_subject("CN=Line 4")
    key = keys.generate(keys.KeyType.EC_P256)
    folder = founding.request(place, wanted, subject=subject, key=key)
    own = root.answer(folder.request_file, days=(-1, days), authority=points_at(root))
    founding.install(folder, [own, root.certificate], by="operator", now=times.now())
    return folder


def take_in(step: Step, root: Ca, **wish: object) -> x509.Certificate:
    """Let the root answer the request for the next key, and take its certificate in."""
    wish = {"authority": points_at(root)} | wish
    own = root.answer(step.folder.successor.request_file, **wish)
    assert rollover.install(step, [own, root.certificate])[0]
    return own


def roll(folder: CaFolder, root: Ca, passphrase: str | None = None) -> None:
    """Give it its next key, which issues from now on."""
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        rollover.request(step, passphrase)
        take_in(step, root)
        rollover.activate(step, passphrase)
