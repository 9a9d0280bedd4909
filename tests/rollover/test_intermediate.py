"""The roll-over of a CA below another: request, certificate, taking over; what is refused."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import founding, passphrase, publishing, rollover, times
from cipsec.errors import AlreadyExists, LocalState, Locked, NotFound, Unfit
from cipsec.pki import keys, names
from cipsec.rollover import Step
from tests.support import ca, programs, upper
from tests.support.upper import Ca

from . import below
from .test_passphrase import full_disk, open_all
from .test_steps import later, on_record

OLD, NEW = "old horse", "new horse"


@pytest.fixture
def root() -> Ca:
    """The company's root."""
    return upper.root()


@pytest.fixture
def step(tmp_path: Path, root: Ca) -> Iterator[Step]:
    """The operator at the CA "Line 4" below it, now."""
    folder = below.make(tmp_path / "ca", root, policy="lab")
    with closing(folder.store()) as database:
        yield Step(folder, database, "operator", times.now() + timedelta(seconds=2))


def test_a_request(step: Step) -> None:
    """A new key and a request for the same name; nothing is handed out, the present one issues."""
    folder, old = step.folder, step.folder.certificate()
    before = folder.cacerts(step.now)
    made = rollover.request(step, None)
    asked = made.request()
    assert asked.is_signature_valid
    assert asked.subject == old.subject
    assert asked.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert keys.spki(asked.public_key()) == keys.spki(made.private_key(None).public_key())
    assert keys.spki(asked.public_key()) != keys.spki(old.public_key())
    assert made.key_file.stat().st_mode & 0o777 == 0o600
    assert (folder.cacerts(step.now), folder.next(), folder.roots()) == (before, None, (old,))
    assert rollover.state(folder) == "waiting"
    assert on_record(step)[-1] == "rollover-requested"
    with pytest.raises(AlreadyExists, match="waits for its certificate"):
        rollover.request(step, None)
    with pytest.raises(LocalState, match="waits for its certificate"):
        rollover.activate(step, None)


def test_its_certificate(step: Step, root: Ca) -> None:
    """Both intermediates are handed out with the root, once each; the present one issues."""
    folder, old = step.folder, step.folder.certificate()
    rollover.request(step, None)
    new = below.take_in(step, root)
    assert folder.cacerts(step.now) == [old, root.certificate, new]
    assert folder.authority(None).certificate == old
    assert folder.certificate() == old
    assert rollover.state(folder) == "prepared"
    assert folder.links(step.now) == []
    assert on_record(step)[-1] == "rollover-prepared"


def test_activated(step: Step, root: Ca) -> None:
    """The new key issues, with its own request and chain; the old one signs its list."""
    folder, old = step.folder, step.folder.certificate()
    rollover.request(step, None)
    asked = folder.successor.request()
    new = below.take_in(step, root)
    assert rollover.activate(step, None) == new
    assert folder.path_to_root() == [new, root.certificate]
    assert [one.certificate for one in folder.authorities(None, step.now)] == [new, old]
    assert folder.cacerts(step.now) == [new, root.certificate, old]
    assert x509.load_pem_x509_csr(folder.request_file.read_bytes()) == asked
    assert not folder.successor.path.exists()
    assert rollover.state(folder) is None
    issued = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    issued.verify_directly_issued_by(new)
    assert on_record(step)[-1] == "granted"


def test_openssl_verifies_both(step: Step, root: Ca, tmp_path: Path) -> None:
    """What either issued, with what /cacerts hands out and the lists of both."""
    programs.need("openssl")
    folder = step.folder
    first = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    below.roll(folder, root)
    second = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    upper.write(tmp_path / "root.pem", root.certificate)
    upper.write(tmp_path / "handed.pem", *folder.cacerts(step.now)[1:], folder.certificate())
    lists = publishing.publish(
        folder,
        step.database,
        folder.crl_issuers(folder.authorities(None, step.now)),
        now=times.now(),
        validity=timedelta(days=7),
        backdate=timedelta(),
    )
    assert len(lists) == 2
    pem = b"".join(x509.load_der_x509_crl(one.der).public_bytes(Encoding.PEM) for one in lists)
    (tmp_path / "lists.pem").write_bytes(pem)
    for name, one in (("first", first), ("second", second)):
        file = upper.write(tmp_path / f"{name}.pem", one)
        done = programs.run("openssl", "verify", "-x509_strict", "-crl_check", "-CAfile",
                            tmp_path / "root.pem", "-untrusted", tmp_path / "handed.pem",
                            "-CRLfile", tmp_path / "lists.pem", file)  # fmt: skip
        assert done.returncode == 0, done


