"""The certificates that `cert verify` was given, each judged, and the findings shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cipsec import safe
from cipsec._cli import found
from cipsec._cli.given import look, say_left, sources
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, Malformed
from cipsec.pki import verify
from cipsec.pki.chain import leaf_first
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.lint import Finding
from cipsec.pki.mistaken import CERTIFICATE
from cipsec.pki.names import show_name

if TYPE_CHECKING:
    from cryptography import x509

_SUFFIXES = {".pem", ".crt", ".cer", ".der", ".p7b", ".p7c"}


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked at: files and folders as they were named, against which profiles.

    `passphrase_file` opens what is PKCS#12 among them.
    """

    given: Sequence[str]
    profiles: frozenset[str] = frozenset()
    passphrase_file: str | None = None


def judge(talk: Talk, looked: Looked, expected: verify.Expected, at: datetime) -> bool:
    """Show what is found on each file or folder; tell whether anything fails.

    One file that cannot be read is an error; of several, a finding, and the others are judged.
    """
    given = list(looked.given)
    named = [source for one in given for source in sources(talk, one, _SUFFIXES)]
    several = len(given) > 1 or named != given
    rows = [
        row
        for source in named
        for row in found.rows(
            talk, source, _findings(talk, source, looked, expected, at, several=several)
        )
    ]
    found.show(talk, rows, several=several)
    if expected.anchors is None:
        talk.say("cipsec: whom to trust is not said, so no path is judged; add --trust FILE")
    return found.count(talk, rows)


def _findings(
    talk: Talk,
    source: str,
    looked: Looked,
    expected: verify.Expected,
    at: datetime,
    *,
    several: bool,
) -> Iterator[Finding]:
    try:
        held = look(talk, source, looked.passphrase_file)
        if several and not held.certificates:
            kinds = ", ".join(held.kinds())
            yield Finding("file", "warn", f"there is no certificate in it, only: {kinds}", _OTHER)
            return
        leaf, *others = leaf_first(held.required_certificates())
        if others:
            told = f"of {held.source} that of {_whose(leaf)} is judged, the others help it"
            talk.say(f"cipsec: {told}")
        say_left(talk, held, CERTIFICATE)
        yield from _judged(leaf, others, expected, at, looked.profiles)
    except (LocalState, Malformed) as error:
        if not several:
            raise
        yield Finding("file", "fail", error.message, error.hint or _OTHER)


_OTHER = "name the file that holds the certificate"


def _whose(leaf: x509.Certificate) -> str:
    try:
        return safe.text(show_name(leaf.subject)) or "no name"  # line breaks are the teller's own
    except UNREADABLE:
        return "a name that cannot be read"


def _judged(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    expected: verify.Expected,
    at: datetime,
    profiles: frozenset[str],
) -> list[Finding]:
    with_others = dataclasses.replace(expected, intermediates=[*others, *expected.intermediates])
    findings = verify.certificate(leaf, with_others, at)
    if "rfc5280" in profiles:
        from cipsec.pki import rfc5280

        findings += rfc5280.certificate(leaf)
    if "cip" in profiles:
        from cipsec.pki import cip

        findings += cip.certificate(leaf, others, at)
    return findings
