"""`cipsec cert verify`: a certificate judged against trust, key, name and purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli import ask, exits
from cipsec._cli.options import PassphraseFile
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec.pki import keys

Given = Annotated[str, typer.Argument(metavar="FILE|-", help="The certificate; - for stdin.")]
Trust = Annotated[
    str | None, typer.Option("--trust", metavar="FILE", help="The CA certificates to trust.")
]
Intermediates = Annotated[
    str | None, typer.Option(metavar="FILE", help="CA certificates between it and the trusted.")
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="FILE", help="The private key it should belong to.")
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The host name or IP it is to be for.")
]
Purpose = Annotated[
    str, typer.Option(metavar="client|server|any", help="What it is to be used as.")
]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Judge at this time.")]


def verify(
    talk: Talk,
    given: Given,
    *,
    trust: Trust = None,
    intermediates: Intermediates = None,
    key: Key = None,
    name: Name = None,
    purpose: Purpose = "any",
    at: At = None,
    passphrase_file: PassphraseFile = None,
) -> int | None:
    """Judge a certificate; exit 10 when a check fails. Without --trust its path is not judged."""
    from cipsec import times
    from cipsec.pki import names, verify

    if purpose not in verify.PURPOSES:
        raise UsageError(f"{purpose!r} is not a purpose", hint="choose client, server or any")
    moment = times.parse_time(at) if at else times.now()
    held = _certificates(talk, given)
    expected = verify.Expected(
        anchors=_certificates(talk, trust) if trust else None,
        intermediates=[*held[1:], *(_certificates(talk, intermediates) if intermediates else ())],
        key=_public_key(talk, key, passphrase_file) if key else None,
        name=names.host_name(name) if name else None,
        purpose=purpose,
    )
    if len(held) > 1:
        talk.say("cipsec: the first certificate is judged, the others help to build its path")
    findings = verify.certificate(held[0], expected, moment)
    rows = [{"check": f.check, "verdict": f.verdict, "detail": f.detail} for f in findings]
    talk.table("findings", ["check", "verdict", "detail"], rows)
    return exits.NO if any(f.verdict == "fail" for f in findings) else None


def _certificates(talk: Talk, given: str) -> list[x509.Certificate]:
    from cipsec._cli.given import read
    from cipsec.pki.load import certificates

    return certificates(*read(talk, given))


def _public_key(talk: Talk, file: str, passphrase_file: str | None) -> keys.PublicKey:
    from cipsec import files
    from cipsec.pki import keys

    pem = files.read(Path(file))
    passphrase = None
    if keys.is_encrypted(pem):
        passphrase = ask.secret(
            talk, f"Passphrase of {file}", file=passphrase_file, option="--passphrase-file"
        )
    return keys.from_pem(pem, passphrase).public_key()