def test_the_places_of_lists_stay(step: Step, root: Ca) -> None:
    """Each has a URL, the elder the plain one; a renewed certificate of the key changes none."""
    folder = step.folder
    below.roll(folder, root)
    marks = folder.crl_marks()
    assert len(set(marks.values())) == 2
    assert marks[""] != folder.crl_file
    assert marks[folder.crl_mark()] == folder.crl_file
    again = root.answer(folder.request_file, days=(-2, 900))
    assert not rollover.install(step, [again])[0]
    assert folder.certificate() == again
    assert folder.crl_marks() == marks
    assert len(folder.previous()) == 1


def test_the_present_certificate_renewed_meanwhile(step: Step, root: Ca) -> None:
    """The CA above may sign the old request again while the next key waits, or is prepared."""
    folder = step.folder
    for prepare in (lambda: rollover.request(step, None), lambda: below.take_in(step, root)):
        prepare()
        again = root.answer(folder.request_file)
        assert not rollover.install(step, [again, root.certificate])[0]
        assert folder.certificate() == again
    rollover.activate(step, None)
    assert [one.certificate() for one in folder.previous()] == [again]


def test_the_next_certificate_made_again(step: Step, root: Ca) -> None:
    """Before it issues another one of the same key may take its place, under another root too."""
    folder = step.folder
    rollover.request(step, None)
    below.take_in(step, root)
    other = upper.root("CN=New Root")
    again = other.answer(folder.successor.request_file)
    is_next, said = rollover.install(step, [again, other.certificate])
    assert is_next
    assert any("below another root, CN=New Root" in one for one in said)
    rollover.activate(step, None)
    assert folder.path_to_root() == [again, other.certificate]
    assert folder.chain_file.read_text().count("BEGIN") == 1
    assert folder.previous()[0].path_to_root()[1:] == [root.certificate]


def test_a_bundle(step: Step, root: Ca) -> None:
    """While the next key waits its certificate is found behind the present one, too."""
    folder, old = step.folder, step.folder.certificate()
    rollover.request(step, None)
    new = root.answer(folder.successor.request_file)
    assert rollover.install(step, [old, new])[0]
    assert folder.next() is not None


def test_a_certificate_that_does_not_fit(step: Step, root: Ca) -> None:
    """Another name, or none of our keys: refused with all objections, and it goes on waiting."""
    folder = step.folder
    rollover.request(step, None)
    renamed = root.answer(folder.successor.request_file, subject="CN=Line 5")
    strange = root.below("CN=Line 4").certificate
    for one, said in ((renamed, "has issued as CN=Line 4"), (strange, "for another key")):
        with pytest.raises(Unfit) as caught:
            rollover.install(step, [one, root.certificate])
        assert any(said in objection for objection, _ in caught.value.objections)
    assert rollover.state(folder) == "waiting"
    assert not folder.successor.chain_file.exists()


def test_one_that_ends_earlier(step: Step, root: Ca) -> None:
    """It is said: nothing is won by it."""
    rollover.request(step, None)
    own = root.answer(step.folder.successor.request_file, days=(-1, 30))
    _, said = rollover.install(step, [own])
    assert any("before the present one does" in one for one in said)


def test_called_off(step: Step, root: Ca) -> None:
    """While it waits and when it is prepared; then another can be asked for."""
    for prepare in (lambda: None, lambda: below.take_in(step, root)):
        rollover.request(step, None)
        prepare()
        rollover.cancel(step)
        assert not step.folder.successor.path.exists()
        assert on_record(step)[-1] == "rollover-cancelled"
    with pytest.raises(NotFound):
        rollover.cancel(step)


def test_over(step: Step, root: Ca) -> None:
    """After its end the old one is handed out no more, and its key can go."""
    folder, old = step.folder, step.folder.certificate()
    rollover.request(step, None)
    new = below.take_in(step, root)
    rollover.activate(step, None)
    end = later(step, old.not_valid_after_utc)
    assert folder.cacerts(end.now) == [new, root.certificate]
    assert len(folder.authorities(None, end.now)) == 1
    assert rollover.retire(end) == [old]
    assert folder.previous() == []
    assert folder.crl_mark() == ""


