"""`cipsec csr`: create, show and verify certificate signing requests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, named
from cipsec._cli.csr_verify import verify
from cipsec._cli.options import (
    Device,
    Force,
    MacAddress,
    Output,
    PassphraseFile,
    San,
    Subject,
    WishedKeyType,
    command,
    group,
)
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, CipsecError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec.pki.device import DeviceId, Mac
    from cipsec.pki.keys import PrivateKey

app = group("csr", "Create, show and verify certificate signing requests.")

Key = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="The private key; made when missing.")
]
Given = Annotated[str, typer.Argument(metavar="FILE|-", help="A request, or - for stdin.")]


@dataclass(frozen=True, slots=True)
class _Key:
    """The private key of a request; `new` is its PEM where it is not on disk yet."""

    path: Path
    key: PrivateKey
    new: bytes | None


@command(app, "create")
def create(
    talk: Talk,
    *,
    key: Key,
    subject: Subject = None,
    san: San = None,
    device: Device = None,
    mac: MacAddress = None,
    key_type: WishedKeyType = None,
    passphrase_file: PassphraseFile = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Create a request, and its key where there is none.

    PEM on stdout unless -o is given.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec.pki import csr
    from cipsec.pki.device import DeviceId, Mac
    from cipsec.pki.names import parse_san

    target = None if output in (None, "-") else Path(str(output))
    _check_target(target, key, force=force)
    device_id = DeviceId.parse(device) if device is not None else None
    mac_address = Mac.parse(mac) if mac is not None else None
    name = _subject(subject, device_id, mac_address)
    sans = [parse_san(text) for text in san or ()]
    used = _key(talk, key, key_type, passphrase_file)
    request = csr.build(used.key, name, sans=sans, mac=mac_address)
    _write(used, target, request.public_bytes(Encoding.PEM), force=force)
    _report(talk, used, target, request)


def _check_target(target: Path | None, key: Path, *, force: bool) -> None:
    """Refuse before anything is made what could not be written in the end."""
    if str(key) == "-":
        raise UsageError("a key is kept in a file", hint="add --key FILE")
    if target is None:
        return
    if os.path.realpath(target) == os.path.realpath(key):
        raise UsageError("key and request cannot be one file", hint="name another with -o")
    if not files.exists(target):
        return
    if not force:
        raise AlreadyExists(f"{target} exists", hint="add -f to overwrite it")
    if target.is_file() and b"PRIVATE KEY-----" in files.read(target):
        raise AlreadyExists(f"{target} holds a private key and stays", hint="name another with -o")


def _subject(subject: str | None, device: DeviceId | None, mac: Mac | None) -> x509.Name:
    import socket

    from cipsec.pki.csr import subject_for
    from cipsec.pki.names import parse_subject

    given = parse_subject(subject) if subject is not None else None
    # A request for a device made on an engineer's PC must not carry the PC's name.
    default = str(device or mac or socket.gethostname().partition(".")[0][:64] or "endpoint")
    return subject_for(given, device, default)


def _key(talk: Talk, path: Path, key_type: str | None, passphrase_file: str | None) -> _Key:
    from cipsec._cli.ask import secret
    from cipsec.pki import keys

    wanted = keys.KeyType.parse(key_type) if key_type is not None else None
    if files.exists(path):
        return _Key(path, _existing(talk, path, wanted, passphrase_file), None)
    passphrase = None
    if passphrase_file is not None:
        passphrase = secret(talk, "Passphrase", file=passphrase_file, option="--passphrase-file")
    key = keys.generate(wanted or keys.KeyType.EC_P256)
    return _Key(path, key, keys.to_pem(key, passphrase))


def _existing(
    talk: Talk, path: Path, wanted: str | None, passphrase_file: str | None
) -> PrivateKey:
    from cipsec._cli import private_key
    from cipsec.pki import keys

    key = private_key.opened(talk, named.read(path), str(path), passphrase_file)
    found = keys.type_name(key.public_key())
    if wanted is not None and found != wanted:
        raise UsageError(f"{path} is an {found} key", hint="leave out --key-type")
    return key


def _write(used: _Key, target: Path | None, pem: bytes, *, force: bool) -> None:
    """Write the new key and the request: both, or neither."""
    if used.new is not None:
        try:
            files.create(used.path, used.new)
        except AlreadyExists:
            raise AlreadyExists(f"{used.path} exists, and a key is never overwritten") from None
    if target is None:
        return
    write = files.replace if force else files.create
    try:
        write(target, pem, mode=files.PUBLIC)
    except CipsecError:
        if used.new is not None:
            used.path.unlink(missing_ok=True)
        raise


def _report(
    talk: Talk, used: _Key, target: Path | None, request: x509.CertificateSigningRequest
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec.pki import describe

    pem = request.public_bytes(Encoding.PEM)
    if used.new is not None:
        talk.say(f"cipsec: made the key {used.path}")
    if target is not None:
        talk.say(f"cipsec: wrote the request {target}")
    if talk.json:
        written = {
            "pem": pem.decode("ascii"),
            "key": str(used.path.absolute()),
            "key_created": used.new is not None,
            "output": str(target.absolute()) if target else None,
        }
        talk.document({"csr": describe.request(request) | written})
    elif target is None:
        talk.raw(pem)


@command(app, "show")
def show(talk: Talk, given: Given) -> None:
    """Show what a request says and asks for.

    Nothing is verified.
    """
    from cryptography import x509

    from cipsec._cli import lines
    from cipsec._cli.given import look, say_left
    from cipsec.pki import describe
    from cipsec.pki.mistaken import REQUEST

    found = look(talk, given, None, opened=False)
    record = describe.request(x509.load_der_x509_csr(found.required_request()))
    say_left(talk, found, REQUEST)
    talk.fields("csr", record if talk.json else lines.of(record))


command(app, "verify")(verify)
