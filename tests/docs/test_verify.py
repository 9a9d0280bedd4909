"""The tables of checks in docs/verify.md: every check there is, under its own name."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec._cli.main import main
from cipsec.pki import cip, keys, names, rfc5280
from tests.support import vendor

from .reading import sections

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "verify.md"
_USE = ("verify", "usable", "revoked")  # of pki, where findings on the use of certificates are made


def _told(title: str) -> list[str]:
    """Return the checks in the table below one heading."""
    [rows] = [section.rows for section in sections(DOCUMENT) if section.title == title]
    return [row[0].strip("`") for row in rows]


def test_the_profiles() -> None:
    """As the code has them, in its order."""
    assert _told("The profile `rfc5280`") == list(rfc5280.CHECKS)
    assert _told("The profile `cip`") == list(cip.CHECKS)


def _made(module: Path) -> set[str]:
    """Return the first argument of each Finding that a module makes."""
    tree = ast.parse(module.read_text())
    names = {
        target.id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"
    ]
    return {
        str(names[one.id] if isinstance(one, ast.Name) else ast.literal_eval(one)) for one in calls
    }


def test_the_certificate_in_use() -> None:
    """Whatever a finding is called, the table has it, and nothing else."""
    modules = [ROOT / "cipsec" / "pki" / f"{name}.py" for name in _USE]
    modules.append(ROOT / "cipsec" / "_cli" / "cert_judged.py")
    made = set[str]().union(*map(_made, modules))
    assert set(_told("The certificate in use")) == made


@pytest.mark.parametrize("option", re.findall(r"--[a-z]+", DOCUMENT.read_text()))
def test_the_options(option: str) -> None:
    """Each that is named is one of the command."""
    source = (ROOT / "cipsec" / "_cli" / "cert_verify.py").read_text()
    named = {*re.findall(r'"(--[a-z]+)"', source), "--intermediates", "--purpose", "--profile"}
    assert option in {*named, "--json"}


_COMMANDS = [
    line.removeprefix("$ cipsec ")
    for section in sections(DOCUMENT)
    for block in section.of("console")
    for line in block.lines
]


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_examples(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They find nothing against a certificate that is right."""
    monkeypatch.chdir(tmp_path)
    root = vendor.ca("Line 4")
    san = x509.SubjectAlternativeName([names.host_name("192.168.1.7")])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    extensions = [(san, False), (x509.ExtendedKeyUsage(usages), False)]
    drive = vendor.device(root, extensions=extensions)
    Path("ca.pem").write_bytes(root.pem)
    Path("ca.crl").write_bytes(vendor.crl(root))
    Path("drive-7.key").write_bytes(keys.to_pem(drive.key))
    Path("certificates").mkdir()
    for folder in (".", "certificates"):
        Path(folder, "drive-7.pem").write_bytes(drive.pem)
    assert main(shlex.split(command)) == 0
