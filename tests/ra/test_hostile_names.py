"""Names that become files or parts of URLs: no trick with paths gets past any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.errors import Malformed, UsageError
from cipsec.ra import config, provisioning
from cipsec.ra.allowlist import place
from cipsec.ra.users import check_name
from cipsec.ra.vendors import load, settings
from tests.support import ca, est, vendor
from tests.support.est import Server

from .harmless import Command, check, check_answer

TRICKS = [
    "../x", "..", ".", "", "a/b", "/etc/passwd", "a\\b", "..\\x", "C:x", ".hidden", "-rf", "--json",
    "x\0", "x\n", "x y", " x", "\x1b[2K", "x\u202ey", "x;y", "$(x)", "`x`", "*", "?", "~",
    "%2e%2e%2fx", "x" * 65, "é",
]  # fmt: skip
each_trick = pytest.mark.parametrize("name", TRICKS, ids=range(len(TRICKS)))
ASK = '[[rule]]\nname = "r"\nthen = "ask"\nwhen = '


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files around a CA folder, but for what SQLite keeps beside its store."""
    root = folder.parent
    found = (path for path in root.rglob("*") if path.is_file() and "sqlite3" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def quoted(text: str) -> str:
    """Return a TOML string of any text."""
    return '"' + "".join(f"\\u{ord(char):04x}" for char in text) + '"'


@each_trick
def test_no_name_is_taken(name: str) -> None:
    """Lists, vendors and provisioning certificates have plain names; users too, and letters."""
    for refuse in (place.check_name, settings.check_name, provisioning.check_name):
        with pytest.raises(UsageError):
            refuse(name)
    if name != "é":
        with pytest.raises(UsageError):
            check_name(name)


@each_trick
def test_not_in_the_rules(name: str) -> None:
    """No rule can name such a list, no server such a label; and none notifies such a channel."""
    for text in (
        f"{ASK}{{ serial = {quoted(name)} }}\n",
        f"{ASK}{{ serial = [{quoted('default')}, {quoted(name)}] }}\n",
        f"[server]\nlabels = [{quoted(name)}]\n{est.ASK}",
        f"{ASK}{{ anyone = true }}\nnotify = [{quoted(name)}]\n",
        f'{est.ASK}[[channel]]\nname = {quoted(name)}\ntype = "file"\npath = "events"\n',
    ):
        with pytest.raises(Malformed):
            config.parse(text.encode())


@each_trick
def test_not_on_the_command_line(name: str, command: Command, server: Server) -> None:
    """Every option that names a file of the CA's folder refuses it, and no file is touched."""
    folder = server.folder.path
    pki = vendor.make()
    root = folder.parent / "root.pem"
    root.write_bytes(pki.root.pem)
    table = folder.parent / "table.csv"
    table.write_text("mac\n00:00:bc:12:34:56\n")
    request = ca.write_pem(folder.parent / "csr", ca.request())
    before = everything(folder)
    device, out = "0001:6040C8F2", folder.parent / "out"
    for argv in (
        ("allowlist", "list", f"--list={name}"),
        ("allowlist", "add", device, f"--list={name}"),
        ("allowlist", "remove", device, f"--list={name}"),
        ("allowlist", "check", f"--list={name}"),
        ("allowlist", "import", table, "--mac-column", "mac", f"--list={name}"),
        ("allowlist", "export", f"--list={name}"),
        ("vendor", "add", root, f"--name={name}", "-y"),
        ("vendor", "remove", "-y", "--", name),
        ("ca", "provision", "-o", out, "--", name),
        ("ca", "revoke", f"--credential={name}", "-y"),
        ("user", "add", "anna", f"--label={name or '/'}", "--generate", "-o", out),
        ("notify", "test", "--", name),
        ("policy", "check", request, f"--label={name or '/'}"),
    ):
        check(command(*argv), 2, 3, 6, 10, 12)
    after = everything(folder)
    assert {path: data for path, data in after.items() if not path.endswith(".lock")} == before


@each_trick
def test_not_in_a_url(name: str, server: Server) -> None:
    """A label that is not configured is not known, whatever it looks like."""
    if name:
        response = server.enroll(ca.request(), label=name)
        check_answer(response)
        assert response.status == 404
        assert server.requests() == []


def test_files_with_such_names_are_not_looked_at(server: Server, command: Command) -> None:
    """What lies in the folders under names that no list or vendor can have decides nothing."""
    folder = server.folder.path
    pki = vendor.make()
    for name in (".hidden", "x y", "é", "-rf", "x;y"):
        (folder / "allowlists" / f"{name}.csv").write_text("device\n0001:6040C8F2\n")
        vendor.install(folder / "vendors", name, pki.root)
    assert place.names(folder / "allowlists") == ["default"]
    assert load.folder(folder / "vendors").vendors == ()
    server.text = '[[rule]]\nname = "v"\nwhen = { vendor = true }\nthen = "grant"\n' + est.ASK
    assert server.enroll(ca.request(), chain=pki.chain).status == 202
    check(command("vendor", "list"), 0, 6)
    check(command("allowlist", "list"), 0)
