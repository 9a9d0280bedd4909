"""The person at the terminal, as `endpoint` knows one: told, warned, asked, kept posted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509

from cipsec import safe
from cipsec._cli import ask
from cipsec._cli.talk import Talk
from cipsec.endpoint.server import Server
from cipsec.errors import Untrusted
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import show_name
from cipsec.times import show_duration


@dataclass(frozen=True, slots=True)
class Terminal:
    """Speaks through `talk`; `given` is the password from `--password-file`."""

    talk: Talk
    given: str | None

    @classmethod
    def of(cls, talk: Talk, password_file: str | None) -> Terminal:
        """Return the person, the password already read where a file is named."""
        if password_file is None:
            return cls(talk, None)
        option = "--password-file"
        return cls(talk, ask.secret(talk, "Password", file=password_file, option=option))

    def tell(self, line: str) -> None:
        """Say what happens: one line for each change."""
        self.talk.end_live()
        self.talk.say(f"cipsec: {safe.text(line)}")

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""
        self.talk.end_live()
        self.talk.warn(safe.text(line))

    def confirmed(
        self, server: Server, candidates: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Show the fingerprints and ask of each; raise Untrusted where nobody can be asked."""
        if not self.talk.interactive:
            offered = ", ".join(map(sha256, candidates))
            raise Untrusted(
                f"nobody can be asked whether the CA of {server} is the right one: {offered}",
                hint="compare it with what the CA's operator says, then add --fingerprint SHA256",
            )
        if len(candidates) > 1:
            self.talk.show(
                f"cipsec: {len(candidates)} CA certificates are offered: compare each by itself"
            )
        return [one for one in candidates if self._is_confirmed(server, one)]

    def _is_confirmed(self, server: Server, candidate: x509.Certificate) -> bool:
        question = (
            f"The EST server {safe.text(server)} belongs to\n"
            f"  {safe.text(show_name(candidate.subject))}\n"
            f"  SHA-256 {sha256(candidate)}\n"
            "Does the CA's operator give the same fingerprint?"
        )
        return ask.confirm(self.talk, question, option="--fingerprint SHA256")

    def password(self, user: str) -> str:
        """Return the password given, or ask for it; raise UsageError where nobody can be asked."""
        if self.given is not None:
            return self.given
        prompt = f"Password of {safe.text(user)}"
        return ask.secret(self.talk, prompt, file=None, option="--password-file")

    def wait(self, seconds: float, why: str) -> None:
        """Return after that many seconds; at a terminal one line counts them down."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.talk.live(f"next try in {show_duration(timedelta(seconds=left + 1))}: {why}")
            time.sleep(min(left, 1.0))
