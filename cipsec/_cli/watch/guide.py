"""What `?` shows: the warnings in full, and the keys."""

from __future__ import annotations

from cipsec._cli.watch import screen
from cipsec._cli.watch.scene import Scene
from cipsec._cli.watch.text import Line, Tone, fold

_KEYS = (
    ("up, down, PgUp, PgDn", "choose another row"),
    ("Tab, Shift-Tab", "Waiting, Decisions, Expiring, Channels"),
    ("Enter", "everything that is known of what is chosen"),
    ("a", "approve the request that is chosen; the question shows it before"),
    ("r", "reject it"),
    ("n", "write a note: it goes on record with your decision"),
    ("/", "list only what has this text; Esc lists everything again"),
    ("Ctrl-L", "draw the screen again"),
    ("q", "quit"),
)
_ABOUT = (
    "A request keeps its place when others come and go.",
    "One that somebody else decided, or that was granted, is shown as gone until you move on.",
    "'proved' is what a certificate or a password proves; 'claimed' is what anybody could write.",
    "Approving signs nothing: the server issues when the device asks next.",
)


def page(scene: Scene, width: int) -> list[Line]:
    """Return the page for so many columns."""
    lines = [
        Line(part, Tone.WARNING)
        for text in screen.warnings(scene)
        for part in fold(f"! {scene.show(text)}", width)
    ]
    lines += [Line()] if lines else []
    for keys, meaning in _KEYS:
        first, *others = fold(meaning, width - 22)
        lines.append(Line(f"{keys:<22}{first}"))
        lines += [Line(f"{'':<22}{other}") for other in others]
    for text in _ABOUT:
        lines += [Line(), *(Line(part) for part in fold(text, width))]
    return lines
