"""The screen as lines, at every size and with every text."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec._cli.watch import guide, panes, screen
from cipsec._cli.watch.model import Asked, Channel, Happened, Reader, View
from cipsec._cli.watch.scene import Scene
from cipsec._cli.watch.text import Show, cut, shower
from cipsec.ca_folder import CaFolder
from cipsec.store import certificates
from cipsec.store.channels import ChannelRow
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.requests import Approval, Waiting

from . import stage

_NOW = stage.NOW
_SHOW = shower(unicode=True)
HOSTILE = [
    "\x1b[2K\x1b[1A\x1b]0;title\x07",
    "[/red][bold]bold[/bold]",
    "[@click=app.quit]click[/]",
    "\u202egnirts\u2066\u200b",
    "line\nbreak\r\ttab\x00\x9b31m",
    "A" * 65_536,
    "界" * 300,
    "e\u0301" * 300,
]


def _waiting(number: int, **changes: object) -> Waiting:
    row = stage.request(number, **changes)
    return Waiting(**{name: getattr(row, name) for name in Waiting.__slots__})


def _scene(view: View, show: Show = _SHOW) -> Scene:
    return Scene(view, show).with_view(view)


def _lines(scene: Scene, width: int = 80, height: int = 24) -> list[str]:
    lines = screen.draw(scene, width, height)
    assert len(lines) == height
    return [cut(line.text, width).rstrip() for line in lines]


def test_nothing() -> None:
    """An empty CA, on the standard screen."""
    lines = _lines(_scene(View(_NOW, "Line 4")))
    assert lines[0].startswith("cipsec  Line 4 ")
    assert lines[1:4] == [
        "[Waiting] Decisions  Expiring  Channels",
        "  WAITS   DEVICE            SUBJECT             PROVED",
        "  nothing waits for a decision",
    ]
    assert lines[-1].startswith("a approve  r reject  n note  / filter")


def test_one_request() -> None:
    """Proved and claimed, the rule and why, from where, how long, which key."""
    row = stage.request(1, claimed="device 0001:00000001", label="line-3", polls=7)
    view = View(_NOW, "Line 4", "", 1, (_waiting(1),), asked=Asked(row, {"key_type": "ec-p256"}))
    lines = _lines(_scene(view))
    assert "> 59m 59s 0001:00000001     CN=Drive 1          nothing" in lines
    for line in (
        "proved   nothing",
        "claimed  device 0001:00000001",
        "device   0001:00000001",
        "subject  CN=Drive 1",
        "rule     everyone else: holds for everyone",
        "from     192.0.2.7, label line-3",
        "waits    59m 59s, asked 7 times, last 59m 59s ago",
        "key      00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000",
    ):
        assert line in lines


def test_a_replacement(ca_folder: CaFolder) -> None:
    """The old certificate beside the new request, in the list marked as such."""
    old = stage.certificate(
        "0badcafe",
        ends=_NOW + timedelta(days=90),
        subject="CN=Old",
        device="0001:00000001",
        der=ca_folder.certificate().public_bytes(Encoding.DER),
    )
    older = replace(old, serial="0bad0000", subject="CN=Older", enrollment="older")
    stage.wait(ca_folder, stage.request(1, replaces="0badcafe 0bad0000"))
    with closing(ca_folder.store()) as database:
        with database.transaction() as db:
            certificates.insert(db, old)
            certificates.insert(db, older)
        view = Reader(ca_folder, database).read(f"{1:064x}", "", _NOW)
    shown = "\n".join(_lines(_scene(view), 100, 40))
    assert "replaces" in _lines(_scene(view), 90)[4]
    assert f"device    {'0001:00000001':<43} | 0001:00000001" in shown
    assert f"subject   {'CN=Drive 1':<43} | CN=Old" in shown
    assert "replaces  certificate 0badcafe, valid, " in shown
    assert "  and     certificate 0bad0000, valid, " in shown


@pytest.mark.parametrize(
    ("revokes", "said"), [(None, "bob"), (True, "bob (revoke the old)"), (False, "bob (keep both)")]
)
def test_two_persons(revokes: bool | None, said: str) -> None:
    """Who agreed already, and to what."""
    asked = Asked(stage.request(1, approvals=2), {}, (Approval("bob", 1, None, revokes),))
    view = View(_NOW, "", "", 1, (_waiting(1, approvals=2),), asked=asked)
    shown = _lines(_scene(view), 100, 30)
    assert f"agreed   1 of 2 administrators: {said}" in shown
    assert "needs 2" in "\n".join(shown)


def test_the_details_are_those_of_the_chosen() -> None:
    """Not of another that was read before: until they are there, none."""
    view = View(_NOW, "", "", 2, (_waiting(1), _waiting(2)), asked=Asked(stage.request(2), {}))
    shown = _lines(_scene(view))
    assert "..." in shown
    assert "subject  CN=Drive 2" not in shown


def test_the_warnings() -> None:
    """The first, and how many more; all of them behind `?`."""
    view = View(_NOW, warnings=("one", "two", "three", "four"))
    assert _lines(_scene(view))[1:4] == ["! one", "! two", "! (and 1 more: ?) three"]
    assert _lines(_scene(view), 40, 10)[1] == "! (and 3 more: ?) one"
    help_page = [line.text for line in guide.page(_scene(view), 80)]
    assert help_page[:4] == ["! one", "! two", "! three", "! four"]
    old = replace(_scene(view), trouble="the store cannot be used")
    assert _lines(old)[1] == "! the store cannot be used; what is shown is old"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (None, "not used yet: a server has to run"),
        (ChannelRow("ops", 7), "ok, nothing told yet"),
        (ChannelRow("ops", 7, sent_at=int(_NOW.timestamp()) - 60), "ok, told 1m ago"),
        (ChannelRow("ops", 7, 3, "refused"), "FAILS, 3 times in a row: refused"),
        (ChannelRow("ops", 7, 0, "no b@x"), "works, but left out: no b@x"),
    ],
)
def test_a_channel(row: ChannelRow | None, words: str) -> None:
    """In words; one that fails is seen from every pane."""
    view = View(_NOW, channels=(Channel("ops", "email", "a@x", row, 0),))
    scene = _scene(view).turned(3)
    assert words in "\n".join(_lines(scene, 120))
    assert ("Channels FAIL" in _lines(_scene(view))[1]) == words.startswith("FAILS")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60)])
def test_hostile_texts(text: str, size: tuple[int, int]) -> None:
    """They are on one line each, of printable characters, and push nothing out of the screen."""
    fields = ("subject", "proved", "claimed", "address", "label", "rule", "reason", "note", "mac")
    hostile = dict.fromkeys(fields, text) | {"sans": stage.names(text), "device": text}
    row = stage.request(1, decided_by=text, **hostile)
    agreed = (Approval(text, 1, text, None),)
    asked = Asked(row, {"san": [text], "key_type": text}, agreed, text)
    view = View(_NOW, text, text, 1, (_waiting(1, **hostile),), warnings=(text,), asked=asked)
    scene = replace(_scene(view), match=text, message=text).noted(row.id, text)
    lines = screen.draw(scene, *size) + screen.details(scene, size[0]) + guide.page(scene, size[0])
    assert all(line.text.isprintable() for line in lines)
    assert len(screen.draw(scene, *size)) == size[1]
    assert len(screen.details(scene, 80)) < 150


@given(st.text(), st.integers(1, 120), st.integers(1, 50))
def test_every_size(text: str, width: int, height: int) -> None:
    """As many lines as there are, and with something chosen it can be seen."""
    view = View(_NOW, text, "", 9, tuple(_waiting(n, subject=text) for n in range(9)))
    scene = replace(_scene(view), message=text)
    lines = screen.draw(scene, width, height)
    assert len(lines) == height
    if height > 8 and not text:
        assert any(line.text.startswith("> ") for line in lines)


def test_damaged_times() -> None:
    """The store holds what cannot be a time: it is shown, and the view goes on."""
    never = 10**18
    row = stage.request(1, first_seen=never, last_seen=never, decided_at=never, state="rejected")
    happened = Happened(1, Event(never, Code.GRANTED, "endpoint"))
    certificate = replace(stage.certificate("01", ends=_NOW), not_after=never)
    channel = Channel("ops", "file", "x", ChannelRow("ops", 1, sent_at=never), 0)
    view = View(
        _NOW,
        waiting=(_waiting(1, first_seen=never),),
        decisions=(happened,),
        expiring=(certificate,),
        channels=(channel,),
        asked=Asked(row, {}),
    )
    scene = _scene(view)
    for turned in range(4):
        shown = "\n".join(_lines(scene.turned(turned)))
        assert ("DAMAGED" in shown or "not a time: 1" in shown) == (turned > 0)


def test_ascii_only() -> None:
    """What the view itself writes is ASCII; with a terminal of that kind everything is."""
    view = View(_NOW, "Linie Süd", "", 1, (_waiting(1, subject="CN=Pumpe Süd"),), warnings=("…",))
    shown = "\n".join(_lines(_scene(view, shower(unicode=False))))
    assert shown.isascii()
    assert "Pumpe S\\xfcd" in shown
    assert all(line.text.isascii() for line in guide.page(_scene(View(_NOW)), 80))


def test_the_filter_of_the_other_panes() -> None:
    """It looks at what is known of the rows."""
    view = View(
        _NOW,
        match="o2",
        decisions=tuple(Happened(n, Event(0, Code.GRANTED, f"user O{n}")) for n in range(3)),
        expiring=tuple(stage.certificate(f"0{n}", ends=_NOW, rule=f"o{n}") for n in range(3)),
        channels=tuple(Channel(f"to{n}", "file", "x", None, 0) for n in range(3)),
    )
    found = [panes.rows(pane, view) for pane in panes.PANES]
    assert [[row.key for row in rows] for rows in found] == [[], ["2"], ["02"], ["to2"]]
