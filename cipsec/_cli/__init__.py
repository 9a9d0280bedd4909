"""The command line: the only place that imports typer and rich, talks, asks and exits."""

from __future__ import annotations

import sys


def run() -> None:
    """Console-script entry; `--version` is answered before anything heavy is imported."""
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
