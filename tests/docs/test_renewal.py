"""docs/renewal.md: systemd takes its units, and we take its command lines and settings."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from cipsec._cli import exits
from cipsec._cli.main import main
from cipsec.ra import config, renewals
from tests.support import programs
from tests.support.est import RENEWAL

from .reading import sections

DOCUMENT = Path(__file__).parents[2] / "docs" / "renewal.md"
_SECTIONS = sections(DOCUMENT)
_CIPSEC, _IDENTITY = "/usr/local/bin/cipsec", "/var/lib/cipsec/identity"


def _blocks(language: str) -> list[str]:
    return [block.text for section in _SECTIONS for block in section.of(language)]


def _units() -> dict[str, str]:
    """Return the units by file name, which their first line tells."""
    found = {}
    for text in _blocks("ini"):
        path = text.splitlines()[0].removeprefix("# ")
        assert path.startswith("/etc/systemd/system/")
        found[Path(path).name] = text
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_units(tmp_path: Path) -> None:
    """systemd understands every line of them; nothing is misspelt or in the wrong section."""
    units = _units()
    assert set(units) == {"cipsec-renew.service", "cipsec-renew.timer"}
    for name, text in units.items():
        (tmp_path / name).write_text(text.replace(_CIPSEC, sys.executable))
    done = programs.run("systemd-analyze", "verify", *(tmp_path / name for name in units))
    assert (done.returncode, done.stderr) == (0, b"")
    wrong = tmp_path / "cipsec-renew.service"
    wrong.write_text(wrong.read_text().replace("UMask=", "UMaks="))
    done = programs.run("systemd-analyze", "verify", wrong)
    assert b"UMaks" in done.stderr


def _commands() -> list[list[str]]:
    """Return the words of what systemd, cron and Windows run."""
    [service] = re.findall(r"^ExecStart=((?:.*\\\n)+.*)", _units()["cipsec-renew.service"], re.M)
    [cron] = re.findall(rf"root ({_CIPSEC} .*)", DOCUMENT.read_text())
    [windows] = re.findall(r"-Argument '(.*)'", "".join(_blocks("powershell")))
    renews = re.findall(r"^ *\$ (cipsec renew .*)$", DOCUMENT.read_text(), re.M)
    lines = (service.replace("\\\n", " "), cron, f"cipsec {windows}", *renews)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("words", _commands(), ids=range(len(_commands())))
def test_commands(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option is one; and where there is no identity the exit code is the table's."""
    monkeypatch.setenv("CIPSEC_IDENTITY", str(tmp_path / "identity"))
    hooks = {"--hook": "/bin/true", "--identity": str(tmp_path / "identity")}
    given = [hooks.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    assert main(given) == exits.NOT_FOUND


def test_exit_codes() -> None:
    """Those of the contract that a renewal can end with."""
    rows = next(section.rows for section in _SECTIONS if section.title == "On the endpoint")
    assert [int(row[0]) for row in rows] == [
        exits.OK,
        exits.NOT_FOUND,
        exits.UNREACHABLE,
        exits.UNTRUSTED,
        exits.LOCAL_STATE,
        exits.PENDING,
        exits.REJECTED,
        exits.CREDENTIALS,
    ]


def test_settings() -> None:
    """The table shows every key there is, and loads."""
    [table] = _blocks("toml")
    config.parse(f"{table}\n{RENEWAL}".encode())
    assert set(re.findall(r"^(\w+) =", table, re.M)) == renewals.KEYS
    explained = re.findall(r"^- \*\*`(\w+)`\*\*", DOCUMENT.read_text(), re.M)
    assert set(explained) == renewals.KEYS
