"""The JSON of every command: its key, and in it every field, written out here and not in the code.

Runbooks depend on these names: fields may be added, none is renamed and none is left out.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from cipsec._cli.main import main, root
from cipsec.ca_folder import CaFolder
from tests.support import administrator, ca, vendor

from .conftest import Cipsec, Ran

CA = "directory subject sha256 not_after"
CRL = "number entries this_update next_update sha256"
CREDENTIAL = "name serial uses used not_after status"
CERTIFICATE = "serial subject device not_before not_after status reason rule sha256"  # of `ca list`
SHOWN = "subject issuer serial sha256 not_before not_after"  # of `cert show`
ENTRY = "device name until uses note list line"
DECISION = "id outcome changed reason"
FINDING = "check verdict detail"
REVOKED = "serial subject device reason revoked_at revoked_by changed"
REQUEST = (
    "id state subject device mac proved claimed address first_seen last_seen polls spki_sha256"
    " rule reason replaces note"
)
BACKUP = "file made_at subject ca_sha256 certificates"
USER = "name until uses used labels status"
VENDOR = "name subject sha256 not_after vendor_ids"
CHANNEL = "name type target"


@dataclass(frozen=True, slots=True)
class Row:
    """A command, its key and the fields of what stands under it, or of each of those."""

    words: str
    key: str
    fields: str
    code: int | None = 0


ROWS = [
    Row("csr create --key {tmp}/new.key", "csr", "subject key_type pem"),
    Row("csr show {csr}", "csr", "subject key_type device mac san"),
    Row("csr verify {csr}", "findings", FINDING),
    Row("cert show {certificate}", "certificates", SHOWN),
    Row("cert verify {certificate} --trust {ca}/ca.pem", "findings", FINDING),
    Row("cert verify {certificate} --trust {certificate} --name x", "findings", FINDING, 10),
    Row("ca init --name New --no-passphrase --ca-dir {tmp}/new", "ca", CA),
    Row("ca pending", "requests", REQUEST),
    Row("ca pending --state all", "requests", REQUEST),
    Row("ca show", "ca", CA),
    Row("ca show {pending}", "request", REQUEST),
    Row("ca show {serial}", "certificate", CERTIFICATE),
    Row("ca approve {pending}", "decisions", DECISION),
    Row("ca approve -n {waiting}", "decisions", DECISION),
    Row("ca approve --match Cabinet --expect 1 -y", "decisions", DECISION),
    Row("ca reject {rejected} --note no", "decisions", DECISION),
    Row("ca issue {csr}", "certificate", CERTIFICATE),
    Row("ca issue {csr} -n", "certificate", CERTIFICATE),
    Row("ca issue {csr} -o {tmp}/issued.pem", "certificate", CERTIFICATE),
    Row("ca provision card-2 -o {tmp}/card-2", "credential", CREDENTIAL),
    Row("ca credentials", "credentials", CREDENTIAL),
    Row("ca list", "certificates", CERTIFICATE),
    Row("ca revoke {serial} -n", "revoked", REVOKED),
    Row("ca revoke {revocable} -y", "revoked", REVOKED),
    Row("ca revoke --credential card-1 -y", "revoked", REVOKED),
    Row("ca crl", "crl", CRL),
    Row("ca crl -o {tmp}/list.crl", "crl", CRL),
    Row("ca log", "events", "number at event actor serial subject device rule reason"),
    Row("ca log verify", "log", "intact events head findings"),
    Row("ca report", "report", "made_at ca policy certificates requests revoked expiring"),
    Row("ca report -o {tmp}/report.html", "report", "file format sha256"),
    Row("ca handover", "handover", "made_at since ca waiting events expiring"),
    Row("ca rollover -n", "ca", CA),
    Row("ca backup {tmp}/new.backup --passphrase-file {password}", "backup", BACKUP),
    Row("ca restore {backup} -n --passphrase-file {password}", "backup", BACKUP),
    Row("ca restore {backup} --passphrase-file {password} --ca-dir {tmp}/there", "backup", BACKUP),
    Row(
        "ca passphrase --new-passphrase-file {password} --ca-dir {other}",
        "ca",
        "directory key_encrypted",
    ),
    Row("policy show", "rules", "name when then shadowed_by"),
    Row("policy check {csr}", "decision", "outcome rule reason trace", 11),
    Row("policy check {csr} --user alice", "decision", "outcome rule reason trace"),
    Row("policy check {csr} --user nobody", "decision", "outcome rule reason trace", 12),
    Row("allowlist list", "entries", ENTRY),
    Row("allowlist add 0001:00000002", "entries", ENTRY),
    Row("allowlist add 0001:00000003 -n", "entries", ENTRY),
    Row("allowlist remove 0001:6040C8F3", "entries", ENTRY),
    Row("allowlist check 0001:6040C8F2", "entries", ENTRY),
    Row("allowlist import {csv} --list line-4", "entries", ENTRY),
    Row("allowlist export", "entries", ENTRY),
    Row("user list", "users", USER),
    Row("user add bob --password-file {password}", "users", USER),
    Row("user set-password alice --password-file {password}", "users", USER),
    Row("user check alice --password-file {password}", "users", USER),
    Row("user remove carol -y", "users", USER),
    Row("vendor list", "vendors", VENDOR),
    Row("vendor add {anchor} --name other -y", "vendors", VENDOR),
    Row("vendor remove acme -y", "vendors", VENDOR),
    Row("notify list", "channels", CHANNEL),
    Row("notify test", "channels", CHANNEL),
    Row("doctor", "checks", "check verdict detail hint", None),  # this machine's
]
EMPTY = {
    "ca pending": "requests",
    "ca credentials": "credentials",
    "ca log": "events",
    "ca list": "certificates",
    "allowlist list": "entries",
    "allowlist check": "entries",
    "allowlist export": "entries",
    "user list": "users",
    "vendor list": "vendors",
    "notify list": "channels",
    "notify test": "channels",
}
# Whose fields are compared beside what they need: a server, a card, a network, a terminal.
ELSEWHERE = {
    "discover": "test_discover.py",
    "enroll": "endpoint/test_enroll.py",
    "renew": "endpoint/test_enroll.py",
    "status": "endpoint/test_enroll.py",
    **{
        f"smartcard {verb}": "smartcard/test_show.py"
        for verb in ["list", "show", "generate", "import", "change-pin", "unblock", "reset"]
    },
    "ca serve": "../serve/test_process.py",
    "ca watch": "watch/test_terminal.py",  # has none
    "demo": "../readme/test_demo.py",  # has none
    "completion": "test_completion.py",  # the script itself
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """A CA with one of everything, and what the rows name of it."""
    tmp = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as patch:
        administrator.be(patch, "operator")
        folder = ca.make(tmp / "ca")
        patch.setenv("CIPSEC_CA_DIR", str(folder.path))
        yield {"tmp": tmp, "ca": folder.path, **_files(tmp), **_furnished(folder, tmp)}


def _files(tmp: Path) -> dict[str, object]:
    acme, other = vendor.make(), vendor.make("Other")
    (tmp / "acme.pem").write_bytes(acme.root.pem)
    (tmp / "other.pem").write_bytes(other.root.pem)
    (tmp / "password").write_text("battery staple\n")
    (tmp / "list.csv").write_text("device,name\n0001:00000009,Drive 9\n")
    asked = ca.write_pem(tmp / "x.csr", ca.request("CN=Drive 9"))
    return {
        "csr": asked,
        "csv": tmp / "list.csv",
        "password": tmp / "password",
        "anchor": tmp / "other.pem",
        "other": ca.make(tmp / "other").path,
    }


def _furnished(folder: CaFolder, tmp: Path) -> dict[str, object]:
    """Have one of everything on record."""
    serials = [_granted(folder, f"CN=Drive {number}") for number in (7, 8)]
    with (folder.path / "ca.toml").open("a", encoding="utf-8") as config:
        config.write('\n[[channel]]\nname = "log"\ntype = "file"\npath = "events.jsonl"\n')
    _made("vendor", "add", tmp / "acme.pem", "--name", "acme", "-y")
    for user in ("alice", "carol"):
        _made("user", "add", user, "--password-file", tmp / "password")
    _made("allowlist", "add", "0001:6040C8F2", "0001:6040C8F3", "--name", "Drive 7")
    _made("ca", "provision", "card-1", "-o", tmp / "card-1")
    _made("ca", "backup", tmp / "old.backup", "--passphrase-file", tmp / "password")
    certificate = tmp / "certificate.pem"
    certificate.write_text(_made("ca", "show", serials[0], "--json")["certificate"]["pem"])
    names = ("pending", "waiting", "rejected")
    ids = {name: ca.ask(folder, ca.request(f"CN=Press {name}")) for name in names}
    ca.ask(folder, ca.request("CN=Cabinet"))
    return {
        "certificate": certificate,
        "serial": serials[0],
        "revocable": serials[1],
        "backup": tmp / "old.backup",
        **ids,
    }


def _granted(folder: CaFolder, subject: str) -> str:
    asked = ca.request(subject)
    _made("ca", "approve", ca.ask(folder, asked))
    ca.receive(folder, asked)
    found = _made("ca", "list", "--json", "--match", subject)["certificates"]
    return str(found[0]["serial"])


def _made(*words: object) -> Any:
    """Run a command that must succeed; return its JSON, if it was asked for."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main([*map(str, words)]) == 0, words
    return json.loads(out.getvalue()) if "--json" in words else None


