"""`cipsec ca provision --smartcard`: key and request made on a card, the certificate put back.

The record comes before the card, as it comes before files: nobody has what is not recorded.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli import ask
from cipsec._cli.card import connected_card, pin_of
from cipsec._cli.card_writing import authenticate, change_management_key, may_replace
from cipsec._cli.smartcard_pins import offer_new_pin, offer_new_puk
from cipsec._cli.talk import Talk
from cipsec.errors import CardError, CipsecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cipsec._cli.card import ConnectedCard
    from cipsec.card.pins import ManagementKey, Pin
    from cipsec.card.piv import Piv
    from cipsec.card.slots import Slot
    from cipsec.pki.csr import CertificateRequest
    from cipsec.pki.keys import KeyType
    from cipsec.store.certificates import CertificateRow
    from cipsec.store.credentials import CredentialRow

_PUK = 0x81

Smartcard = Annotated[
    bool, typer.Option("--smartcard", help="Make the key on a card, and put the certificate there.")
]
AllowDefaults = Annotated[
    bool,
    typer.Option(
        "--allow-defaults", help="Leave the PIN, PUK and management key that every new card has."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """What the command line says of the card."""

    reader: str | None
    slot: Slot
    pin_file: str | None
    management_key_file: str | None
    allow_defaults: bool
    yes: bool
    force: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A card that may be written to, and that knows that its PIN was entered."""

    card: ConnectedCard
    slot: Slot

    def request(self, name: str, key_type: KeyType) -> CertificateRequest:
        """Make a key over whatever there is, and have it sign the request for `name`."""
        from cryptography.hazmat.primitives.serialization import Encoding

        from cipsec.ca.provisioning import subject
        from cipsec.card import keys
        from cipsec.pki import csr

        piv = self.card.piv
        public = piv.generate(self.slot, key_type, replace=True)
        made = csr.build(keys.on_card(piv, self.slot, public), subject(name))
        return csr.parse(made.public_bytes(Encoding.DER))

    def write(self, row: CertificateRow) -> None:
        """Put the certificate on the card; raise CardError, which says that it is on record."""
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(row.der)
        try:
            self.card.piv.write_certificate(self.slot, certificate, replace=True)
        except CardError as error:
            raise CardError(
                f"the certificate {row.serial} is on record and not on the card: {error.message}",
                hint=f"cipsec ca revoke {row.serial}, and provision the card again",
            ) from error


def parse(
    *,
    reader: str | None,
    slot: str | None,
    pin_file: str | None,
    management_key_file: str | None,
    allow_defaults: bool,
    yes: bool,
    force: bool,
    smartcard: bool,
) -> CardOptions | None:
    """Return what is said of the card, None for files; raise UsageError for a mixture."""
    from cipsec.card.slots import Slot

    if smartcard:
        return CardOptions(
            reader=reader,
            slot=Slot.parse(slot or "9a"),
            pin_file=pin_file,
            management_key_file=management_key_file,
            allow_defaults=allow_defaults,
            yes=yes,
            force=force,
        )
    if allow_defaults or any((reader, slot, pin_file, management_key_file)):
        raise UsageError("these options are for a smartcard", hint="add --smartcard")
    return None


@contextmanager
def prepared(talk: Talk, options: CardOptions) -> Iterator[Prepared | None]:
    """Yield the card, all questions asked and answered; None when the person says no.

    Raise CardError, and for the PIN, PUK or management key of every new card unless these are
    allowed, or changed at the terminal.
    """
    with connected_card(talk, options.reader) as card:
        if not may_replace(talk, card, options.slot, yes=options.yes):
            yield None
            return
        key = authenticate(talk, card.piv, options.management_key_file)
        pin = pin_of(talk, card.piv, options.pin_file, force=options.force)
        if not options.allow_defaults:
            pin = _no_defaults(talk, card.piv, pin, key)
        card.piv.verify(pin, force=options.force)
        yield Prepared(card, options.slot)


def _no_defaults(talk: Talk, piv: Piv, pin: Pin, key: ManagementKey) -> Pin:
    """Have each secret changed that every new card has; raise CardError where that is not done."""
    found = _defaults(talk, piv, pin, key)
    if not found:
        return pin
    words = " and ".join(", ".join(found).rsplit(", ", 1))
    plural = "are those" if len(found) > 1 else "is the one"
    refusal = CardError(
        f"the card's {words} {plural} of every new card: whoever finds it could use or change it",
        hint=f"{'; '.join(found.values())}; or add --allow-defaults",
    )
    if not talk.interactive:
        raise refusal
    if not ask.confirm(
        talk,
        f"The card's {words} {plural} of every new card. Change now?",
        option="--allow-defaults",
    ):
        raise refusal
    return _changed(talk, piv, pin, found)


def _defaults(talk: Talk, piv: Piv, pin: Pin, key: ManagementKey) -> dict[str, str]:
    """Return what is as in every new card, each with the command that changes it."""
    puk = piv.metadata(_PUK)
    if puk is None or puk.is_default is None:
        talk.warn("this card does not tell whether its PUK is the one of every new card")
    change = "cipsec smartcard change-pin"
    commands = {
        "PIN": (pin.is_default, change),
        "PUK": (puk is not None and puk.is_default, f"{change} --puk"),
        "management key": (key.is_default, f"{change} --management-key -o FILE"),
    }
    return {what: command for what, (is_default, command) in commands.items() if is_default}


def _changed(talk: Talk, piv: Piv, pin: Pin, found: dict[str, str]) -> Pin:
    if "management key" in found:
        file = ask.line(talk, "New file for the new management key")
        change_management_key(talk, piv, Path(file).absolute())
    if "PUK" in found:
        offer_new_puk(talk, piv)
    return offer_new_pin(talk, piv, pin) if "PIN" in found else pin


def put(
    talk: Talk,
    ready: Prepared,
    *,
    name: str,
    key_type: KeyType,
    sign: Callable[[CertificateRequest], CertificateRow],
    keep: Callable[[CertificateRow], CredentialRow],
) -> tuple[CredentialRow, CertificateRow]:
    """Make key and request on the card, sign, record, and write; whatever fails says what is left.

    Raise CardError and what `sign` and `keep` raise.
    """
    before = ready.card.piv.occupant(ready.slot)
    try:
        row = sign(ready.request(name, key_type))
        credential = keep(row)
    except (CipsecError, KeyboardInterrupt):
        talk.warn(f"nothing is on record; {_left(before)}")
        raise
    try:
        ready.write(row)
    except KeyboardInterrupt:
        revoke = f"cipsec ca revoke {row.serial}"
        talk.warn(f"the certificate is on record, and perhaps not on the card: {revoke}")
        raise
    return credential, row


def _left(before: str | None) -> str:
    return "a new key without certificate may be on the card" + (
        f", in place of {safe.text(before)}" if before else ""
    )
