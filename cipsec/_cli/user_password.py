"""Where a user's password comes from and, where it is generated, to which file it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cipsec import files
from cipsec._cli import ask
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

_OPTION = "--password-file"

Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password at random, and write it to -o FILE.")
]
PasswordTo = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="With --generate: a new file, mode 0600."),
]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a password comes from: a file, the terminal, or chance; then `target` receives it."""

    file: str | None
    target: Path | None = None
    force: bool = False

    @classmethod
    def parse(cls, file: str | None, output: str | None, *, generate: bool, force: bool) -> Source:
        """Return what the options say; raise UsageError where they contradict each other."""
        if not generate:
            if output is not None:
                raise UsageError("-o is for a password that is generated", hint="add --generate")
            return cls(file)
        if file is not None:
            raise UsageError(f"either --generate or {_OPTION}, not both")
        if output in (None, "", "-"):
            raise UsageError(
                "a generated password goes to a file and is shown nowhere", hint="add -o FILE"
            )
        return cls(None, Path(str(output)).absolute(), force)

    def password(self, talk: Talk, name: str, *, twice: bool = True) -> str:
        """Return the password; raise UsageError where there is none to be had."""
        if self.target is None:
            prompt = f"Password of {name}"
            return ask.secret(talk, prompt, file=self.file, option=_OPTION, twice=twice)
        from cipsec.ra.users import generate_password

        return generate_password()

    @contextlib.contextmanager
    def handed_out(self, password: str) -> Iterator[None]:
        """Write a generated password before it is recorded; not to be found if that fails."""
        if self.target is None:
            yield
            return
        write = files.replace if self.force else files.create
        write(self.target, password.encode() + b"\n")
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # the one on the way says more
                self.target.unlink()
            raise
