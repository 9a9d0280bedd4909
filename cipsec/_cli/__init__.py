"""The command line: the only place that imports typer and rich, talks, asks and exits."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Console-script entry; `--version` is answered before anything heavy is imported."""
    _open_streams()
    if sys.argv[1:] == ["--version"]:
        from cipsec import __version__

        sys.stdout.write(f"cipsec {__version__}\n")
        return
    import gc

    # What imports make stays: looking through it every 700 objects costs 8 ms of a short command.
    gc.set_threshold(20_000, 10, 10)
    from cipsec._cli.main import main

    code = main(sys.argv[1:])
    gc.freeze()  # else the interpreter looks through everything once more before it ends: 15 ms
    sys.exit(code)


def _open_streams() -> None:
    """Open what the caller has closed, as `<&-` does: Python has None for it.

    The next file would get its number as well, and a child of ours would read or write that.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode))
