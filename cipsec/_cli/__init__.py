"""The command line: the only place that imports typer and rich, talks, asks and exits."""

from __future__ import annotations

import sys


def run() -> None:
    """Console-script entry: Ctrl-C ends it without a word, also while it still gets going."""
    try:
        code = _code()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _code() -> int:
    """Run the command; `--version` is answered before anything heavy is imported."""
    from cipsec._cli import streams

    streams.complete()
    if sys.argv[1:] == ["--version"] and _tells_version():
        return 0
    import gc

    # What imports make stays: looking through it every 700 objects costs 8 ms of a short command.
    gc.set_threshold(20_000, 10, 10)
    from cipsec._cli.main import main

    code = main(sys.argv[1:])
    gc.freeze()  # else the interpreter looks through everything once more before it ends: 15 ms
    return code


def _tells_version() -> bool:
    """Tell the version; False where stdout does not take it, which `main` knows how to say."""
    from cipsec import __version__

    try:
        sys.stdout.write(f"cipsec {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True
