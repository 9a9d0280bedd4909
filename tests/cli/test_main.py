"""The frame of the command line: usage, exit codes, errors, streams, and the last border."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec import __version__, errors
from cipsec._cli import exits, main
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, LocalState, Pending, UsageError
from tests.support import der
from tests.support.terminal import at_terminal

from .conftest import Cipsec

CIPSEC = (sys.executable, "-m", "cipsec")


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CIPSEC, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )


def _let_raise(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: str) -> str:
        raise error

    monkeypatch.setattr("cipsec._cli.completion.script", fail)


def test_the_version_is_told_before_anything_is_imported() -> None:
    """By the short way and by the root command."""
    assert _run("--version").stdout == f"cipsec {__version__}\n"
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cipsec", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "typer" not in ran.stderr


def test_the_version_of_the_root_command(cipsec: Cipsec) -> None:
    """With another option beside it."""
    assert cipsec("--version").out == f"cipsec {__version__}\n"


@pytest.mark.parametrize("words", ["csr", "ca", "ca log", "ca log verify", "ca list", "status"])
def test_the_version_is_told_wherever_it_is_asked_for(cipsec: Cipsec, words: str) -> None:
    """After a group and after a verb."""
    assert cipsec(*words.split(), "--version").out == f"cipsec {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands(cipsec: Cipsec, option: str) -> None:
    """One line each, on stdout."""
    ran = cipsec(option)
    assert (ran.code, ran.err) == (0, "")
    for name in ("discover", "enroll", "csr", "cert", "ca", "completion"):
        assert f"\n  {name} " in ran.out


def test_help_of_the_root_imports_no_command() -> None:
    """It is measured: the table is static."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cipsec", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "cipsec._cli.main" in imported
    assert not {"cipsec._cli.csr", "cipsec._cli.ca", "cryptography", "rich", "asyncio"} & imported


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_of_the_table_has_help(cipsec: Cipsec, name: str) -> None:
    """And `-h` works after every verb, with the options that mean the same everywhere."""
    ran = cipsec(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: cipsec {name} ")


@pytest.mark.parametrize("words", ["", *main.COMMANDS, "ca log"])
def test_a_list_of_commands_cuts_nothing_short(cipsec: Cipsec, words: str) -> None:
    """What each does is said in a line of its own."""
    commands = cipsec(*words.split(), "--help").out.partition("Commands:")[2]
    assert not [line for line in commands.splitlines() if line.endswith("...")]


@pytest.mark.parametrize(
    ("argv", "error", "hint"),
    [
        (["bogus"], "No such command 'bogus'", "cipsec --help"),
        (["enrol"], "No such command 'enrol'. Did you mean 'enroll'?", "cipsec --help"),
        (["csr", "bogus"], "No such command 'bogus'", "cipsec csr --help"),
        (
            ["-q", "status"],
            "No such option: -q",
            "options stand after the command: cipsec COMMAND -q",
        ),
        (
            ["ca", "--no-input", "list"],
            "No such option: --no-input",
            "options stand after the command: cipsec ca COMMAND --no-input",
        ),
        (["csr", "show"], "Missing argument 'FILE|-'", "cipsec csr show --help"),
        (
            ["csr", "show", "--hexadecimal", "x"],
            "No such option: --hexadecimal",
            "cipsec csr show --help",
        ),
        (
            ["csr", "show", "a", "b"],
            "Got unexpected extra argument(s) (b)",
            "cipsec csr show --help",
        ),
        (
            ["csr", "show", "\x1b[2K", "\x1b[2K"],
            "Got unexpected extra argument(s) (\\x1b[2K)",
            None,
        ),
    ],
)
def test_wrong_usage_is_one_error_and_one_hint(
    cipsec: Cipsec, argv: list[str], error: str, hint: str | None
) -> None:
    """Exit 2, nothing on stdout."""
    ran = cipsec(*argv)
    assert (ran.code, ran.out) == (2, "")
    first, second = ran.err.splitlines()
    assert first == f"cipsec: error: {error}"
    assert hint is None or second == f"cipsec: hint: {hint}"


@pytest.mark.parametrize("argv", [[], ["csr"], ["ca"]])
def test_a_group_without_a_verb_shows_its_help(cipsec: Cipsec, argv: list[str]) -> None:
    """On stderr, for nothing was done; exit 2."""
    ran = cipsec(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(" ".join(["Usage: cipsec", *argv]))
    assert "\\x0a" not in ran.err


def test_wrong_usage_under_json_is_an_object(cipsec: Cipsec) -> None:
    """Same exit code; the people's lines stay on stderr."""
    ran = cipsec("csr", "show", "--json")
    assert ran.code == 2
    assert ran.json == {
        "error": {
            "kind": "usage",
            "message": "Missing argument 'FILE|-'",
            "hint": "cipsec csr show --help",
        }
    }


def test_errors_under_json_are_objects(cipsec: Cipsec, tmp_path: Path) -> None:
    """A missing file, as an example."""
    ran = cipsec("csr", "show", "--json", tmp_path / "x")
    assert ran.code == 6
    assert ran.json["error"]["kind"] == "local_state"
    assert ran.json["error"]["hint"] is None


_CODES = {
    errors.UsageError: 2,
    errors.NotFound: 3,
    errors.Unreachable: 4,
    errors.BadAnswer: 4,
    errors.Untrusted: 5,
    errors.LocalState: 6,
    errors.AlreadyExists: 6,
    errors.Locked: 6,
    errors.Malformed: 6,
    errors.WeakKey: 6,
    errors.Rejected: 12,
    errors.CredentialsRefused: 13,
    errors.CipsecError: 1,
}


@pytest.mark.parametrize(("kind", "code"), _CODES.items(), ids=lambda v: getattr(v, "__name__", v))
def test_the_table_of_exit_codes(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch, kind: type[CipsecError], code: int
) -> None:
    """The contract of the command line."""
    _let_raise(monkeypatch, kind("it failed", hint="type this"))
    ran = cipsec("completion", "bash")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == "cipsec: error: it failed\ncipsec: hint: type this\n"
    ran = cipsec("completion", "bash", "--json")
    assert ran.code == code
    assert ran.json["error"] == {"kind": kind.kind, "message": "it failed", "hint": "type this"}


def test_every_error_of_the_tree_has_a_place_in_the_table() -> None:
    """And in the drawing of its module."""
    waiting = CipsecError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            waiting += kind.__subclasses__()
            assert kind.__name__ in (errors.__doc__ or "")
            assert exits.code_of(kind.__new__(kind)) != exits.UNEXPECTED


def test_pending_adds_what_a_script_needs(cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """When to ask again, and for which request."""
    _let_raise(monkeypatch, Pending("not decided", retry_after=60, request="a1b2"))
    ran = cipsec("completion", "bash", "--json")
    assert ran.code == 11
    assert ran.json["error"] == {
        "kind": "pending",
        "message": "not decided",
        "hint": None,
        "retry_after": 60,
        "request": "a1b2",
    }


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), EOFError()])
def test_an_interruption_is_silent(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    """Ctrl-C, and Ctrl-D at a question."""
    _let_raise(monkeypatch, stop)
    ran = cipsec("completion", "bash")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_the_last_border_says_one_line_and_shows_no_traceback(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1; the traceback only with -v."""
    _let_raise(monkeypatch, ZeroDivisionError("\x1b[2K"))
    ran = cipsec("completion", "bash")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[0] == "cipsec: error: unexpected ZeroDivisionError: \\x1b[2K"
    assert len(ran.err.splitlines()) == 2
    assert cipsec("completion", "bash", "--json").json["error"]["kind"] == "unexpected"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-v"], True),
        (["-qv"], True),
        (["--verbose"], True),
        (["drive-v2.pem"], False),
        (["--version"], False),
        (["-o", "x"], False),
    ],
)
def test_verbose_is_an_option_and_not_part_of_a_name(words: list[str], expected: bool) -> None:
    """It is read before the command line is parsed."""
    assert main.is_verbose(words) is expected


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`cipsec … | head -1`, with more output than a pipe holds."""
    path = tmp_path / "many.pem"
    path.write_bytes(der.pem("CERTIFICATE", der.certificate()) * 900)
    with subprocess.Popen(
        [*CIPSEC, "cert", "show", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith(b"certificate")
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(180) == 0


def test_a_narrow_encoding_of_stdout_is_no_error(tmp_path: Path) -> None:
    """PYTHONIOENCODING, or a pipe on Windows."""
    (tmp_path / "x").write_bytes(
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, "Straße 北".encode())))
    )
    ran = _run("csr", "show", tmp_path / "x", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert "Stra\\xdfe \\u5317" in ran.stdout


def test_odd_certificates_bring_no_warnings_of_libraries(tmp_path: Path) -> None:
    """cryptography warns of long names and negative serial numbers; people read findings."""
    subject = der.name((der.COUNTRY, der.PRINTABLE, b"DEU"))
    (tmp_path / "x").write_bytes(der.certificate(subject=subject, serial=b"\x85"))
    ran = _run("cert", "show", tmp_path / "x")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_is_logged_is_for_people() -> None:
    """Our warnings, and of libraries only what went wrong; with `-v` everything."""
    program = (
        "import logging, sys\nfrom cipsec._cli.main import _log_to_stderr\n"
        "_log_to_stderr(sys.argv[1:])\n"
        "for name in 'cipsec.serve', 'zeroconf':\n"
        "    for level in 'info', 'warning', 'error':\n"
        "        getattr(logging.getLogger(name), level)(f'{name} {level}')\n"
    )
    plain, verbose = (
        subprocess.run([sys.executable, "-c", program, *more], capture_output=True, check=True)
        for more in ([], ["-v"])
    )
    assert plain.stderr.decode().splitlines() == [
        "cipsec: cipsec.serve warning",
        "cipsec: cipsec.serve error",
        "cipsec: zeroconf error",
    ]
    assert len(verbose.stderr.splitlines()) == 6


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    """Neither with NO_COLOR nor with --no-color, and never in a pipe."""
    (tmp_path / "x").write_bytes(der.request())
    verify = ["csr", "verify", str(tmp_path / "x")]
    assert "VERDICT" in at_terminal(verify).screen
    assert "\x1b[3" not in at_terminal(verify, env={"NO_COLOR": "1"}).screen
    assert "\x1b[3" not in at_terminal([*verify, "--no-color"]).screen
    assert "\x1b" not in _run(*verify).stdout


def test_what_is_said_is_one_harmless_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Strangers' text in a sentence of ours begins none of its own."""
    talk = Talk(verbose=1)
    talk.say("one\x1b[2K\ntwo\u202e")
    talk.warn("three\x07")
    talk.detail("four\x9b")
    assert capsys.readouterr().err.splitlines() == [
        "one\\x1b[2K\\x0atwo\\u202e",
        "cipsec: warning: three\\x07",
        "four\\x9b",
    ]


def test_quiet_says_nothing_but_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """`-q` is for the conversation."""
    talk = Talk(quiet=True)
    talk.say("one")
    talk.live("two")
    talk.warn("three")
    assert capsys.readouterr().err == "cipsec: warning: three\n"


def test_values_are_shown_alike_for_people_and_scripts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A dash for nothing, yes and no, lists with commas; JSON keeps them as they are."""
    row = {"a": None, "b": True, "c": ["x", "y\t"], "d": "", "e": [], "f": 7}
    Talk().table("rows", list(row), [row])
    assert capsys.readouterr().out == "-\tyes\tx, y\\x09\t-\t-\t7\n"
    Talk(json=True).table("rows", ["a"], [row])
    assert json.loads(capsys.readouterr().out) == {"rows": [row]}
    Talk().table("rows", ["a"], [])
    assert capsys.readouterr().out == ""


def test_codes_are_those_of_the_nearest_class() -> None:
    """A class added to the tree later falls under its parent."""

    class Fancy(LocalState):
        """One that the table does not know."""

    assert exits.code_of(Fancy("x")) == exits.LOCAL_STATE
    assert exits.code_of(UsageError("x")) == exits.USAGE