def test_the_root_above_ends_first(tmp_path: Path) -> None:
    """Then the former one has ended too: no list is due that nobody could believe."""
    short = upper.root(days=(-1, 30))
    folder = below.make(tmp_path / "ca", short)
    longer = upper.root(key=short.key)
    below.roll(folder, longer)
    [former] = folder.previous()
    end = short.certificate.not_valid_after_utc
    assert former.ends() == end < former.certificate().not_valid_after_utc
    assert len(folder.authorities(None, end)) == 1
    validity = timedelta(days=7)
    with closing(folder.store()) as database:
        issuers = folder.crl_issuers(folder.authorities(None, end))
        none = timedelta()
        publishing.publish(folder, database, issuers, now=end, validity=validity, backdate=none)
        assert publishing.why_due(folder, database, now=end, validity=validity) is None


def test_the_passphrase(tmp_path: Path, root: Ca) -> None:
    """The next key has the present one's, and changes along while it waits."""
    folder = below.make(tmp_path / "ca", root, passphrase=OLD)
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now() + timedelta(seconds=2))
        with pytest.raises(Locked):
            rollover.request(step, NEW)
        assert not folder.successor.path.exists()
        rollover.request(step, OLD)
        passphrase.change(folder, OLD, NEW, by="operator", now=step.now)
        below.take_in(step, root)
        rollover.activate(step, NEW)
    assert (open_all(folder, NEW), open_all(folder, OLD)) == (True, False)
    assert len(folder.authorities(NEW, times.now())) == 2


def test_what_cannot_be_recorded(step: Step, root: Ca, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: no request, and no certificate handed out, that nobody finds on record."""
    folder = step.folder
    with full_disk(monkeypatch):
        rollover.request(step, None)
    assert rollover.state(folder) is None
    rollover.request(step, None)
    own = root.answer(folder.successor.request_file)
    with full_disk(monkeypatch):
        rollover.install(step, [own])
    assert rollover.state(folder) == "waiting"
    assert rollover.install(step, [own])[0]


def test_a_certificate_taken_in_while_it_is_half_done(
    step: Step, root: Ca, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused: it would be taken for the one before; first it is to be finished."""
    folder = step.folder
    rollover.request(step, None)
    new = below.take_in(step, root)

    def cut_off(*_: object) -> None:
        raise LocalState("cut off")

    with monkeypatch.context() as broken:
        broken.setattr(rollover.activating, "_follow", cut_off)
        with pytest.raises(LocalState, match="cut off"):
            rollover.activate(step, None)
    assert rollover.state(folder) == "interrupted"
    again = root.answer(folder.successor.request_file)
    with pytest.raises(AlreadyExists, match="interrupted"):
        rollover.install(step, [again, root.certificate])
    assert rollover.activate(step, None) == new
    assert folder.path_to_root() == [new, root.certificate]
    assert not rollover.install(step, [again])[0]


def test_devices_of_before_renew(step: Step, root: Ca) -> None:
    """By the rule for renewal, whichever key issued what they hold."""
    folder, key = step.folder, keys.generate(keys.KeyType.EC_P256)
    first = ca.receive(folder, ca.request(key=key))
    below.roll(folder, root)
    ca.enroll(folder, ca.request(), chain=[first], renewal=True)
    with closing(sqlite3.connect(folder.store_file)) as db:
        rules = [row[0] for row in db.execute("SELECT rule FROM certificates ORDER BY serial")]
    assert rules[-1] == "renewal"


def test_the_first_certificate(tmp_path: Path, root: Ca) -> None:
    """It is taken in by the same way while there is none."""
    wanted, key = (
        founding.Wanted("Line 4", [], "approval", None),
        keys.generate(keys.KeyType.EC_P256),
    )
    subject = names.parse_subject("CN=Line 4")
    folder = founding.request(tmp_path / "ca", wanted, subject=subject, key=key)
    own = root.answer(folder.request_file)
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        assert not rollover.install(step, [own, root.certificate])[0]
    assert folder.path_to_root() == [own, root.certificate]


def test_killed_at_every_step(tmp_path: Path) -> None:
    """The CA issues at every moment, and the next run finishes what was interrupted."""
    argv = (sys.executable, "-m", "tests.rollover.killed_below", tmp_path)
    done = programs.run(*argv, timeout=1800)
    assert done.returncode == 0, done.stderr.decode()
    assert all(int(line) > 8 for line in done.stdout.split()), done.stdout
