"""`cipsec smartcard generate|import`: a key onto the card, made there or brought from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, named
from cipsec._cli import exits, private_key
from cipsec._cli.card import (
    ConnectedCard,
    LastTries,
    PinFile,
    ReaderName,
    SlotName,
    connected_card,
    verify_pin,
)
from cipsec._cli.card_writing import ManagementKeyFile, authenticate, may_replace
from cipsec._cli.options import KeyTypeName, Output, PassphraseFile, Yes
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, CardError, CardRefused, LocalState, Malformed, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec._cli.smartcard_shown import Record
    from cipsec.card.piv import Piv
    from cipsec.card.slots import Slot
    from cipsec.pki.keys import PrivateKey, PublicKey

_SUBJECT = "CN=smartcard"

CertificateFile = Annotated[
    Path, typer.Option("--cert", metavar="FILE", help="The certificate to put on the card.")
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Its key; else the card must have it already."),
]
SubjectName = Annotated[
    str, typer.Option("--subject", metavar="DN", help="What the request names, with -o.")
]


def generate(
    talk: Talk,
    *,
    reader: ReaderName = None,
    slot: SlotName = "9a",
    key_type: KeyTypeName = "ec-p256",
    subject: SubjectName = _SUBJECT,
    output: Output = None,
    pin_file: PinFile = None,
    management_key_file: ManagementKeyFile = None,
    yes: Yes = False,
    force: LastTries = False,
) -> int | None:
    """Make a key on the card, where it stays.

    With -o also a request signed with it.

    The PIN is needed for the request only. A key or certificate in the slot is lost.
    """
    from cipsec.card.slots import Slot
    from cipsec.pki.keys import KeyType
    from cipsec.pki.names import parse_subject

    where, kind, name = Slot.parse(slot), KeyType.parse(key_type), parse_subject(subject)
    if output not in (None, "-") and files.exists(Path(str(output))):
        raise AlreadyExists(f"{output} exists", hint="name another file with -o")
    with connected_card(talk, reader) as card:
        if not may_replace(talk, card, where, yes=yes):
            talk.nothing("cipsec: nothing was changed", "cards")
            return exits.NO
        authenticate(talk, card.piv, management_key_file)
        if output is not None:  # all questions come before the old key is gone
            verify_pin(talk, card.piv, pin_file, force=force)
        public = card.piv.generate(where, kind, replace=True)
        pem = _request(card.piv, where, public, name) if output is not None else None
    _report_key(talk, _made(card, where, public), output, pem)
    return None


def _request(piv: Piv, slot: Slot, public: PublicKey, name: x509.Name) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec.card import keys
    from cipsec.pki import csr

    try:
        return csr.build(keys.on_card(piv, slot, public), name).public_bytes(Encoding.PEM)
    except CardError as error:
        raise CardError(
            f"the key is made, and signs no request: {error.message}", hint="run it again with -y"
        ) from error


def _made(card: ConnectedCard, slot: Slot, public: PublicKey) -> Record:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from cipsec.pki import keys

    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "reader": card.reader,
        "slot": str(slot),
        "key_type": keys.type_name(public),
        "spki_sha256": keys.spki_sha256(public),
        "public_key": pem.decode("ascii"),
    }


def _report_key(talk: Talk, record: Record, output: str | None, pem: bytes | None) -> None:
    target = None
    if pem is not None and output != "-":
        target = Path(str(output)).absolute()
        try:
            files.create(target, pem, mode=files.PUBLIC)
        except LocalState as error:
            message = f"the key is made, its request is not written: {error.message}"
            raise LocalState(message, hint="run it again with -y and another -o FILE") from None
    if talk.json:
        csr = {"csr": pem and pem.decode("ascii"), "output": target and str(target)}
        talk.document({"cards": [record | csr]})
        return
    if pem is not None and target is None:
        talk.raw(pem)
        return
    del record["public_key"]
    talk.fields("cards", record)
    if target is not None:
        talk.say(f"cipsec: wrote the request {target}")


def import_(
    talk: Talk,
    *,
    cert: CertificateFile,
    key: KeyFile = None,
    reader: ReaderName = None,
    slot: SlotName = "9a",
    passphrase_file: PassphraseFile = None,
    pin_file: PinFile = None,
    management_key_file: ManagementKeyFile = None,
    yes: Yes = False,
    force: LastTries = False,
) -> int | None:
    """Put a certificate on the card.

    That of its key, or with --key the key too.

    Keys from outside only cards with Yubico's extension take. Without --key the card proves by one
    signature, for which it needs the PIN, that the key is there.
    """
    from cipsec._cli.smartcard_shown import certificate, report
    from cipsec.card.slots import Slot

    where, held = Slot.parse(slot), _certificate(cert)
    private = _private(talk, key, held, passphrase_file)
    with connected_card(talk, reader) as card:
        if private is None:
            verify_pin(talk, card.piv, pin_file, force=force)
            _prove(card.piv, where, held)
        if not may_replace(talk, card, where, yes=yes, with_key=private is not None):
            talk.nothing("cipsec: nothing was changed", "cards")
            return exits.NO
        authenticate(talk, card.piv, management_key_file)
        if private is not None:
            _bring(card.piv, where, private)
        _store(card.piv, where, held, with_key=private is not None)
        record: Record = {"reader": card.reader, "slot": str(where)} | certificate(held)
    report(talk, record)
    return None


def _certificate(path: Path) -> x509.Certificate:
    from cipsec.pki import load

    [first, *others] = load.certificates(named.read(path), str(path))
    if others:
        raise Malformed(
            f"{path} holds {len(others) + 1} certificates", hint="give the one of the key alone"
        )
    return first


def _private(
    talk: Talk, path: Path | None, held: x509.Certificate, passphrase_file: str | None
) -> PrivateKey | None:
    from cipsec.pki import keys

    if path is None:
        return None
    key = private_key.opened(talk, named.read(path), str(path), passphrase_file)
    if keys.spki(key.public_key()) != keys.spki(held.public_key()):
        raise UsageError(f"{path} is not the key of the certificate")
    return key


def _prove(piv: Piv, slot: Slot, held: x509.Certificate) -> None:
    """Raise CardError unless the key in the slot is that of the certificate."""
    from cryptography import x509 as names

    from cipsec.card import keys
    from cipsec.pki import csr

    csr.build(keys.on_card(piv, slot, held.public_key()), names.Name([]))


def _bring(piv: Piv, slot: Slot, key: PrivateKey) -> None:
    from cipsec.card import status, vendor

    try:
        vendor.import_key(piv.send, slot, key)
    except CardRefused as error:
        if error.sw not in status.UNKNOWN:
            raise
        raise CardRefused(
            "this card takes no keys from outside: it lacks Yubico's extension",
            sw=error.sw,
            hint="make the key on the card: cipsec smartcard generate -o FILE",
        ) from None


def _store(piv: Piv, slot: Slot, held: x509.Certificate, *, with_key: bool) -> None:
    try:
        piv.write_certificate(slot, held, replace=True)
    except CardError as error:
        if not with_key:
            raise
        raise CardError(
            f"the key is on the card, its certificate is not: {error.message}",
            hint="run it again with -y",
        ) from error
