"""The hook: a program run once a new certificate is in use, and again until it succeeds."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from cipsec.endpoint.folder import Folder
from cipsec.endpoint.hook import Hook
from cipsec.endpoint.taking import Taking
from cipsec.errors import HookFailed, Pending, UsageError
from cipsec.pki.names import show_serial
from cipsec.times import Due
from tests.endpoint.acting import WAIT, Recorder, again, get, wish
from tests.support.canned import EstServer
from tests.support.waiting import is_dead, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shell scripts")


class Script(Protocol):
    """Makes a hook of a shell script's text, which may take `limit` seconds."""

    def __call__(self, text: str, *, limit: float = 60) -> Taking: ...


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a hook of a shell script's text."""

    def write(text: str, *, limit: float = 60) -> Taking:
        path = tmp_path / "hook of mine"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return Taking(hook=Hook((str(path),), timedelta(seconds=limit)))

    return write


def ran(tmp_path: Path) -> list[str]:
    """Return what the hook wrote down."""
    path = tmp_path / "ran"
    return path.read_text().splitlines() if path.exists() else []


def test_it_knows_where_things_are(
    server: EstServer, folder: Folder, script: Script, tmp_path: Path
) -> None:
    """Paths and dates in the environment, which lead to what is in use; and no key."""
    names = "IDENTITY KEY CERTIFICATE CHAIN TRUST SERIAL NOT_AFTER"
    words = " ".join(f'"$CIPSEC_{name}"' for name in names.split())
    taking = script(f'printf "%s\\n" {words} > {tmp_path}/ran; env > {tmp_path}/env')
    identity = get(folder, wish(server), taking=taking)
    assert ran(tmp_path) == [
        str(identity.directory),
        str(identity.key_file),
        str(identity.certificate_file),
        str(identity.chain_file),
        str(identity.trust_file),
        show_serial(identity.issued.certificate.serial_number),
        identity.issued.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ]
    environment = (tmp_path / "env").read_text()
    assert "PRIVATE" not in environment
    assert f"PATH={os.environ['PATH']}\n" in environment


def test_it_sees_the_new_certificate(
    server: EstServer, folder: Folder, script: Script, tmp_path: Path
) -> None:
    """Run by each renewal, after the change."""
    get(folder, wish(server))
    taking = script(f'cat "$CIPSEC_CERTIFICATE" > {tmp_path}/ran')
    identity = again(folder, taking=taking)
    assert (tmp_path / "ran").read_bytes() == identity.certificate_file.read_bytes()


def test_nothing_is_run_where_nothing_came(
    server: EstServer, folder: Folder, script: Script, tmp_path: Path
) -> None:
    """Not due, waiting: the hook is for what is new."""
    taking = script(f"echo x >> {tmp_path}/ran")
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False, taking=taking)
    server.answers.clear()
    get(folder, wish(server))
    again(folder, due=Due.parse("66%"), taking=taking)
    assert ran(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 3", "ended with exit code 3"),
        ("kill -9 $$", "was ended by signal 9"),
    ],
)
def test_a_hook_that_fails(
    server: EstServer, folder: Folder, script: Script, text: str, told: str
) -> None:
    """The new certificate is in use; the next run runs the hook again, also when nothing is due."""
    get(folder, wish(server))
    tmp_path = folder.path.parent
    taking = script(f"echo x >> {tmp_path}/ran; {text}")
    with pytest.raises(HookFailed) as caught:
        again(folder, taking=taking)
    assert caught.value.message.startswith("the new certificate is in use, and its hook /")
    assert caught.value.message.endswith(told)
    identity = folder.identity()
    assert identity
    assert identity.issued.certificate == server.issued[-1]
    asked = len(server.seen)
    with pytest.raises(HookFailed):
        again(folder, due=Due(), taking=taking)
    person = Recorder()
    again(folder, person, due=Due())
    assert person.warned == [
        "the hook has not succeeded since this certificate came: give --hook again"
    ]
    good = script(f"echo good >> {tmp_path}/ran")
    for _ in range(2):
        again(folder, due=Due(), taking=good)
    assert ran(tmp_path) == ["x", "x", "good"]
    assert len(server.seen) == asked


def test_what_is_owed_stays_owed(server: EstServer, folder: Folder, script: Script) -> None:
    """Another renewal, without the hook, does not make it forgotten."""
    get(folder, wish(server))
    with pytest.raises(HookFailed):
        again(folder, taking=script("exit 1"))
    person = Recorder()
    again(folder, person)
    assert len(person.warned) == 1
    again(folder, due=Due(), taking=script("exit 0"))
    assert not folder.hook_owed()


def test_a_hook_that_hangs(
    server: EstServer, folder: Folder, tmp_path: Path, script: Script
) -> None:
    """It is ended, with what it started."""
    taking = script(f"sleep 600 & echo $! > {tmp_path}/ran; wait", limit=10)
    with pytest.raises(HookFailed, match="did not end within 10s"):
        get(folder, wish(server), taking=taking)
    until(lambda: is_dead(int(ran(tmp_path)[0])))


def test_no_shell(tmp_path: Path, server: EstServer, folder: Folder) -> None:
    """Nothing in the words means anything but itself."""
    target = tmp_path / "a; b $(c)"
    get(folder, wish(server), taking=Taking(hook=Hook.parse(f"touch '{target}'")))
    assert target.exists()


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("systemctl reload plc", ("systemctl", "reload", "plc")),
        ("'/opt/my hook' \"a b\" c\\ d #e", ("/opt/my hook", "a b", "c d", "#e")),
        ("a;b|c>d", ("a;b|c>d",)),
    ],
)
def test_words(text: str, argv: tuple[str, ...]) -> None:
    """Quoted as in a shell."""
    assert Hook.parse(text).argv == argv


def test_words_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a backslash is a part of a path."""
    monkeypatch.setattr(os, "name", "nt")
    assert Hook.parse(r'"C:\Program Files\plc.exe" C:\x').argv == (
        r"C:\Program Files\plc.exe",
        r"C:\x",
    )


@pytest.mark.parametrize("text", ["", "  ", "'", "a 'b", "a\0b"])
def test_what_is_no_hook(text: str) -> None:
    """Is said before anything is asked for."""
    with pytest.raises(UsageError):
        Hook.parse(text)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """Neither is one that cannot be executed."""
    (tmp_path / "text").write_text("")
    for name in ("/none", "no-such-program", str(tmp_path), str(tmp_path / "text")):
        with pytest.raises(UsageError, match="there is no program"):
            Hook.parse(f"'{name}'").require()
    with pytest.raises(UsageError):
        Hook.parse("true", timedelta())
