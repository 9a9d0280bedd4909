"""The steps of a roll-over: what each leaves in the folder and on record, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import passphrase, rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.ca_folder.key_place import Held
from cipsec.errors import AlreadyExists, LocalState, Locked, Malformed, NotFound, UsageError
from cipsec.pki import keys
from cipsec.ra.answers import Granted
from cipsec.rollover import Step
from cipsec.store import due, events
from tests.support import ca, programs

LIFE = timedelta(days=9000)


@pytest.fixture
def step(ca_folder: CaFolder) -> Iterator[Step]:
    """The operator at the CA "Line 4", now."""
    with closing(ca_folder.store()) as database:
        yield Step(ca_folder, database, "operator", times.now())


def prepare(step: Step, kind: str = "ec-p256", passphrase: str | None = None) -> x509.Certificate:
    """Make the next root and return its certificate."""
    made = rollover.prepare(step, passphrase, key_type=keys.KeyType(kind), validity=LIFE)
    return made.certificate()


def on_record(step: Step) -> list[str]:
    """Return the kinds of all events."""
    return [event.event for _, event in step.database.read(lambda db: list(events.after(db, 0)))]


def later(step: Step, now: datetime) -> Step:
    """Return the operator at another time."""
    return Step(step.folder, step.database, step.by, now)


def test_prepared(step: Step) -> None:
    """The present root issues; the next one and both links are handed out; keys are private."""
    folder, old = step.folder, step.folder.certificate()
    new = prepare(step, "ec-p384")
    assert folder.authority(None).certificate == old
    handed_out = folder.cacerts(step.now)
    assert handed_out[:2] == [old, new]
    links = handed_out[2:]
    assert [keys.spki(c.public_key()) for c in links] == [
        keys.spki(new.public_key()),
        keys.spki(old.public_key()),
    ]
    links[0].verify_directly_issued_by(old)
    links[1].verify_directly_issued_by(new)
    assert folder.links(step.now) == []  # TLS needs none: everybody knows the present root
    upcoming = folder.successor
    assert upcoming.key_file.stat().st_mode & 0o777 == 0o600
    assert upcoming.path.stat().st_mode & 0o777 == 0o700
    assert on_record(step) == ["rollover-prepared"]


def test_activated(step: Step) -> None:
    """The new root issues, the old key stays for revocation lists, the link goes out by TLS."""
    folder, old = step.folder, step.folder.certificate()
    new = prepare(step)
    assert rollover.activate(step, None) == new
    assert folder.authority(None).certificate == folder.certificate() == new
    assert [a.certificate for a in folder.authorities(None, step.now)] == [new, old]
    assert set(folder.roots()) == {new, old}
    [link] = folder.links(step.now)
    link.verify_directly_issued_by(old)
    assert not folder.successor.path.exists()
    assert folder.next() is None
    assert on_record(step) == ["rollover-prepared", "rollover-activated"]
    with pytest.raises(NotFound):
        rollover.activate(step, None)


def test_what_has_ended_is_not_handed_out(step: Step) -> None:
    """After the old root's end only the new one stands; then its key can go."""
    folder, old = step.folder, step.folder.certificate()
    new = prepare(step)
    rollover.activate(step, None)
    before, end = old.not_valid_after_utc - timedelta(seconds=1), old.not_valid_after_utc
    assert len(folder.cacerts(before)) == 4
    assert rollover.over(folder, before) == []
    assert folder.cacerts(end) == [new]
    assert folder.links(end) == []
    assert len(folder.authorities(None, end)) == 1
    assert rollover.retire(later(step, before)) == []
    assert rollover.retire(later(step, end)) == [old]
    assert folder.roots() == (new,)
    assert not list(folder.predecessors_folder.iterdir())
    assert on_record(step)[-1] == "ca-retired"


