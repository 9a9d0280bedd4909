"""`cipsec ca passphrase`: both keys change together, the secret appears nowhere."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.errors import Locked
from cipsec.pki import keys
from cipsec.rollover import Step
from tests.support import ca, programs, serving
from tests.support.terminal import at_terminal

from .conftest import Cipsec


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder with passphrases: old, new, wrong."""
    for name in ("old", "new", "wrong"):
        (tmp_path / name).write_text(f"{name} horse\n")
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> CaFolder:
    """A CA under the old passphrase, with an issuer of provisioning certificates."""
    folder = ca.make(tmp_path / "ca", passphrase="old horse")
    folder.provisioning_authority("old horse", times.now())
    return folder


def argv(folder: CaFolder, *more: object) -> list[object]:
    """Return the words of a change."""
    return ["ca", "passphrase", "--ca-dir", folder.path, *more]


def opened_by(folder: CaFolder, secret: str | None) -> bool:
    """Tell whether a passphrase opens both keys; one that opens one alone is a failure."""
    found = []
    for open_it in (folder.authority, lambda s: folder.provisioning_authority(s, times.now())):
        try:
            open_it(secret)
            found.append(True)
        except Locked:
            found.append(False)
    assert found[0] == found[1]
    return found[0]


def test_both_keys_change(cipsec: Cipsec, folder: CaFolder, secrets: Path) -> None:
    """The new one opens, the old one does not; openssl says the same; the event names the actor."""
    words = ("--passphrase-file", secrets / "old", "--new-passphrase-file", secrets / "new")
    ran = cipsec(*argv(folder, *words, "--json", "-v"))
    assert ran.code == 0, ran.err
    files = [str(folder.provisioning_key_file), str(folder.key_file)]
    assert ran.json["ca"]["keys"] == files
    assert ran.json["ca"]["key_encrypted"] is True
    assert "horse" not in ran.out + ran.err
    assert (opened_by(folder, "new horse"), opened_by(folder, "old horse")) == (True, False)
    for file in map(Path, files):
        assert file.stat().st_mode & 0o777 == 0o600
        programs.need("openssl")
        read = ("openssl", "pkey", "-in", file, "-noout", "-passin")
        assert programs.run(*read, "pass:new horse").returncode == 0
        assert programs.run(*read, "pass:old horse").returncode != 0
    [event] = cipsec("ca", "log", "--ca-dir", folder.path, "--json").json["events"]
    assert (event["event"], event["actor"]) == ("ca-passphrase", "operator")


def test_none_and_back(cipsec: Cipsec, folder: CaFolder, secrets: Path) -> None:
    """Without a passphrase there is a warning; and one can be set again."""
    ran = cipsec(*argv(folder, "--passphrase-file", secrets / "old", "--no-passphrase"))
    assert ran.code == 0
    assert "cipsec: warning: whoever can read the CA's folder" in ran.err
    assert opened_by(folder, None)
    assert b"ENCRYPTED" not in folder.provisioning_key_file.read_bytes()
    assert cipsec(*argv(folder, "--new-passphrase-file", secrets / "new")).code == 0
    assert (opened_by(folder, "new horse"), opened_by(folder, None)) == (True, False)


def test_what_is_refused(cipsec: Cipsec, folder: CaFolder, secrets: Path) -> None:
    """Nothing changes: a wrong passphrase, an empty one, too long, nobody to ask, both of stdin."""
    (secrets / "empty").write_text("\n")
    (secrets / "long").write_text("x" * 1024)
    before = [file.read_bytes() for file in folder.key_files()]
    old, new = ("--passphrase-file", secrets / "old"), "--new-passphrase-file"
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("--passphrase-file", secrets / "wrong", new, secrets / "new"), 6, "does not open"),
        ((*old, new, secrets / "empty"), 2, "is empty"),
        ((*old, new, secrets / "long"), 2, "at most 1023 bytes"),
        (old, 2, "add --new-passphrase-file FILE, or --no-passphrase"),
        ((new, secrets / "new"), 2, "add --passphrase-file FILE"),
        ((*old, new, secrets / "new", "--no-passphrase"), 2, "exclude each other"),
        (("--passphrase-file", "-", new, "-"), 2, "cannot both come from stdin"),
    ]
    for more, code, said in cases:
        ran = cipsec(*argv(folder, *more))
        assert (ran.code, said in ran.err) == (code, True), (more, ran.err)
    assert before == [file.read_bytes() for file in folder.key_files()]
    assert list(folder.path.glob(".*")) == []


