"""`cipsec ca rollover` of an intermediate CA: its request, the certificate, what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from cipsec import times
from cipsec.ca_folder import CaFolder, fingerprint
from tests.rollover import below
from tests.support import upper
from tests.support.upper import Ca

from .conftest import Cipsec
from .test_ca_rollover import _issue

_TAKE_IN = "cipsec ca init --intermediate --certificate FILE --chain FILE"


@pytest.fixture
def root() -> Ca:
    """The company's root."""
    return upper.root()


@pytest.fixture
def folder(tmp_path: Path, root: Ca, monkeypatch: pytest.MonkeyPatch) -> CaFolder:
    """The CA "Line 4" below it, named in the environment."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "ca"))
    return below.make(tmp_path / "ca", root, policy="lab")


def test_the_way(cipsec: Cipsec, folder: CaFolder, root: Ca, tmp_path: Path) -> None:
    """Asked for, taken in by the command of the beginning, activated; each said and shown."""
    old = fingerprint(folder.certificate())
    asked = cipsec("ca", "rollover", "-o", tmp_path / "next.csr", "--json")
    assert asked.code == 0
    shown = asked.json["ca"]
    request = str(folder.successor.request_file)
    assert (shown["sha256"], shown["rollover"], shown["next"]) == (old, "waiting", None)
    assert shown["next_csr"] == request
    assert (tmp_path / "next.csr").read_bytes() == folder.successor.request_file.read_bytes()
    assert f"have {request} signed" in asked.err
    assert asked.err.splitlines()[-1] == f"cipsec: then: {_TAKE_IN}"
    assert "rollover       waiting" in cipsec("ca", "show").out
    assert cipsec("ca", "show", "--json").json["ca"].items() >= shown.items()

    new = root.answer(folder.successor.request_file)
    given = upper.write(tmp_path / "next.pem", new)
    taken = cipsec("ca", "init", "--intermediate", "--certificate", given, "--json")
    assert taken.code == 0, taken.err
    shown = taken.json["ca"]
    assert (shown["sha256"], shown["rollover"]) == (old, "prepared")
    assert shown["next"]["sha256"] == fingerprint(new)
    assert (shown["next_csr"], "warning" in taken.err) == (None, False)
    assert "cipsec: next: cipsec ca rollover --activate" in taken.err.splitlines()[-1]

    done = cipsec("ca", "rollover", "--activate", "--json")
    assert done.code == 0, done.err
    assert "the next intermediate issues from now on" in done.err
    assert done.json["ca"]["sha256"] == fingerprint(new)
    assert [one["sha256"] for one in done.json["ca"]["previous"]] == [old]
    log = cipsec("ca", "log").out
    for event in ("rollover-requested", "rollover-prepared", "rollover-activated"):
        assert log.count(event) == 1


def test_who_trusts_the_root_need_not_know(
    cipsec: Cipsec, folder: CaFolder, root: Ca, tmp_path: Path
) -> None:
    """Nobody is asked about certificates in force, unless it is another root's."""
    _issue(folder)
    other = upper.root("CN=New Root")
    for upper_ca, code in ((other, 2), (root, 0)):
        cipsec("ca", "rollover")
        new = upper_ca.answer(folder.successor.request_file)
        given = upper.write(tmp_path / "next.pem", new, upper_ca.certificate)
        taken = cipsec("ca", "init", "--intermediate", "--certificate", given)
        assert taken.code == 0
        assert ("below another root, CN=New Root" in taken.err) is (code == 2)
        ran = cipsec("ca", "rollover", "--activate")
        assert (ran.code, "it is below another root" in ran.err) == (code, code == 2)
        if code:
            assert cipsec("ca", "rollover", "--cancel", "-y").code == 0


def test_on_stdout(cipsec: Cipsec, folder: CaFolder) -> None:
    """-o - prints the request and nothing else."""
    ran = cipsec("ca", "rollover", "-o", "-")
    assert ran.code == 0
    assert ran.out.encode() == folder.successor.request_file.read_bytes()
    assert cipsec("ca", "rollover", "--cancel", "-y").code == 0
    assert cipsec("ca", "rollover", "-o", "-", "--json").json["ca"]["rollover"] == "waiting"


def test_dry_run(cipsec: Cipsec, folder: CaFolder) -> None:
    """It says what would be made, and makes nothing."""
    ran = cipsec("ca", "rollover", "-n", "--key-type", "ec-p384")
    assert (ran.code, ran.out) == (0, "")
    assert "would make the next key, of the type ec-p384, and the request" in ran.err
    assert not folder.successor.path.exists()


