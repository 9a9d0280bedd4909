"""docs/service.md: systemd takes its unit, and its command lines make a CA and serve it."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from cipsec._cli import exits
from cipsec._cli.main import main
from tests.support import programs

from .reading import sections

DOCUMENT = Path(__file__).parents[2] / "docs" / "service.md"
_CIPSEC, _FOLDER = "/usr/local/bin/cipsec", "/srv/cipsec/line-4"
_SECRET = "${CREDENTIALS_DIRECTORY}/passphrase"


def _blocks(language: str) -> list[str]:
    return [block.text for section in sections(DOCUMENT) for block in section.of(language)]


def _unit() -> str:
    [unit] = _blocks("ini")
    assert unit.startswith("# /etc/systemd/system/cipsec-ca.service\n")
    return unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_unit(tmp_path: Path) -> None:
    """systemd understands every line of it; nothing is misspelt or in the wrong section."""
    place = tmp_path / "cipsec-ca.service"
    place.write_text(_unit().replace(_CIPSEC, sys.executable))
    done = programs.run("systemd-analyze", "verify", place)
    assert (done.returncode, done.stderr) == (0, b"")
    place.write_text(place.read_text().replace("UMask=", "UMaks="))
    assert b"UMaks" in programs.run("systemd-analyze", "verify", place).stderr


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is made and served as it is said there, under the passphrase of the file."""
    folder, secret = tmp_path / "line-4", tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    [init] = re.findall(r"^sudo -u cipsec cipsec (ca init .*)$", "\n".join(_blocks("sh")), re.M)
    [serve] = re.findall(rf"^ExecStart={_CIPSEC} ((?:.*\\\n)+.*)", _unit(), re.M)
    there = {_FOLDER: str(folder), _SECRET: str(secret)}

    def run(line: str, *more: str) -> int:
        words = shlex.split(line.replace("\\\n", " "))
        return main([*(there.get(word, word) for word in words), *more])

    assert run(init, "--passphrase-file", str(secret)) == exits.OK
    here = ["--listen", "127.0.0.1:0", "--no-announce", "--for", "0s"]
    assert run(serve, *here) == exits.OK
    assert "serving https://127.0.0.1:" in capsys.readouterr().err


def test_what_administrators_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command is one: where there is no CA, the exit code says so."""
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "none"))
    typed = re.findall(r"^sudo -u cipsec cipsec (?!ca init)(.*)$", "\n".join(_blocks("sh")), re.M)
    assert [main(shlex.split(line)) for line in typed] == [exits.NOT_FOUND] * 2