def test_twice(step: Step) -> None:
    """A third root while the first still lives: both links go out, the younger first."""
    folder, first = step.folder, step.folder.certificate()
    second = prepare(step)
    rollover.activate(step, None)
    again = later(step, step.now + timedelta(days=400))
    third = rollover.prepare(
        again, None, key_type=keys.KeyType.EC_P256, validity=LIFE
    ).certificate()
    rollover.activate(again, None)
    assert folder.roots() == (third, second, first)
    links = folder.links(step.now)
    links[0].verify_directly_issued_by(second)
    links[1].verify_directly_issued_by(first)
    programs.need("openssl")
    (folder.path / "chain").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in links))
    (folder.path / "first").write_bytes(first.public_bytes(Encoding.PEM))
    at = str(int(again.now.timestamp()) + 1)
    files = [folder.path / name for name in ("first", "chain", "chain")]
    done = programs.run(
        "openssl", "verify", "-attime", at, "-CAfile", files[0], "-untrusted", *files[1:]
    )
    assert done.returncode == 0, done.stderr


def test_each_root_has_a_place_for_its_list(step: Step) -> None:
    """What a root issues names its own; the plain one stays the eldest's."""
    folder = step.folder
    assert (folder.crl_mark(), folder.crl_marks()[""]) == ("", folder.crl_file)
    first = folder.certificate()
    for days in (9000, 10000):
        kind = keys.KeyType("ec-p256")
        rollover.prepare(step, None, key_type=kind, validity=timedelta(days=days))
        rollover.activate(step, None)
    marks = folder.crl_marks()
    assert marks[""] == folder.predecessor(first).crl_file
    assert marks[folder.crl_mark()] == folder.crl_file
    assert len(set(marks.values())) == 3
    folder.predecessor(first).certificate_file.write_text("damaged")
    assert folder.crl_mark() in marks  # and the CA issues on
    folder.authority(None)


def test_the_old_keys_certificates_renew(step: Step) -> None:
    """A device with a certificate of before the roll-over is still this CA's own."""
    folder, key = step.folder, keys.generate(keys.KeyType.EC_P256)
    folder.config_file.write_text(
        folder.config_file.read_text().replace('then = "ask"', 'then = "grant"\nlab = true')
    )
    first = ca.enroll(folder, ca.request(key=key))
    assert isinstance(first, Granted)
    for activate in (False, True):
        rollover.activate(step, None) if activate else prepare(step)
        renewed = ca.enroll(folder, ca.request(), chain=[first.der], renewal=True)
        assert isinstance(renewed, Granted)
        with closing(folder.store()) as database:
            row = database.read(
                lambda db: db.execute(
                    "SELECT rule FROM certificates ORDER BY serial DESC"
                ).fetchone()
            )
        assert row[0] == "renewal"
    assert isinstance(renewed, Granted)
    x509.load_der_x509_certificate(renewed.der).verify_directly_issued_by(folder.certificate())


def test_called_off(step: Step) -> None:
    """The next root is destroyed, and another can be prepared."""
    folder, old = step.folder, step.folder.certificate()
    new = prepare(step)
    with pytest.raises(AlreadyExists, match="was prepared at"):
        prepare(step)
    assert rollover.cancel(step) == new
    assert folder.cacerts(step.now) == [old]
    assert not folder.successor.path.exists()
    with pytest.raises(NotFound):
        rollover.cancel(step)
    assert prepare(step) != new
    assert on_record(step) == ["rollover-prepared", "rollover-cancelled", "rollover-prepared"]