@pytest.fixture
def ran(plant: dict[str, object], monkeypatch: pytest.MonkeyPatch, cipsec: Cipsec) -> Any:
    """Run the command of a row on that CA, without an identity at hand."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(plant["ca"]))
    monkeypatch.setenv("XDG_DATA_HOME", str(plant["tmp"]))
    monkeypatch.delenv("CIPSEC_IDENTITY", raising=False)

    def run(words: str) -> Ran:
        return cipsec(*(word.format(**plant) for word in words.split()), "--json")

    return run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_every_field_is_there(row: Row, ran: Any) -> None:
    """One object with the command's key, and in it every field, also those that are empty."""
    done = ran(row.words)
    assert row.code in (None, done.code), done
    found = done.json[row.key]
    records = found if isinstance(found, list) else [found]
    assert records, "nothing is there to be compared"
    for record in records:
        assert set(row.fields.split()) <= set(record)
    _check_form(done.json)


@pytest.mark.parametrize(("words", "key"), EMPTY.items())
def test_an_empty_list_has_its_key(words: str, key: str, on_ca: Cipsec) -> None:
    """On a new CA."""
    done = on_ca(*words.split(), "--json")
    assert (done.code, done.json) == (0, {key: []})


def test_no_command_is_left_out() -> None:
    """Whoever adds a command adds its fields, here or beside its own tests."""
    ours = [f"{row.words} " for row in ROWS]
    for name in _commands(root(), ""):
        assert name in ELSEWHERE or any(one.startswith(f"{name} ") for one in ours), name
    for name, file in ELSEWHERE.items():
        assert (Path(__file__).parent / file).exists(), name


def _commands(group: Any, path: str) -> Iterator[str]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if not isinstance(command, TyperGroup):
            yield f"{path}{name}"
        else:
            if command.invoke_without_command:
                yield f"{path}{name}"
            yield from _commands(command, f"{path}{name} ")


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEX = re.compile(r"[0-9a-f]+")
_TIMES = {"not_before", "not_after", "first_seen", "last_seen", "since", "at", "until"}
_PATHS = {"directory", "file", "key", "published", "output"}


def _check_form(value: Any, name: str = "") -> None:
    """Times end in Z, serials and SHA-256 are bare lower-case hex, paths absolute, names snake."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name != "counts":  # there the names are those of events
                assert re.fullmatch(r"[a-z][a-z0-9_]*", key), key
            _check_form(inner, key)
    elif isinstance(value, list):
        for inner in value:
            _check_form(inner, name)
    elif isinstance(value, str) and value:
        if name in _TIMES or name.endswith(("_at", "_update")):
            assert _TIME.fullmatch(value), (name, value)
        if name in {"serial", "newest_serial"} or name.endswith("sha256"):
            assert _HEX.fullmatch(value), (name, value)
        if name in _PATHS:
            assert Path(value).is_absolute(), (name, value)
