"""The next key of a CA whose key is on a PKCS#11 token: made there, cut off, absent, let go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState
from cipsec.pki import keys
from cipsec.rollover import Step, preparing
from cipsec.token import making
from cipsec.token.module import module
from tests.rollover.test_passphrase import full_disk
from tests.support import ca, programs, softhsm, upper
from tests.support.softhsm import PIN, SoftHsm

from .conftest import Cipsec, Ran

Later = Callable[[Callable[[], object]], contextlib.AbstractContextManager[None]]


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """An empty token."""
    with softhsm.token(tmp_path / "hsm", monkeypatch) as made:
        yield made


@pytest.fixture
def folder(
    cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CaFolder:
    """The root "Line 4" with its key on the token, named in the environment."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "ca"))
    argv = ["ca", "init", "--name", "Line 4", "--policy", "lab", "--days", "400"]
    ran = cipsec(*argv, "--key", hsm.uri(), "--passphrase-file", hsm.pin_file)
    assert ran.code == 0, ran.err
    return CaFolder(tmp_path / "ca")


def roll(cipsec: Cipsec, hsm: SoftHsm, *more: str | Path) -> Ran:
    """Take a step with the PIN; it is seen nowhere."""
    ran = cipsec("ca", "rollover", "--passphrase-file", hsm.pin_file, *more)
    assert PIN not in ran.out + ran.err
    return ran


def issued(cipsec: Cipsec, hsm: SoftHsm, folder: CaFolder) -> x509.Certificate:
    """Sign a certificate by hand, with the key that issues."""
    asked = ca.write_pem(hsm.folder / "x.csr", ca.request())
    argv = ["ca", "issue", asked, "--ca-dir", folder.path, "-o", hsm.folder / "x.pem", "-f"]
    ran = cipsec(*argv, "--passphrase-file", hsm.pin_file)
    assert ran.code == 0, ran.err
    return x509.load_pem_x509_certificate((hsm.folder / "x.pem").read_bytes())


def cut_off(*_: object, **__: object) -> None:
    """End here."""
    raise LocalState("cut off")


def labels(hsm: SoftHsm) -> list[str]:
    """Return what the private keys on the token are called, as pkcs11-tool says."""
    return re.findall(r"label: +(\S+)", hsm.tool("--list-objects", "--type", "privkey"))


def test_the_way(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, tmp_path: Path) -> None:
    """Prepared, activated, and both keys sign: openssl follows both links; no key in the folder."""
    programs.need("openssl")
    old = folder.certificate()
    prepared = roll(cipsec, hsm)
    assert prepared.code == 0, prepared.err
    uri = folder.successor.key_place.uri()
    assert uri is not None
    assert f"the next key is {uri.key} on the token plant" in prepared.err
    assert sorted(labels(hsm)) == sorted(["line-4", uri.key])
    new = folder.successor.certificate()
    for name, chain, link in (
        ("old", old, folder.successor.new_with_old()),
        ("new", new, folder.successor.old_with_new()),
    ):
        anchor = upper.write(tmp_path / f"{name}.pem", chain)
        done = programs.run("openssl", "verify", "-x509_strict", "-CAfile", anchor,
                            upper.write(tmp_path / "link.pem", link))  # fmt: skip
        assert done.returncode == 0, done
    issued(cipsec, hsm, folder).verify_directly_issued_by(old)

    assert roll(cipsec, hsm, "--activate", "-y").code == 0
    assert folder.certificate() == new
    assert folder.key_uri() == uri
    issued(cipsec, hsm, folder).verify_directly_issued_by(new)
    found = cipsec("ca", "crl", "--form", "pem", "--passphrase-file", hsm.pin_file)
    assert found.out.count("BEGIN X509 CRL") == 2
    assert not [*folder.path.rglob("ca.key")]
    assert not folder.successor.path.exists()


