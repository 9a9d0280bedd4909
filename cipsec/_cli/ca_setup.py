"""`cipsec ca init`: options to a CA folder, and the fingerprint that people compare."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli import ask
from cipsec._cli.options import CaDir, KeyTypeName, PassphraseFile
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec.ca_folder import CaFolder

# What is to be done next, by model, besides serving.
_VENDOR, _LISTED = "vendor add FILE --name NAME", "allowlist add VENDOR:SERIAL"
_USER, _CARD = "user add NAME", "ca provision NAME -o DIR"
_NEXT = {
    "vendor": (_VENDOR,),
    "serial": (_VENDOR, _LISTED),
    "password": (_USER,),
    "provisioning": (_CARD,),
    "combined": (_VENDOR, _LISTED, _USER, _CARD),
}
_LONGEST_PASSPHRASE = 1023  # bytes; more is refused by OpenSSL
_LONGEST_NAME = 64  # ub-common-name, RFC 5280 appendix A.1

Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The CA's name, such as 'Line 4'.")
]
Subject = Annotated[
    str | None, typer.Option("--subject", metavar="DN", help="Its subject, in place of --name.")
]
Days = Annotated[int, typer.Option("--days", min=1, max=36500, help="How long the CA lives.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME|IP",
        help="What devices reach the server by, besides this machine's.",
    ),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="MODEL",
        help="approval, vendor, serial, password, provisioning, combined, or lab.",
    ),
]
NoPassphrase = Annotated[
    bool, typer.Option("--no-passphrase", help="Leave the CA's key unencrypted on disk.")
]


def init(
    talk: Talk,
    *,
    name: Name = None,
    subject: Subject = None,
    key_type: KeyTypeName = "ec-p256",
    days: Days = 7300,
    host: Hosts = None,
    policy: Policy = "approval",
    passphrase_file: PassphraseFile = None,
    no_passphrase: NoPassphrase = False,
    ca_dir: CaDir = None,
) -> None:
    """Make a CA: its key, its certificate, its rules and an empty record."""
    from cipsec import ca_folder, times
    from cipsec.pki import keys
    from cipsec.ra import templates

    title, dn = _names(name, subject)
    _check_hosts(host or [])
    templates.ca_toml(title, hosts=host or [], policy=policy)  # refused before anybody is asked
    kind = keys.KeyType.parse(key_type)
    place = ca_folder.free_folder(ca_dir).path
    folder = ca_folder.create(
        place,
        name=title,
        subject=dn,
        key_type=kind,
        validity=timedelta(days=days),
        passphrase=_passphrase(talk, passphrase_file, without=no_passphrase),
        hosts=host or [],
        policy=policy,
        now=times.now(),
    )
    _report(talk, folder, ca_dir, policy)


def _names(name: str | None, subject: str | None) -> tuple[str, x509.Name]:
    """Return the CA's name for people and its subject; raise UsageError."""
    from cryptography import x509

    from cipsec.pki.names import parse_subject

    given = name if name is not None else subject
    if given is None or (name is not None and subject is not None):
        raise UsageError("a CA has a name or a subject", hint='cipsec ca init --name "Line 4"')
    if not given.strip() or safe.text(given) != given:
        raise UsageError(f"{given!r} cannot be a CA's name", hint="use printable characters")
    if name is None:
        return given, parse_subject(given)
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"a CA's name has at most {_LONGEST_NAME} characters", hint="shorten it")
    return name, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _check_hosts(hosts: list[str]) -> None:
    from cipsec.pki.names import host_name

    for host in hosts:
        host_name(host)


def _passphrase(talk: Talk, file: str | None, *, without: bool) -> str | None:
    """Return the passphrase of the new key, None for none; ask twice where a person is there."""
    if without and file is not None:
        raise UsageError("--passphrase-file and --no-passphrase exclude each other")
    if without:
        return None
    if file is None and not talk.interactive:
        raise UsageError(
            "the CA's key needs a passphrase and nobody can be asked",
            hint="add --passphrase-file FILE, or --no-passphrase",
        )
    prompt = "Passphrase of the CA's key"
    entered = ask.secret(talk, prompt, file=file, option="--passphrase-file", twice=True)
    if len(entered.encode()) > _LONGEST_PASSPHRASE:
        raise UsageError(f"a passphrase has at most {_LONGEST_PASSPHRASE} bytes")
    return entered


def _report(talk: Talk, folder: CaFolder, ca_dir: Path | None, policy: str) -> None:
    from cipsec.ca_folder import fingerprint
    from cipsec.pki.names import show_name
    from cipsec.times import show_time

    certificate = folder.certificate()
    sha256 = fingerprint(certificate)
    made = {
        "directory": str(folder.path),
        "subject": show_name(certificate.subject),
        "sha256": talk.fingerprint(sha256),
        "not_after": show_time(certificate.not_valid_after_utc),
    }
    talk.fields("ca", made)
    if policy == "lab":
        talk.warn("this CA grants a certificate to everybody: for a laboratory only")
    where = f" --ca-dir {shlex.quote(str(ca_dir))}" if ca_dir else ""
    for command in _NEXT.get(policy, ()):
        talk.say(f"cipsec: next: cipsec {command}{where}")
    talk.say(f"cipsec: next: cipsec ca serve{where}")
