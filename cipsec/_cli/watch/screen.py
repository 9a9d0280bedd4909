"""The main screen as lines of text, for any size of terminal: a function of the scene.

ASCII only but for what strangers write, and legible without colours.
"""

from __future__ import annotations

from cipsec._cli.watch import panes, request
from cipsec._cli.watch.listing import Row
from cipsec._cli.watch.panes import PANES
from cipsec._cli.watch.scene import Scene
from cipsec._cli.watch.text import Line, Tone, cut, fitting, fold, joined, record
from cipsec.times import show_time

_FOR_DETAILS = 18  # lines of the screen from which on there is room for the details too
_WARNINGS = 3  # lines for warnings on such a screen, one on a smaller
_FRAME = 5  # lines: title, panes, heads, message, keys
_FOR_CLOCK = 60  # columns from which on there is room for the time
_SAID = 3  # lines that the last word may take, over what stands above
_MARK = 2  # columns before a row: whether it is chosen

_KEYS = "a approve  r reject  n note  / filter  Enter all  Tab pane  ? help  q quit"
_KEYS_ELSEWHERE = "/ filter  Enter all  Tab pane  ? help  q quit"
_FEW_KEYS = "? help  a r n / Enter Tab  q quit"


def draw(scene: Scene, width: int, height: int) -> list[Line]:
    """Return exactly `height` lines; each is cut to the width when it is painted."""
    listed, detailed = list_height(scene, height), _details_height(scene, height)
    lines = [_title(scene, width), *_warnings(scene, height), _panes(scene)]
    lines += _table(scene, width, listed)
    if detailed:
        lines += [Line("-" * width, Tone.FAINT), *_cut_short(details(scene, width), detailed)]
    said = [Line(part, Tone.STRONG) for part in fold(scene.show(scene.message), width)[:_SAID]]
    lines = lines[: max(height - 1 - len(said), 0)]
    lines += [Line()] * (height - 1 - len(said) - len(lines))
    return [*lines, *said, _keys(scene, width)][-height:]


def list_height(scene: Scene, height: int) -> int:
    """Return how many rows of the pane there is room for."""
    free = max(height - _FRAME - len(_warnings(scene, height)), 1)
    return max(free * 2 // 5, 4) if height >= _FOR_DETAILS else free


def _details_height(scene: Scene, height: int) -> int:
    if height < _FOR_DETAILS:
        return 0
    rest = height - _FRAME - len(_warnings(scene, height)) - list_height(scene, height)
    return max(rest - 1, 0)


def _title(scene: Scene, width: int) -> Line:
    left = f"cipsec  {scene.show(scene.view.name)}"
    clock = f"  {show_time(scene.view.now)}" if width >= _FOR_CLOCK else ""
    right = f"{scene.view.pending} waiting{clock}"
    return Line(f"{cut(left, max(width - len(right) - 1, 0))} {right}", Tone.STRONG)


def warnings(scene: Scene) -> list[str]:
    """Return everything that somebody should look at."""
    trouble = [f"{scene.trouble}; what is shown is old"] if scene.trouble else []
    return [*trouble, *scene.view.warnings]


def _warnings(scene: Scene, height: int) -> list[Line]:
    found, room = warnings(scene), _WARNINGS if height >= _FOR_DETAILS else 1
    more = f" (and {len(found) - room} more: ?)" if len(found) > room else ""
    lines = [Line(f"! {scene.show(text)}", Tone.WARNING) for text in found[:room]]
    if more:
        lines[-1] = Line(f"!{more} {lines[-1].text[2:]}", Tone.WARNING)
    return lines


def _panes(scene: Scene) -> Line:
    titles = []
    for number, (pane, listing) in enumerate(zip(PANES, scene.listings, strict=True)):
        title = pane.title
        if pane is panes.CHANNELS and any(map(panes.is_failing, scene.view.channels)):
            title = f"{title} FAIL"
        elif pane is not panes.DECISIONS and listing.rows:
            title = f"{title} {sum(not row.gone for row in listing.rows)}"
        titles.append(f"[{title}]" if number == scene.number else f" {title} ")
    filtered = f" filter: {scene.show(scene.match)}" if scene.match else ""
    return Line("".join(titles) + filtered)


def _table(scene: Scene, width: int, height: int) -> list[Line]:
    places = fitting(scene.pane.columns, width - _MARK)
    heads = joined([column.head for column in scene.pane.columns], places)
    lines = [Line(f"{'':{_MARK}}{heads}", Tone.FAINT)]
    listing = scene.listing
    if not listing.rows:
        empty = "nothing here has that text" if scene.match else scene.pane.empty
        return [*lines, Line(f"{'':{_MARK}}{empty}"), *[Line()] * (height - 1)]
    first, _ = listing.window(height)
    for row in listing.rows[first : first + height]:
        text = joined(panes.cells(row, scene.view.now, scene.show), places)
        lines.append(_row(row, text, chosen=row.key == listing.key))
    return lines + [Line()] * (height + 1 - len(lines))


def _row(row: Row, text: str, *, chosen: bool) -> Line:
    mark = "> " if chosen else "  "
    return Line(mark + text, Tone.CHOSEN if chosen else Tone.FAINT if row.gone else Tone.PLAIN)


def details(scene: Scene, width: int) -> list[Line]:
    """Return all that is known of what is chosen."""
    row = scene.listing.chosen
    if row is None:
        return []
    if scene.pane is not panes.WAITING:
        return record(panes.fields(row.item, scene.view.now, scene.show), width)
    if scene.asked is None:
        return [Line("...")]
    note = scene.notes.get(row.key, "")
    return record(request.fields(scene.asked, scene.view.now, scene.show, note), width)


def _cut_short(lines: list[Line], height: int) -> list[Line]:
    if len(lines) <= height:
        return lines
    more = len(lines) - height + 1
    return [*lines[: height - 1], Line(f"(Enter shows {more} more lines)", Tone.FAINT)]


def _keys(scene: Scene, width: int) -> Line:
    keys = _KEYS if scene.pane is panes.WAITING else _KEYS_ELSEWHERE
    return Line(keys if width >= len(keys) else _FEW_KEYS, Tone.FAINT)