def test_a_named_key(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm) -> None:
    """One that is there is found, whatever its type; one that is not is made."""
    hsm.tool("--keypairgen", "--key-type", "EC:secp384r1", "--label", "ready", "--id", "77")
    for name, kind in (("ready", "ec-p384"), ("other", "ec-p256")):
        ran = roll(cipsec, hsm, "--key", hsm.uri(name))
        assert ran.code == 0, ran.err
        assert keys.type_name(folder.successor.certificate().public_key()) == kind
        assert cipsec("ca", "rollover", "--cancel", "-y").code == 0
    assert sorted(labels(hsm)) == ["line-4", "other", "ready"]


def test_refused(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, tmp_path: Path) -> None:
    """One line and a hint; no key is made, and none begun."""
    (tmp_path / "wrong").write_text("0000\n")
    elsewhere = hsm.uri("x").replace("token=plant", "token=other")
    cases: list[tuple[list[str | Path], int, str]] = [
        (["--key", hsm.uri()], 2, "a key that the CA has already"),
        (["--key", elsewhere], 2, "has to be there too"),
        (["--key", "next.key"], 2, "is not a PKCS#11 URI"),
        (["--days", "30"], 2, "has to last beyond"),
        (["--passphrase-file", tmp_path / "wrong"], 6, "not the PIN of the token plant"),
    ]
    for more, code, said in cases:
        module(softhsm.MODULE).restart()  # who is logged in is not asked for the PIN again
        ran = roll(cipsec, hsm, *more)
        assert (ran.code, said in ran.err) == (code, True), ran.err
        assert "cipsec: hint: " in ran.err
        assert not folder.successor.path.exists()
    assert labels(hsm) == ["line-4"]


def test_a_key_of_another_type(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm) -> None:
    """It is there already, and not as it is wanted."""
    hsm.tool("--keypairgen", "--key-type", "EC:secp384r1", "--label", "ready", "--id", "77")
    ran = roll(cipsec, hsm, "--key", hsm.uri("ready"), "--key-type", "rsa-2048")
    assert (ran.code, "is an ec-p384 key" in ran.err) == (2, True)
    assert not folder.successor.path.exists()


