"""The keys in a running server: other CAs above, other certificates, another passphrase."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import founding, passphrase, rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import Locked
from cipsec.pki import keys, names
from cipsec.rollover import Step
from cipsec.serve.keyring import Keyring
from tests.rollover import below
from tests.support import upper

OLD, NEW = "old horse", "new horse"


def test_a_ca_above_whose_certificate_was_renewed(tmp_path: Path) -> None:
    """An intermediate keeps its certificate; what it issues lasts as long as the new one allows."""
    now = times.now()
    old = upper.root(days=(-1, 5))
    wanted = founding.Wanted("Line 4", (), "lab", None)
    key = keys.generate(keys.KeyType.EC_P256)
    subject = names.parse_subject("CN=Line 4")
    folder = founding.request(tmp_path / "ca", wanted, subject=subject, key=key)
    own = old.answer(folder.request_file, days=(-1, 3000))
    founding.install(folder, [own, old.certificate], by="operator", now=now)
    keyring = Keyring(folder, None, now=now)
    assert keyring.current().ends == old.certificate.not_valid_after_utc
    founding.install(folder, [own, upper.root(key=old.key).certificate], by="operator", now=now)
    assert keyring.current().ends == own.not_valid_after_utc
    keyring.current().require_valid(now + timedelta(days=6))
    assert [one.certificate for one in keyring.every(now)] == [own]


@pytest.fixture
def root() -> upper.Ca:
    """The company's root."""
    return upper.root()


@pytest.fixture
def folder(tmp_path: Path, root: upper.Ca) -> CaFolder:
    """A CA below it, under a passphrase."""
    return below.make(tmp_path / "ca", root, passphrase=OLD)


def _change(folder: CaFolder) -> None:
    passphrase.change(folder, OLD, NEW, by="operator", now=times.now())


def test_a_passphrase_changed_after_the_next_key_was_seen(folder: CaFolder, root: upper.Ca) -> None:
    """It has been opened by then, while it waited for its certificate; the old one signs too."""
    keyring = Keyring(folder, OLD, now=times.now())
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        rollover.request(step, OLD)
        keyring.current()
        _change(folder)
        new = below.take_in(step, root)
        rollover.activate(step, NEW)
    found = [one.certificate for one in keyring.every(times.now())]
    assert found == [new, folder.previous()[0].certificate()]


def test_a_passphrase_changed_before(
    folder: CaFolder, root: upper.Ca, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, once, while there is time to start the server again; then it cannot follow."""
    keyring = Keyring(folder, OLD, now=times.now())
    _change(folder)
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        rollover.request(step, NEW)
        for _ in range(3):
            keyring.current()
        assert caplog.text.count("start it again before the key is activated") == 1
        below.take_in(step, root)
        assert keyring.current().certificate == folder.certificate()
        rollover.activate(step, NEW)
    with pytest.raises(Locked, match="end it and start it again"):
        keyring.current()


def test_a_certificate_renewed_after_the_passphrase_changed(
    folder: CaFolder, root: upper.Ca
) -> None:
    """The key is the one that is loaded: no passphrase is needed for it."""
    keyring = Keyring(folder, OLD, now=times.now())
    _change(folder)
    again = root.answer(folder.request_file)
    founding.install(folder, [again, root.certificate], by="operator", now=times.now())
    assert [one.certificate for one in keyring.every(times.now())] == [again]


def test_a_next_key_that_was_given_up(folder: CaFolder, root: upper.Ca) -> None:
    """The one made after it is opened in its place."""
    keyring = Keyring(folder, OLD, now=times.now())
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        for _ in range(2):
            rollover.request(step, OLD)
            keyring.current()
            rollover.cancel(step)
        rollover.request(step, OLD)
        keyring.current()
        _change(folder)
        new = below.take_in(step, root)
        rollover.activate(step, NEW)
    assert keyring.current().certificate == new