def test_at_a_terminal(folder: CaFolder) -> None:
    """The old one is asked for and tried before the new one is asked for, twice."""
    words = [str(word) for word in argv(folder)]
    old, new = "Passphrase of the CA's key: ", "New passphrase of the CA's key"
    wrong = at_terminal(words, (old, "no\n"))
    assert (wrong.code, "does not open" in wrong.screen) == (6, True)
    asked = ((f"{new}: ", "new horse\n"), (f"{new} again: ", "new horse\n"))
    done = at_terminal(words, (old, "old horse\n"), *asked)
    assert done.code == 0, done.screen
    assert "horse" not in done.screen
    assert opened_by(folder, "new horse")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs another user's files")
def test_files_of_another_user(cipsec: Cipsec, folder: CaFolder, secrets: Path) -> None:
    """Root would take the keys from the user that serves; the hint says how to do it right."""
    for file in folder.key_files():
        os.chown(file, 4711, 4711)
    words = ("--passphrase-file", secrets / "old", "--new-passphrase-file", secrets / "new")
    ran = cipsec(*argv(folder, *words))
    assert ran.code == 6
    hint = f"sudo -u '#4711' cipsec ca passphrase --ca-dir {folder.path}"
    assert ran.err.splitlines()[-1] == f"cipsec: hint: {hint}"
    assert opened_by(folder, "old horse")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs another user's files")
def test_a_former_key_of_another_user(cipsec: Cipsec, folder: CaFolder, secrets: Path) -> None:
    """The hint names the CA's folder, not that of the key, and in a form that can be typed."""
    moved = CaFolder(folder.path.with_name("line 4"))
    folder.path.rename(moved.path)
    with closing(moved.store()) as database:
        step = Step(moved, database, "operator", times.now())
        life = timedelta(days=9000)
        rollover.prepare(step, "old horse", key_type=keys.KeyType.EC_P256, validity=life)
    os.chown(moved.successor.key_file, 4711, 4711)
    ran = cipsec(*argv(moved, "--passphrase-file", secrets / "old", "--no-passphrase"))
    assert ran.code == 6
    assert ran.err.endswith(f" cipsec ca passphrase --ca-dir '{moved.path}'\n")


def test_while_the_server_runs(folder: CaFolder, secrets: Path) -> None:
    """It goes on with the keys it has; the next start needs the new passphrase."""
    programs.need("curl")
    old, new = (str(secrets / name) for name in ("old", "new"))
    with serving.serving(folder.path, "--passphrase-file", old) as running:
        words = ("--passphrase-file", old, "--new-passphrase-file", new)
        changed = serving.cipsec(*map(str, argv(folder, *words)))
        assert changed.returncode == 0
        assert (
            b"warning: the server that runs cannot open a next key that is made from"
            in changed.stderr
        )
        answer = programs.run("curl", "-sSf", "--cacert", running.anchor, f"{running.url}/cacerts")
        assert answer.returncode == 0, answer
    refused = serving.cipsec("ca", "serve", "--ca-dir", folder.path, "--passphrase-file", old)
    assert (refused.returncode, b"does not open" in refused.stderr) == (6, True)
    with serving.serving(folder.path, "--passphrase-file", new):
        pass


def test_doctor_sees_a_change_that_was_cut_off(
    cipsec: Cipsec, folder: CaFolder, secrets: Path
) -> None:
    """A key that opens with two passphrases is a warning until the server starts, or a change."""
    second = ca.make(secrets / "other", passphrase="new horse").key_file.read_bytes()
    file = folder.provisioning_key_file
    file.write_bytes(file.read_bytes() + second)
    found = cipsec("doctor", "--ca-dir", folder.path, "--json").json["checks"]
    [warned] = [one for one in found if one["check"] == "provisioning issuer" and one["hint"]]
    assert warned["verdict"] == "warn"
    assert warned["hint"].startswith("cipsec ca passphrase")
    assert "two passphrases" in warned["detail"]
