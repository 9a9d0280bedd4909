"""Words as they are typed: by sh itself, and as programs on Windows take their command line."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from cipsec import shell


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints as they are made on Windows."""
    monkeypatch.setattr(shell, "WINDOWS", True)


def test_sh_takes_a_word_as_one() -> None:
    """Whatever is in it."""
    words = ["plain", "two words", "it's", "$HOME", "a;b"]
    printed = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\n' {shell.join(words)}"], capture_output=True, check=True
    )
    assert printed.stdout.decode().splitlines() == words


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("word", "typed"),
    [
        (r"C:\Users\me\AppData\Local\cipsec\ca", r"C:\Users\me\AppData\Local\cipsec\ca"),
        (r"C:\Users\ENGINE~1\ca", r"C:\Users\ENGINE~1\ca"),
        (r"C:\Users\Jörg\ca", r"C:\Users\Jörg\ca"),
        (r"C:\Program Files\ca", r'"C:\Program Files\ca"'),
        ("C:\\two words\\", '"C:\\two words\\\\"'),
        ("CN=a,O=b", '"CN=a,O=b"'),
        ("it's", '"it\'s"'),
        ('say "it"', r'"say \"it\""'),
        ("$HOME's", "'$HOME''s'"),
        ("", '""'),
    ],
)
def test_a_word_for_windows(word: str, typed: str) -> None:
    """In double quotes, which cmd.exe knows as well as PowerShell; plain paths without."""
    assert shell.quote(word) == typed


def test_a_command_of_this_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed here is not what is typed on Windows."""
    path = Path("/some where")
    monkeypatch.setattr(shell, "WINDOWS", False)
    assert shlex.split(shell.command("ls -l", path, windows="dir")) == ["ls", "-l", str(path)]
    monkeypatch.setattr(shell, "WINDOWS", True)
    assert shell.command("ls -l", path, windows="dir") == f'dir "{path}"'
