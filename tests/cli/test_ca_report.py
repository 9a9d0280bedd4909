"""`cipsec ca report`: forms, files, signature; and what is refused before anything is signed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.report import as_csv, as_json, contents
from cipsec.store.database import Database
from tests.ra.harmless import HOSTILE, check
from tests.report import plant
from tests.report.test_signing import verified
from tests.support import ca

from .conftest import Cipsec

_KEYS = [
    *("schema", "made_at", "cipsec", "ca", "chain_head", "policy", "expiring_within", "counts"),
    *("certificates", "expiring", "requests", "revoked", "credentials", "users"),
]


def test_json(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every table, also when there is nothing in it; --json says the same."""
    empty = on_ca("ca", "report").json["report"]
    assert list(empty) == _KEYS
    assert empty["certificates"] == []
    plant.fill(ca_folder)
    ran = on_ca("ca", "report", "--json")
    assert (ran.code, ran.err) == (0, "")
    report = ran.json["report"]
    assert list(report) == _KEYS
    assert [row["serial"] for row in report["certificates"]] == ["01a1", "01a2"]
    assert (
        report["policy"]["sha256"] == hashlib.sha256(ca_folder.config_file.read_bytes()).hexdigest()
    )
    assert report["ca"]["sha256"] == on_ca("ca", "show", "--json").json["ca"]["sha256"]


@pytest.mark.parametrize(
    ("table", "first"),
    [
        (None, "device"),
        ("certificates", "device"),
        ("expiring", "device"),
        ("requests", "id"),
        ("revoked", "device"),
        ("credentials", "name"),
        ("users", "name"),
    ],
)
def test_csv(on_ca: Cipsec, ca_folder: CaFolder, table: str | None, first: str) -> None:
    """One table; the inventory if none is named."""
    plant.fill(ca_folder)
    ran = on_ca("ca", "report", "--format", "csv", *(["--table", table] if table else []))
    rows = list(csv.DictReader(io.StringIO(ran.out, newline="")))
    report = on_ca("ca", "report", "--json").json["report"]
    assert next(iter(rows[0])) == first
    assert len(rows) == len(report[table or "certificates"])


def test_html_to_a_file(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """The form by the name; what was written, on stdout; nobody else can read it."""
    plant.fill(ca_folder)
    path = tmp_path / "june.html"
    shown = on_ca("ca", "report", "-o", path, "--json").json["report"]
    assert shown == {
        "file": str(path),
        "format": "html",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "chain_head": f"0:{'0' * 64}",
        "signature": None,
        "signer": None,
    }
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_signed(cipsec: Cipsec, tmp_path: Path, passphrase: str | None) -> None:
    """openssl verifies it as the command says; it is on record; nothing is overwritten unasked."""
    folder = ca.make(tmp_path / "ca", passphrase=passphrase)
    word = tmp_path / "word"
    word.write_text(passphrase or "")
    path = tmp_path / "line 4.json"
    argv = ["ca", "report", "--ca-dir", folder.path, "-o", path, "--sign"]
    argv += ["--passphrase-file", word] if passphrase else []
    ran = cipsec(*argv, "--json")
    assert ran.code == 0
    assert "-in 'line 4.json.p7s' -content 'line 4.json' -CAfile ca.pem" in ran.err
    shown = ran.json["report"]
    signature = Path(shown["signature"]).read_bytes()
    assert verified(tmp_path, folder.certificate_file, signature, path.read_bytes())
    [event] = cipsec("ca", "log", "--json", "--ca-dir", folder.path).json["events"]
    assert (event["event"], event["serial"]) == ("report-signed", shown["signer"])
    assert shown["sha256"] in event["reason"]
    again = cipsec(*argv)
    assert (again.code, again.out) == (6, "")
    path.unlink()
    assert cipsec(*argv).code == 6, "the signature is there"
    assert len(cipsec("ca", "log", "--json", "--ca-dir", folder.path).json["events"]) == 1
    assert cipsec(*argv, "-f").code == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--format", "pdf"], "choose json, csv, html"),
        (["--format", "csv", "--table", "events"], "choose certificates"),
        (["--format", "html", "--table", "users"], "add --format csv"),
        (["--sign"], "add -o FILE"),
        (["--json", "--format", "html"], "add -o FILE"),
        (["--expiring", "soon"], "write 90s"),
    ],
)
def test_wrong_usage(on_ca: Cipsec, argv: list[str], said: str) -> None:
    """Exit code 2, and what to type."""
    ran = on_ca("ca", "report", *argv)
    assert ran.code == 2
    assert said in ran.err