@pytest.mark.parametrize("made", [False, True])
def test_cut_off(
    cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Before the key is made or after it: doctor says so, and the same command goes on with it."""
    with monkeypatch.context() as broken:
        where, name = (preparing, "successor") if made else (making, "_make")
        broken.setattr(where, name, cut_off)
        assert "cut off" in roll(cipsec, hsm).err
    assert len(labels(hsm)) == (2 if made else 1)
    shown = cipsec("ca", "show", "--json").json["ca"]
    assert (shown["rollover"], shown["next"]) == ("begun", None)
    checks = cipsec("doctor", "--json", "--ca-dir", folder.path).json["checks"]
    [found] = [
        one for one in checks if one["check"] == "ca rollover" and "cut off" in one["detail"]
    ]
    assert found["hint"].startswith("cipsec ca rollover --ca-dir")
    issued(cipsec, hsm, folder)  # it goes on meanwhile
    assert roll(cipsec, hsm).code == 0
    assert len(labels(hsm)) == 2
    assert roll(cipsec, hsm, "--activate", "-y").code == 0


def test_two_at_once(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, later: Later) -> None:
    """Who comes second is refused, and does not touch where the first one's key is."""
    with later(lambda: roll(cipsec, hsm)):
        ran = roll(cipsec, hsm)
    assert (ran.code, "the next root was prepared at" in ran.err) == (6, True)
    folder.successor.authority(PIN)
    assert len(labels(hsm)) == 2


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Return what lets somebody else work in the instant before the keys are held."""

    @contextlib.contextmanager
    def before(work: Callable[[], object]) -> Iterator[None]:
        held, waiting = CaFolder.keys_held, [work]

        def keys_held(self: CaFolder) -> contextlib.AbstractContextManager[None]:
            while waiting:
                waiting.pop()()
            return held(self)

        with monkeypatch.context() as broken:
            broken.setattr(CaFolder, "keys_held", keys_held)
            yield

    return before


def test_a_full_disk(
    cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not on record is not handed out; the key that was made is gone on with."""
    with closing(folder.store()) as database:
        step = Step(folder, database, "operator", times.now())
        with full_disk(monkeypatch):
            rollover.prepare(step, PIN, validity=timedelta(days=900))
    assert (rollover.state(folder), len(labels(hsm))) == ("begun", 2)
    assert roll(cipsec, hsm).code == 0
    assert len(labels(hsm)) == 2


def test_begun_and_called_off(
    cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun can be given up; nothing on the token is destroyed, and it is said how."""
    with monkeypatch.context() as broken:
        broken.setattr(preparing, "successor", cut_off)
        roll(cipsec, hsm)
    uri = folder.successor.key_place.uri()
    assert uri is not None
    assert uri.id is not None
    ran = cipsec("ca", "rollover", "--cancel", "-y")
    assert ran.code == 0, ran.err
    assert f"its key {uri.key} stays on the token plant" in ran.err
    assert rollover.state(folder) is None
    command = ran.err.splitlines()[-1].removeprefix("cipsec: pkcs11-tool ").split()
    hsm.tool(*command[3:])
    assert labels(hsm) == ["line-4"]


def test_the_token_is_away(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm) -> None:
    """At each step: exit 6, nothing has changed, and it goes on once the token is back."""
    old = folder.certificate()
    for more in ([], ["--activate", "-y"]):
        hsm.pull()
        (hsm.folder / "tokens").mkdir()
        module(softhsm.MODULE).restart()
        state = rollover.state(folder)
        ran = roll(cipsec, hsm, *more)
        assert (ran.code, "the token plant is not there" in ran.err) == (6, True), ran.err
        assert (rollover.state(folder), folder.certificate()) == (state, old)
        (hsm.folder / "tokens").rmdir()
        hsm.put_back()
        module(softhsm.MODULE).restart()
        assert roll(cipsec, hsm, *more).code == 0
    assert folder.certificate() != old


def test_retired(cipsec: Cipsec, folder: CaFolder, hsm: SoftHsm) -> None:
    """The former root is let go; its key stays, and how to destroy it is on record and said."""
    old = folder.certificate()
    roll(cipsec, hsm)
    roll(cipsec, hsm, "--activate", "-y")
    end = old.not_valid_after_utc
    with closing(folder.store()) as database:
        assert rollover.retire(Step(folder, database, "operator", end)) == [old]
    assert "its key stays on the token plant" in cipsec("ca", "log").out
    assert len(labels(hsm)) == 2


def test_the_pin_is_where_the_uri_says(cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path) -> None:
    """Then nobody is asked, for the next key neither, also where it is named without."""
    where = ("--ca-dir", tmp_path / "other")
    made = cipsec("ca", "init", "--name", "X", "--key", hsm.uri("x", pin_source=True), *where)
    assert made.code == 0
    ran = cipsec("ca", "rollover", "--key", hsm.uri("y"), "--days", "9000", *where)
    assert ran.code == 0, ran.err
    assert cipsec("ca", "rollover", "--activate", *where).code == 0
    other = CaFolder(tmp_path / "other")
    assert not other.is_encrypted()
    other.authority(None)


def test_below_a_root(cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path) -> None:
    """The next key of an intermediate on the token: its request is signed there."""
    root, place = upper.root(), tmp_path / "sub"
    argv = ["ca", "init", "--intermediate", "--ca-dir", place]
    pin = ("--passphrase-file", hsm.pin_file)
    cipsec(*argv, "--name", "Line 4", "--policy", "lab", "--key", hsm.uri(), *pin)
    sub = CaFolder(place)
    given = upper.write(tmp_path / "given.pem", root.answer(sub.request_file), root.certificate)
    assert cipsec(*argv, "--certificate", given).code == 0
    first = sub.certificate()
    ran = roll(cipsec, hsm, "--ca-dir", place)
    assert ran.code == 0, ran.err
    asked = sub.successor.request()
    assert asked.is_signature_valid
    upper.write(given, root.answer(sub.successor.request_file))
    assert cipsec(*argv, "--certificate", given).code == 0
    assert roll(cipsec, hsm, "--activate", "--ca-dir", place).code == 0
    issued(cipsec, hsm, sub).verify_directly_issued_by(sub.certificate())
    assert [one.certificate for one in sub.authorities(PIN, times.now())][1:] == [first]
