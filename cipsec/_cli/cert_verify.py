"""`cipsec cert verify`: certificates judged against trust, key, name, purpose and profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli import exits
from cipsec._cli.options import PassphraseFile, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography import x509

    from cipsec.errors import Malformed
    from cipsec.pki import keys
    from cipsec.pki.revocation import RevocationList

Given = Annotated[
    list[str],
    typer.Argument(metavar="FILE…", help="Certificates, folders of them; - for stdin."),
]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="FILE", help="The CA certificates to trust; repeatable."),
]
Intermediates = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="CA certificates in between; repeatable."),
]
Crl = Annotated[
    list[str] | None,
    typer.Option("--crl", metavar="FILE", help="Revocation lists of the CAs; repeatable."),
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="FILE", help="The private key it should belong to.")
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The host name or IP it is to be for.")
]
Purpose = Annotated[
    str,
    typer.Option(
        metavar="client|server|any",
        autocompletion=one_of("client", "server", "any"),
        help="What it is to be used as.",
    ),
]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Judge at this time.")]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        metavar="rfc5280|cip",
        autocompletion=one_of("rfc5280", "cip"),
        help="Look at all of it: by the RFC, for a CIP endpoint; repeatable.",
    ),
]
_PROFILES = ("rfc5280", "cip")


def verify(
    talk: Talk,
    given: Given,
    *,
    trust: Trust = None,
    intermediates: Intermediates = None,
    crl: Crl = None,
    key: Key = None,
    name: Name = None,
    purpose: Purpose = "any",
    at: At = None,
    profile: Profiles = None,
    passphrase_file: PassphraseFile = None,
) -> int | None:
    """Judge certificates; exit code 10 when a check fails. Without --trust no path is judged.

    Of several certificates in one file the first that issued none of the others is judged; these
    help to build its path.

    For example: cipsec cert verify drive.pem --trust ca.pem --profile cip
    """
    from cipsec import times
    from cipsec._cli.cert_judged import Looked, judge
    from cipsec.pki import names, verify

    _check_usage(given, trust, intermediates, crl, key)
    if purpose not in verify.PURPOSES:
        raise UsageError(f"{purpose!r} is not a purpose", hint="choose client, server or any")
    profiles = frozenset(profile or ())
    if strange := profiles - set(_PROFILES):
        raise UsageError(f"{min(strange)!r} is not a profile", hint="choose rfc5280 or cip")
    expected = verify.Expected(
        anchors=_certificates(talk, trust, passphrase_file) if trust else None,
        intermediates=_certificates(talk, intermediates or (), passphrase_file),
        lists=_lists(talk, crl) if crl else None,
        key=_public_key(talk, key, passphrase_file) if key is not None else None,
        name=names.host_name(name) if name is not None else None,
        purpose=purpose,
    )
    moment = times.parse_time(at) if at is not None else times.now()
    looked = Looked(given, profiles, passphrase_file)
    return exits.NO if judge(talk, looked, expected, moment) else None


def _check_usage(
    given: Sequence[str],
    trust: Sequence[str] | None,
    intermediates: Sequence[str] | None,
    crl: Sequence[str] | None,
    key: str | None,
) -> None:
    if [*given, *(trust or ()), *(intermediates or ()), *(crl or ()), key].count("-") > 1:
        raise UsageError("stdin can be read only once", hint="write one of them into a file")
    if crl and not trust:
        raise UsageError(
            "whose revocation lists count is known by the CA only", hint="add --trust FILE"
        )


def _certificates(
    talk: Talk, given: Iterable[str], passphrase_file: str | None
) -> list[x509.Certificate]:
    from cipsec._cli.given import look

    found = (look(talk, file, passphrase_file) for file in given)
    return [one for held in found for one in held.required_certificates()]


def _lists(talk: Talk, given: Iterable[str]) -> list[RevocationList | Malformed]:
    from cipsec._cli.given import read
    from cipsec.pki.revocation import each

    return [one for file in given for one in each(*read(talk, file))]


def _public_key(talk: Talk, file: str, passphrase_file: str | None) -> keys.PublicKey:
    from cipsec._cli import private_key
    from cipsec._cli.given import read

    return private_key.opened(talk, *read(talk, file), passphrase_file).public_key()
