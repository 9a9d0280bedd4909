"""Streams that are closed, full, or without a reader: no traceback, no lost exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cipsec as cipsec_package
from cipsec._cli.ca_serve import _tell_whoever_listens
from cipsec._cli.talk import Talk
from cipsec.store.codes import Code
from cipsec.store.events import Event
from tests.support import der

from .conftest import Cipsec

CIPSEC = f"{sys.executable} -m cipsec"
ROOT = str(Path(cipsec_package.__file__).parents[1])
BUFFERED = [{"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}]


def _shell(
    line: str, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, in which `cipsec` is this one."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; cipsec() {{ {CIPSEC} "$@"; }}; {line}'],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("environment", BUFFERED)
@pytest.mark.parametrize(
    "words", ["--version", "--help", "csr --help", "completion bash", "csr create --key k --json"]
)
def test_a_full_disk_behind_stdout_is_said(
    tmp_path: Path, words: str, environment: dict[str, str]
) -> None:
    """Exit 6: the result is lost, and a script must not take it for there."""
    ran = _shell(f"cipsec {words} > /dev/full", tmp_path, environment)
    assert ran.returncode == 6
    assert ran.stderr.splitlines()[-2:] == [
        "cipsec: error: stdout cannot be written: no space left on device",
        "cipsec: hint: make room: df -h",
    ]


@pytest.mark.parametrize("environment", BUFFERED)
@pytest.mark.parametrize("where", ["> /dev/full", "| true"])
@pytest.mark.parametrize(("words", "code"), [("csr show x", 6), ("bogus", 2), ("status", 3)])
def test_an_error_keeps_its_exit_code_where_stdout_takes_nothing(
    tmp_path: Path, words: str, code: int, where: str, environment: dict[str, str]
) -> None:
    """With `--json` the error goes to stdout too."""
    identity = {"CIPSEC_IDENTITY": str(tmp_path / "none")}
    ran = _shell(f"cipsec {words} --json {where}", tmp_path, {**environment, **identity})
    assert ran.returncode == code
    assert ran.stderr.startswith("cipsec: error: ")
    assert len(ran.stderr.splitlines()) <= 2


@pytest.mark.parametrize("words", ["--version", "--help", "completion bash"])
def test_a_reader_that_is_gone_before_anything_is_said_is_no_error(
    tmp_path: Path, words: str
) -> None:
    """Also where the answer is shorter than what a pipe holds."""
    ran = _shell(f"cipsec {words} | true", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_large_result_on_a_full_disk_is_said_too(tmp_path: Path) -> None:
    """More than the buffers hold."""
    (tmp_path / "many.pem").write_bytes(der.pem("CERTIFICATE", der.certificate()) * 200)
    for more in ("", "--json"):
        ran = _shell(f"cipsec cert show many.pem {more} > /dev/full", tmp_path)
        assert ran.returncode == 6
        assert "cipsec: error: stdout cannot be written" in ran.stderr
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--version", 0),
        ("--help", 0),
        ("completion zsh", 0),
        ("csr create --key key.pem", 0),
        ("csr show -", 6),
        ("csr show nothing --json", 6),
        ("ca init --name x --ca-dir new", 2),
        ("bogus", 2),
    ],
)
def test_a_closed_stream_is_an_empty_one(
    tmp_path: Path, words: str, code: int, closed: str
) -> None:
    """As services and schedulers start programs; nothing else gets the stream's number."""
    ran = _shell(f"cipsec {words} {closed}", tmp_path)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert "unexpected" not in ran.stderr
    if (key := tmp_path / "key.pem").exists():
        assert key.read_text().endswith("-----END PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("words", "closed", "said", "code"),
    [
        ("cert show -", "<&-", "cipsec: error: stdin is empty\n", 6),
        ("--version", ">&-", "", 0),
        ("discover --help", ">&-", "", 0),
        ("cert show -", "2>&- >&-", "", 6),
        ("--version", "<&- 2>&-", f"cipsec {cipsec_package.__version__}\n", 0),
    ],
)
def test_a_closed_stream_gives_and_takes_nothing(
    tmp_path: Path, words: str, closed: str, said: str, code: int
) -> None:
    """No error of Python's; what goes to the other streams is there."""
    ran = _shell(f"cipsec {words} {closed}", tmp_path)
    assert (ran.returncode, ran.stdout + ran.stderr) == (code, said)


@pytest.mark.parametrize(("words", "code"), [("bogus", 2), ("csr show x", 6)])
def test_an_error_that_nobody_can_read_keeps_its_exit_code(
    tmp_path: Path, words: str, code: int
) -> None:
    """A log on a full disk."""
    assert _shell(f"cipsec {words} 2> /dev/full", tmp_path).returncode == code


def test_a_full_disk_behind_stdout_in_process(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, where coverage sees it."""
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        monkeypatch.setattr(sys, "stdout", full)
        assert cipsec("completion", "bash").code == 6
        monkeypatch.undo()


def test_a_server_whose_log_is_full_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device gets its answer all the same."""
    event = Event(1, Code.GRANTED, "server", subject="CN=Drive 7")
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123  # a device
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", full)
        _tell_whoever_listens(Talk(json=True), event, "")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # else closing it would fail


def test_an_interruption_is_silent_from_the_first_import_on(tmp_path: Path) -> None:
    """Whoever mistyped presses Ctrl-C at once, while the program still gets going."""
    program = (
        "import sys, os, signal\n"
        "from cipsec._cli import run\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        "sys.argv = ['cipsec', 'completion', 'bash']\n"
        "run()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path.cwd(), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (Code.PENDING, "approve with: cipsec ca approve 0123456789ab --ca-dir /srv/line-4"),
        (Code.REPLACEMENT, "with: cipsec ca show 0123456789ab --ca-dir /srv/line-4"),
        (Code.GRANTED, "(inventory: it is listed)"),
    ],
)
def test_what_the_server_says_to_type(
    capsys: pytest.CaptureFixture[str], code: Code, said: str
) -> None:
    """It does as it stands: in that folder, and not the bare approval that replacements refuse."""
    event = Event(
        at=0,
        event=code,
        actor="endpoint",
        request="0123456789abcdef",
        subject="CN=Drive 7",
        rule="inventory",
        reason="it is listed",
    )
    _tell_whoever_listens(Talk(), event, " --ca-dir /srv/line-4")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(said)
