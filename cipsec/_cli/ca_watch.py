"""`cipsec ca watch`: who waits, live, on the whole screen; the view itself is in `watch`."""

from __future__ import annotations

import os
import sys
from contextlib import closing

from cipsec._cli import actor
from cipsec._cli.options import CaDir
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError


def watch(talk: Talk, *, ca_dir: CaDir = None) -> int:
    """Show who waits, live, and decide with keys.

    a approve, r reject, ? for more, q to quit.
    """
    from cipsec.ca_folder import open_folder

    folder = open_folder(ca_dir)
    _require_terminal(talk)
    with closing(folder.store()) as database:
        from cipsec._cli.watch.app import Watch
        from cipsec._cli.watch.text import shower
        from cipsec._cli.watch.threads import Store

        if talk.no_color:
            os.environ["NO_COLOR"] = "1"  # where textual looks
        with closing(Store(folder, database)) as store:
            view = Watch(store, actor=actor.name(), show=shower(unicode=_has_unicode()))
            view.run(mouse=False)  # the terminal's own selecting and copying go on working
    if view.fault is not None:
        raise view.fault
    return view.return_code or 0


def _require_terminal(talk: Talk) -> None:
    streams = sys.stdin, sys.stdout, sys.stderr
    usable = all(stream.isatty() for stream in streams) and os.environ.get("TERM") != "dumb"
    if talk.json or talk.no_input or not usable:
        raise UsageError(
            "this view needs a terminal and a person",
            hint="use: cipsec ca pending --json, cipsec ca log --follow --json",
        )


def _has_unicode() -> bool:
    """Tell whether the terminal shows more than ASCII, as far as the environment says so.

    Not by the locale in force: Python takes C for C.UTF-8 (PEP 538, PEP 540).
    """
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    said = next(filter(None, named), "")
    return said not in {"C", "POSIX"} and "utf" in (sys.stderr.encoding or "").lower()