def test_passphrase(tmp_path: Path) -> None:
    """The next key has the present one's; a wrong one changes nothing."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now() + timedelta(seconds=2))
        for wrong in ("wrong", None):
            with pytest.raises(Locked):
                prepare(step, passphrase=wrong)
        assert not folder.successor.path.exists()
        prepare(step, passphrase="correct horse")
        assert keys.is_encrypted(folder.successor.key_file.read_bytes())
        with pytest.raises(Locked):
            rollover.activate(step, "wrong")
        assert folder.next() is not None
        rollover.activate(step, "correct horse")
        assert on_record(step) == ["rollover-prepared", "rollover-activated"]
    assert all(keys.is_encrypted(path.read_bytes()) for path in folder.key_files())
    assert len(folder.key_files()) == 2


def test_it_has_to_last(step: Step) -> None:
    """Shorter than the present root: refused, nothing is left."""
    with pytest.raises(UsageError, match="beyond"):
        rollover.prepare(step, None, key_type=keys.KeyType.EC_P256, validity=timedelta(days=30))
    assert not step.folder.successor.path.exists()
    assert on_record(step) == []


def test_full_disk(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file cannot be written: the old root issues, and what failed can be repeated."""
    folder, old = step.folder, step.folder.certificate()
    prepare(step)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", _full)
        with pytest.raises(LocalState, match="no space"):
            rollover.activate(step, None)
    assert folder.authority(None).certificate == old
    assert on_record(step) == ["rollover-prepared"]
    rollover.activate(step, None)
    assert folder.authority(None).certificate != old


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_an_interrupted_step_kept_is_kept_anew(step: Step) -> None:
    """The passphrase may have changed since: the old key is taken as it is now."""
    folder, old = step.folder, step.folder.certificate()
    prepare(step)
    upcoming = folder.successor
    links = upcoming.new_with_old(), upcoming.old_with_new()
    stale = keys.to_pem(keys.from_pem(folder.key_file.read_bytes()), "an earlier passphrase")
    folder.predecessor(old).fill(Held(stale), old, links)
    assert folder.previous() == []
    rollover.activate(step, None)
    assert [one.certificate for one in folder.authorities(None, step.now)][1:] == [old]


@pytest.mark.parametrize("name", ["ca.pem", "new-with-old.pem"])
def test_a_damaged_next_root(step: Step, name: str) -> None:
    """The CA's key opens all the same; what needs the next root says which file, and what to do."""
    prepare(step)
    (step.folder.successor.path / name).write_bytes(b"\xff" * 100)
    step.folder.authority(None)
    with pytest.raises(Malformed, match="holds no certificate") as caught:
        step.folder.cacerts(step.now)
    assert str(step.folder.successor.path) in (caught.value.hint or "")


def test_unrenewed(step: Step) -> None:
    """Certificates of before the next root count until their devices have renewed."""
    folder, now = step.folder, times.now()
    folder.config_file.write_text(
        folder.config_file.read_text().replace('then = "ask"', 'then = "grant"\nlab = true')
    )
    device = "CN=Drive 7,serialNumber=0001:6040C8F2"
    answer = ca.enroll(folder, ca.request(device), now=now - timedelta(days=9))
    assert isinstance(answer, Granted)
    ca.enroll(folder, ca.request("CN=pc"), now=now - timedelta(days=9))

    def count() -> int:
        at = int(now.timestamp())
        return step.database.read(lambda db: due.unrenewed(db, since=at, now=at))

    assert count() == 2
    ca.enroll(
        folder, ca.request(device), chain=[answer.der], renewal=True, now=now + timedelta(hours=1)
    )
    assert count() == 1


def test_killed_at_every_step(tmp_path: Path) -> None:
    """The CA issues at every moment, and the next run finishes what was interrupted."""
    done = programs.run(sys.executable, "-m", "tests.rollover.killed", tmp_path, timeout=1800)
    assert done.returncode == 0, done.stderr.decode()
    assert all(int(line) > 8 for line in done.stdout.split()), done.stdout


def test_a_copy_of_the_key_does_not_keep_its_passphrase(step: Step) -> None:
    """What a roll-over that was killed has left changes along, and is no hindrance to the next."""
    folder = step.folder
    prepare(step)
    left, upcoming = folder.predecessor(folder.certificate()), folder.successor
    links = upcoming.new_with_old(), upcoming.old_with_new()
    left.fill(Held(folder.key_file.read_bytes()), folder.certificate(), links)
    passphrase.change(folder, None, "correct horse", by="operator", now=step.now)
    found = list(folder.path.rglob("*.key"))
    assert len(found) == 3
    assert all(keys.is_encrypted(file.read_bytes()) for file in found if file.name == "ca.key")
    rollover.activate(step, "correct horse")
    assert len(folder.authorities("correct horse", step.now)) == 2
