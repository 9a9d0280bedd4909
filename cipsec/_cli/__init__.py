"""The command line: the only place that imports typer and rich, talks, asks and exits."""

from __future__ import annotations

import sys


def run() -> None:
    """Console-script entry; `--version` is answered before anything heavy is imported."""
    if sys.argv[1:] == ["--version"]:
        from cipsec import __version__

        sys.stdout.write(f"cipsec {__version__}\n")
        return
    from cipsec._cli.main import main

    sys.exit(main(sys.argv[1:]))
