"""`cipsec ca rollover`: prepared, activated, called off; what `ca show` and `doctor` say."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.store import certificates
from cipsec.store.certificates import CertificateRow
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec


def test_the_way(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Prepared, shown, activated, shown; --json has the same under `ca`."""
    old = fingerprint(ca_folder.certificate())
    made = on_ca("ca", "rollover", "--json")
    assert made.code == 0
    shown = made.json["ca"]
    assert (shown["sha256"], shown["rollover"], shown["previous"]) == (old, "prepared", [])
    assert list(shown["next"]) == ["sha256", "prepared_at", "not_after"]
    assert on_ca("ca", "show", "--json").json["ca"].items() >= shown.items()
    assert "next           sha256: " in on_ca("ca", "show").out
    done = on_ca("ca", "rollover", "--activate", "--json").json["ca"]
    assert done["sha256"] == shown["next"]["sha256"]
    assert (done["rollover"], done["next"]) == (None, None)
    [former] = done["previous"]
    assert (former["sha256"], former["ended"]) == (old, False)
    said = on_ca("ca", "log").out
    assert said.count("rollover-prepared") == said.count("rollover-activated") == 1
    assert done["sha256"] in said


def test_nothing_to_say(on_ca: Cipsec) -> None:
    """A CA without a roll-over is shown to people as before."""
    shown = on_ca("ca", "show").out
    assert "rollover" not in shown
    assert "previous" not in shown


def test_dry_run(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Each step says what it would do, and does not."""
    before = ca_folder.cacerts(ca_folder.certificate().not_valid_before_utc)
    ran = on_ca("ca", "rollover", "-n", "--key-type", "rsa-2048")
    assert (ran.code, ran.out) == (0, "")
    assert "would make the next root, with a key of the type rsa-2048" in ran.err
    assert ca_folder.cacerts(before[0].not_valid_before_utc) == before
    on_ca("ca", "rollover")
    for step in ("--activate", "--cancel"):
        assert on_ca("ca", "rollover", step, "-n").code == 0
    assert on_ca("ca", "show", "--json").json["ca"]["rollover"] == "prepared"


def _issue(folder: CaFolder) -> None:
    """Put a certificate on record, of some time before any roll-over."""
    row = CertificateRow(
        serial="01" * 16,
        enrollment="",
        kind="endpoint",
        subject="CN=pc",
        device=None,
        mac=None,
        not_before=0,
        not_after=4_000_000_000,
        issued_at=1_000_000_000,
        rule="users",
        reason="",
        proved="",
        der=b"",
    )
    with closing(folder.store()) as database:
        database.write(lambda db: certificates.insert(db, row))


def test_who_does_not_know(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Who has not renewed since is counted; without a yes nothing is done."""
    _issue(ca_folder)
    on_ca("ca", "rollover")
    ran = on_ca("ca", "rollover", "--activate")
    assert ran.code == 2
    assert "1 certificate in force is older than the next root" in ran.err
    assert ran.err.endswith("cipsec: hint: add -y\n")
    assert on_ca("ca", "show", "--json").json["ca"]["rollover"] == "prepared"
    argv = ["ca", "rollover", "--activate", "--ca-dir", str(ca_folder.path)]
    refused = at_terminal(argv, ("Activate the next root now? [y/N] ", "n\n"))
    assert refused.code == 10
    assert "nothing was changed" in refused.screen
    assert on_ca("ca", "rollover", "--activate", "-y").code == 0


def test_cancel(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Asked first; with a yes the next root is gone."""
    on_ca("ca", "rollover")
    assert on_ca("ca", "rollover", "--cancel").code == 2
    ran = on_ca("ca", "rollover", "--cancel", "-y")
    assert ran.code == 0
    assert "destroyed" in ran.err
    assert not ca_folder.successor.path.exists()


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--activate"], 3, "no roll-over is prepared"),
        (["--cancel", "-y"], 3, "no roll-over is prepared"),
        (["--retire"], 3, "no former root has ended"),
        (["--activate", "--cancel"], 2, "one step at a time"),
        (["--activate", "--days", "9"], 2, "--key-type and --days are of the step"),
        (["--days", "9"], 2, "has to last beyond"),
        (["--days", "0"], 2, ""),
        (["--key-type", "dsa"], 2, "is not a key type"),
    ],
)
def test_refused(on_ca: Cipsec, ca_folder: CaFolder, argv: list[str], code: int, said: str) -> None:
    """One line, a hint, the exit code, and a folder as it was."""
    names = sorted(path.name for path in ca_folder.path.iterdir())
    ran = on_ca("ca", "rollover", *argv)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "cipsec: hint: " in ran.err
    left = {path.name for path in ca_folder.path.iterdir()}
    assert left - {"store.sqlite3-wal", "store.sqlite3-shm", "keys.lock"} == set(names)


def test_passphrase(cipsec: Cipsec, tmp_path: Path) -> None:
    """Asked for when the key has one; a wrong one is exit 6; it appears nowhere."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    (tmp_path / "right").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    argv = ["ca", "rollover", "--ca-dir", folder.path, "--days", "9000", "-v"]
    assert cipsec(*argv).code == 2
    wrong = cipsec(*argv, "--passphrase-file", tmp_path / "wrong")
    assert wrong.code == 6
    assert "staple" not in wrong.err
    for more in (["--days", "9000"], ["--activate"]):
        argv = ["ca", "rollover", "--ca-dir", folder.path, *more]
        ran = cipsec(*argv, "--passphrase-file", tmp_path / "right")
        assert ran.code == 0, ran.err
        assert "horse" not in ran.out + ran.err


def test_doctor(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """What is prepared, and what stays of the old, is told; it is no fault."""

    def said() -> list[str]:
        checks = on_ca("doctor", "--json", "--ca-dir", ca_folder.path).json["checks"]
        assert all(c["verdict"] == "ok" for c in checks if c["check"].startswith("ca ")), checks
        return [c["detail"] for c in checks if c["check"] in ("ca rollover", "ca key")]

    assert said() == ["ca.key is the key of ca.pem", "none is due"]
    on_ca("ca", "rollover")
    assert "the next root is handed out since" in said()[-1]
    on_ca("ca", "rollover", "--activate")
    assert "is kept until" in said()[-1]
    assert said().count("ca.key is the key of ca.pem") == 2