def test_another_type(cipsec: Cipsec, folder: CaFolder) -> None:
    """As the present one, or as wanted."""
    for more, kind in (([], "ec-p256"), (["--key-type", "rsa-2048"], "rsa-2048")):
        cipsec("ca", "rollover", *more)
        found = cipsec("csr", "show", folder.successor.request_file, "--json").json["csr"]
        assert found["key_type"] == kind
        assert cipsec("ca", "rollover", "--cancel", "-y").code == 0


def test_refused(cipsec: Cipsec, folder: CaFolder, root: Ca, tmp_path: Path) -> None:
    """One line, a hint, the exit code, and a folder as it was."""
    taken = tmp_path / "taken.csr"
    taken.write_text("x")
    waiting = "the next key waits for its certificate"
    cases: list[tuple[list[object], int, str]] = [
        (["--days", "900"], 2, "the CA above says how long"),
        (["--key", "pkcs11:token=plant;object=x?module-path=/x.so"], 2, "is in a file"),
        (["-o", taken], 6, "exists"),
        (["--activate", "-o", "x"], 2, "so are --key and -o"),
        (["--activate"], 3, "no roll-over is prepared"),
    ]
    for more, code, said in cases:
        ran = cipsec("ca", "rollover", *more)
        assert (ran.code, ran.out, said in ran.err) == (code, "", True), ran.err
        assert "cipsec: hint: " in ran.err
        assert not folder.successor.path.exists()
    cipsec("ca", "rollover")
    before = folder.successor.request_file.read_bytes()
    for words in (["-q"], ["-n"], ["--activate"], ["--activate", "-n"]):
        ran = cipsec("ca", "rollover", *words)
        assert (ran.code, waiting in ran.err) == (6, True), ran.err
        assert _TAKE_IN in ran.err
    strange = upper.write(tmp_path / "strange.pem", root.below("CN=Line 4").certificate)
    ran = cipsec("ca", "init", "--intermediate", "--certificate", strange)
    assert (ran.code, "it is for another key" in ran.err) == (6, True)
    assert folder.successor.request_file.read_bytes() == before


def test_a_root_makes_no_request(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """-o has no effect there, and is refused."""
    ran = on_ca("ca", "rollover", "-o", "x.csr")
    assert (ran.code, "a root signs its own certificate" in ran.err) == (2, True)
    assert not ca_folder.successor.path.exists()


def test_doctor(cipsec: Cipsec, folder: CaFolder, root: Ca) -> None:
    """What waits, is prepared, stays of the old one is told; late in its life what to type."""

    def said() -> list[tuple[str, str, str | None]]:
        checks = cipsec("doctor", "--json", "--ca-dir", folder.path).json["checks"]
        return [
            (c["verdict"], c["detail"], c["hint"])
            for c in checks
            if c["check"] in ("ca rollover", "ca key")
        ]

    [due] = [one[2] for one in said() if one[0] == "warn"]  # 400 days are left
    assert str(due).startswith("cipsec ca rollover --ca-dir ")
    cipsec("ca", "rollover")
    found = said()
    assert ("ok", "ca.key is the key of ca.csr", None) in [(*one[:2], None) for one in found]
    assert any(
        "waits for its certificate" in one[1] and str(one[2]).startswith(_TAKE_IN) for one in found
    )
    new = root.answer(folder.successor.request_file)
    given = upper.write(folder.path.parent / "next.pem", new)
    cipsec("ca", "init", "--intermediate", "--certificate", given)
    assert any("the next intermediate is handed out since" in one[1] for one in said())
    cipsec("ca", "rollover", "--activate")
    assert any("the former intermediate" in one[1] for one in said())
    assert all(one[0] == "ok" for one in said())
    assert new.not_valid_after_utc > times.now()
    assert isinstance(new, x509.Certificate)


def test_a_backup_has_what_waits(cipsec: Cipsec, folder: CaFolder, tmp_path: Path) -> None:
    """The next key and its request come back, and the roll-over goes on there."""
    cipsec("ca", "rollover")
    (tmp_path / "secret").write_text("correct horse battery")
    secret = ("--passphrase-file", tmp_path / "secret")
    assert cipsec("ca", "backup", tmp_path / "one.backup", *secret).code == 0
    again = CaFolder(tmp_path / "again")
    ran = cipsec("ca", "restore", tmp_path / "one.backup", *secret, "--ca-dir", again.path)
    assert ran.code == 0, ran.err
    assert again.successor.is_waiting()
    assert again.successor.key_file.read_bytes() == folder.successor.key_file.read_bytes()
