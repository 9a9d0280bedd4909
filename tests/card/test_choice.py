"""Which reader, and what PC/SC's failures are called on each system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec.card import faults, pcsc
from cipsec.card.choice import Reader, choose
from cipsec.errors import CardError, NoCard, NoPcsc, NoReader, NotPermitted, UsageError

LEFT = Reader(name="ACME Reader [Left] 00 00", has_card=True)
RIGHT = Reader(name="ACME Reader [Right] 01 00", has_card=True)
EMPTY = Reader(name="Other 02 00", has_card=False)


def test_the_only_card() -> None:
    """Empty readers beside it do not count."""
    assert choose([EMPTY, RIGHT], None) is RIGHT


def test_by_a_part_of_the_name() -> None:
    """In whatever case; the whole name means just that one."""
    assert choose([LEFT, RIGHT], "right") is RIGHT
    longer = Reader(name=f"{LEFT.name} 00", has_card=True)
    assert choose([LEFT, longer], LEFT.name) is LEFT


def test_no_reader() -> None:
    """Neither one, nor one of that name; those there are are listed."""
    with pytest.raises(NoReader, match="there is no smartcard reader"):
        choose([], None)
    with pytest.raises(NoReader, match="no reader's name contains 'middle'") as caught:
        choose([LEFT, EMPTY], "middle")
    assert LEFT.name in str(caught.value.hint)


def test_no_card() -> None:
    """The reader that was looked at is named."""
    with pytest.raises(NoCard, match="there is no card in Other 02 00"):
        choose([EMPTY], None)
    with pytest.raises(NoCard):
        choose([LEFT, EMPTY], "other")


def test_several_cards() -> None:
    """They are listed, and one is to be named; nothing is guessed."""
    with pytest.raises(UsageError, match=r"2 cards: in ACME Reader \[Left\].*Right") as caught:
        choose([LEFT, EMPTY, RIGHT], None)
    assert "--reader" in str(caught.value.hint)
    with pytest.raises(UsageError):
        choose([LEFT, RIGHT], "acme")


@pytest.mark.parametrize(
    ("result", "platform", "kind", "words", "hint"),
    [
        (0x8010001D, "linux", NoPcsc, "does not run", "systemctl start pcscd"),
        (0x8010001D, "win32", NoPcsc, "does not run", "SCardSvr"),
        (0x8010001D, "darwin", NoPcsc, "does not run", "log out"),
        (0x8010001E, "linux", NoPcsc, "older than its library", "restart"),
        (0x8010001E, "win32", NoPcsc, "stopped", "SCardSvr"),
        (0x8010006A, "linux", NotPermitted, "may not use smartcards", "SSH"),
        (0x8010000C, "linux", NoCard, "in R is not there", "put the card in"),
        (0x80100069, "win32", NoCard, "pulled", "put the card in"),
        (0x80100016, "linux", NoCard, "pulled", "put the card in"),
        (0x80100066, "linux", NoCard, "does not answer", "right way round"),
        (0x80100009, "linux", NoReader, "gone", "plug"),
        (0x80100017, "linux", NoReader, "gone", "plug"),
        (0x80100013, "linux", NoPcsc, "ended meanwhile", "systemctl"),
        (0x8010000B, "linux", CardError, "another program has the card in R", "end that program"),
        (0x80100068, "linux", CardError, "another program reset the card", "try again"),
        (0x80100001, "freebsd14", CardError, r"PC/SC failed in R \(80100001\)", "None"),
    ],
)
def test_failures(result: int, platform: str, kind: type[CardError], words: str, hint: str) -> None:
    """Each is its own message, with something to do about it."""
    error = faults.error(result, "R", platform)
    assert type(error) is kind
    with pytest.raises(CardError, match=words):
        raise error
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("platform", "python", "words"),
    [
        ("linux", (3, 13), "apt install pcscd libpcsclite-dev"),
        ("win32", (3, 13), "pip install 'cipsec[smartcard]'"),
        ("darwin", (3, 14), "by Python 3.13"),
    ],
)
def test_how_the_extra_is_installed(platform: str, python: tuple[int, int], words: str) -> None:
    """Linux builds it; elsewhere there are wheels, to some version of Python."""
    assert words in faults.install_hint(platform, python)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error with the hint for this system."""
    monkeypatch.setitem(sys.modules, "smartcard", None)
    with pytest.raises(NoPcsc, match=r"need the extra cipsec\[smartcard\]") as caught:
        pcsc.readers()
    assert "pip install" in str(caught.value.hint)


def test_without_the_service(tmp_path: Path) -> None:
    """A fresh process that is told of no daemon: libpcsclite asks only once where it is."""
    pytest.importorskip("smartcard", reason="NOT TESTED without a PC/SC service: no pyscard")
    if sys.platform != "linux":
        pytest.skip("NOT TESTED without a PC/SC service: this system always has one")
    program = (
        "from cipsec.card import pcsc\ntry: pcsc.readers()\nexcept Exception as e: print(repr(e))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PCSCLITE_CSOCK_NAME": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "NoPcsc('the PC/SC service does not run')\n"
    assert done.stderr == ""
