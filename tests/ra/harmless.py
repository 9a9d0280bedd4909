"""Texts that try to act on whoever shows them, and what a harmless line is."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from cipsec.est.wire import Response

HOSTILE = {
    "erase": "Drive\x1b[2K\x1b[1A7",
    "title": "\x1b]0;owned\x07Drive",
    "markup": "[red]Drive[/red][/red] [link=file:///etc/passwd]7[/link]",
    "right to left": "Drive \u202e7 evirD\u2066\u200f",
    "lines": "Drive 7\r\nCN=Drive 8\ncipsec: error: owned\x85\u2028x",
    "header": "Drive\r\nX-Owned: yes\r\n\r\n<html>",
    "tabs": "Drive\t7\tyes",
    "nothing": "Drive\x00.plant",
    "zero width": "Dri\u200bve\ufeff\u2060",
    "private": "Drive\ue000\U000e0041\U0010ffff",
    "C1": "Drive\x9b2K\x9d0;x\x9c",
    "percent": "%s%n{0.__class__}$(reboot)`id`",
    "json": '"},{"id":"x\\u001b[2K',
    "long": "D" * 12_000,
    "link": "https://evil.example/approve?id=1",
}
TOO_LONG = "D" * 65_536

_BEGUN = ("cipsec: error: owned", "CN=Drive 8", "X-Owned", "<html>")
_LIVE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})


@dataclass(frozen=True)
class Ran:
    """One command that ran: its exit code and its streams."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def live(text: str) -> list[str]:
    """Return the characters that would act."""
    return [char for char in text if unicodedata.category(char) in _LIVE]


def check_text(text: str) -> None:
    """One line or several: nothing acts, no line is endless, none was begun by a hostile name."""
    assert not live(text.replace("\n", "").replace("\t", "")), text
    assert not [line for line in text.splitlines() if line.startswith(_BEGUN)], text
    assert max(map(len, text.splitlines()), default=0) < 5_000


def check(ran: Ran, *codes: int) -> None:
    """Both streams of a command are harmless; none of them is a traceback."""
    assert ran.code in codes, ran
    assert "Traceback" not in ran.err
    check_text(ran.err)
    if ran.out.startswith("{"):
        assert not live(ran.out.replace("\n", ""))
        json.loads(ran.out)
    else:
        check_text(ran.out)


def check_answer(response: Response) -> None:
    """A body is one short line of visible characters, the headers are ASCII without controls."""
    body = response.body.decode()
    if response.status != 200:
        assert body.endswith("\n")
        assert not live(body[:-1]), body
        assert len(body) < 500
    for name, value in response.headers:
        assert (name + value).isascii()
        assert (name + value).isprintable()