def test_what_cannot_be_written(on_ca: Cipsec, tmp_path: Path) -> None:
    """Nothing is left behind, and nothing is signed."""
    for path in (tmp_path / "no" / "r.html", tmp_path):
        ran = on_ca("ca", "report", "-o", path, "--sign", "-f")
        assert ran.code == 6, ran
    assert not list(tmp_path.glob("*.p7s"))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_wrong_passphrase(cipsec: Cipsec, tmp_path: Path) -> None:
    """Exit code 6, no file."""
    folder = ca.make(tmp_path / "ca", passphrase="right")
    (tmp_path / "word").write_text("wrong")
    ran = cipsec("ca", "report", "--ca-dir", folder.path, "-o", tmp_path / "r.json", "--sign",
                 "--passphrase-file", tmp_path / "word")  # fmt: skip
    assert ran.code == 6
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(on_ca: Cipsec, ca_folder: CaFolder, name: str) -> None:
    """In every form."""
    plant.fill(ca_folder, HOSTILE[name])
    json.loads(on_ca("ca", "report").out)
    ran = on_ca("ca", "report", "--format", "csv")
    check(type(ran)(ran.code, ran.out.replace("\r\n", "\n"), ran.err), 0)  # type: ignore[arg-type]  # alike


@pytest.mark.parametrize("argv", [["--format", "html"], ["--json"]])
def test_no_room_for_a_temporary_file(
    on_ca: Cipsec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argv: list[str]
) -> None:
    """A read-only /tmp is said, and where else the report can go to; as JSON one object."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    ran = on_ca("ca", "report", *argv)
    assert ran.code == 6
    assert ran.err.startswith("cipsec: error: no temporary file can be written: ")
    assert "-o FILE" in ran.err
    assert "--json" not in argv or ran.json["error"]["kind"] == "local_state"
    assert on_ca("ca", "report", "-o", tmp_path / "report.html").code == 0


def _many(database: Database, count: int) -> None:
    """Make many certificates of one."""
    columns = [row[1] for row in database.connection().execute("PRAGMA table_info(certificates)")]
    others = ", ".join(columns).replace("serial", "printf('%032x', value)", 1)
    database.write(
        lambda db: db.execute(
            f"INSERT INTO certificates ({', '.join(columns)}) SELECT {others} FROM"
            " (SELECT * FROM certificates LIMIT 1), (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL"
            f" SELECT value + 1 FROM n LIMIT {count}) SELECT value FROM n)"
        )
    )


def _peak(folder: CaFolder, database: Database, form: str) -> tuple[int, int]:
    """Return how large a report is, and how much memory it took at most."""
    tracemalloc.start()
    with database.snapshot() as db:
        made = contents.report(folder, db, now=plant.NOW, soon=plant.SOON)
        pieces = as_json.pieces(made) if form == "json" else as_csv.pieces(made.tables[0])
        size = sum(map(len, pieces))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size, peak


@pytest.mark.parametrize("form", ["json", "csv"])
def test_memory_is_bounded(ca_folder: CaFolder, form: str) -> None:
    """A row at a time: many certificates need hardly more than few."""
    plant.fill(ca_folder)
    with closing(ca_folder.store()) as database:
        for _ in range(2):  # at first, modules are loaded
            _, few = _peak(ca_folder, database, form)
        _many(database, 20_000)
        size, many = _peak(ca_folder, database, form)
    assert size > 4_000_000
    assert many - few < 1_000_000


def test_a_report_is_of_one_moment(ca_folder: CaFolder) -> None:
    """What is recorded while it is written is not in it."""
    plant.fill(ca_folder)
    with closing(ca_folder.store()) as database, closing(ca_folder.store()) as other:
        with database.snapshot() as db:
            made = contents.report(ca_folder, db, now=plant.NOW, soon=plant.SOON)
            plant.certificate(other, "01f1")
            assert len(list(made.tables[0].rows())) == 2
        with database.snapshot() as db:
            made = contents.report(ca_folder, db, now=plant.NOW, soon=plant.SOON)
            assert len(list(made.tables[0].rows())) == 3
