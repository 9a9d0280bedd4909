"""A smartcard as the credential of one command: looked at, its PIN asked once, used at each poll.

Reader, card, slot, certificate and server are known to be good before anybody is asked for the
PIN; the card is shown the PIN when the server, already verified, wants the certificate. Between
polls the card is not held and may be pulled. Speaking PIV is `card`'s, asking is `_cli`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509

from cipsec import files, times
from cipsec.card import journal, keys
from cipsec.card.journal import Entry
from cipsec.card.pins import Pin
from cipsec.card.piv import Piv
from cipsec.card.public import type_of
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.endpoint.state import CardNeeded, Kind, State
from cipsec.errors import CardError, LastTry, LocalState, NoCard, NoReader, WrongCard
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import show_name, show_serial
from cipsec.safe import text
from cipsec.times import show_time
from cipsec.tls import signer
from cipsec.tls.client import SignerCredential

_ENDS_SOON = timedelta(days=14)
_ANEW = "cipsec ca provision NAME --smartcard, at the CA"
_PIN_EACH_TIME = Slot(0x9C)  # SP 800-73-5 part 1, section 3.1.3: digital signature


class Placed(Protocol):
    """A PIV card in a reader, for as long as it is connected."""

    @property
    def piv(self) -> Piv:
        """The application, selected."""

    @property
    def reader(self) -> str:
        """The name of the reader."""


Connect = Callable[[], AbstractContextManager[Placed]]


class Holder(Protocol):
    """Who holds the card; `_cli` has the one at the terminal."""

    @property
    def present(self) -> bool:
        """Whether somebody is there to put a card in."""

    def pin(self, piv: Piv) -> Pin:
        """Ask for the PIN; raise PinBlocked and LastTry before, UsageError where nobody can be."""

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""


class Card:
    """The card, its slot, and whether its last try may be spent (`force`), for one command."""

    def __init__(
        self,
        connect: Connect,
        holder: Holder,
        *,
        reader: str | None = None,
        slot: Slot = AUTHENTICATION,
        force: bool = False,
    ) -> None:
        self._connect, self._holder = connect, holder
        self._named, self._slot, self._force = reader, slot, force
        self._certificate: x509.Certificate | None = None
        self._reader = ""
        self._pin: Pin | None = None
        self._proved = False

    def look(self, state: State | None) -> None:
        """Read the certificate and judge it, and the tries left; no PIN is needed.

        `state` is that of a request which waits. Raises CardError for whatever the card, its
        reader or PC/SC cannot do, and LocalState where this Python cannot use a key on a card.
        """
        signer.usable()
        with self._connect() as placed:
            certificate = self._read(placed.piv)
            self._spare(placed.piv, state)
            self._reader = placed.reader
        self._certificate = certificate
        left = certificate.not_valid_after_utc - times.now()
        if left < _ENDS_SOON:
            end = show_time(certificate.not_valid_after_utc)
            self._holder.warn(f"the certificate on the card ends at {end}")

    def ask_pin(self) -> None:
        """Ask for the PIN, which is kept for this command.

        Raises as `look` does, and UsageError where nobody can be asked.
        """
        with self._connected() as placed:
            self._pin = self._holder.pin(placed.piv)

    @contextmanager
    def presented(self) -> Iterator[SignerCredential]:
        """Connect and yield the credential, which serves until the block ends.

        The card is shown the PIN when TLS first wants a signature. It raises there, and here, what
        `look` raises, WrongPin, and WrongCard for another card than the one looked at.
        """
        with self._connected() as placed:
            certificate = self._known()
            key = keys.signing(certificate.public_key(), self._signing(placed.piv, certificate))
            yield SignerCredential(certificate, key)

    def awaited(self, error: CardError, again: str) -> CardError:
        """Return, for people, that the card is waited for: it served, and somebody can put it in.

        Otherwise raises: the error itself, or that the card is needed for the command `again`.
        """
        if not self._proved or not isinstance(error, (NoCard, NoReader, WrongCard)):
            raise error
        name = text(show_name(self._known().subject))
        message = f"the card {name} is needed again: {error.message}"
        lost = type(error)(message, hint=f"put it in, and: {again}")
        if not self._holder.present:
            raise lost
        return lost

    def needed(self) -> CardNeeded:
        """Return what the identity folder remembers of the card."""
        certificate = self._known()
        return CardNeeded(
            subject=show_name(certificate.subject),
            sha256=sha256(certificate),
            slot=str(self._slot),
            reader=self._named,
        )

    def record(self, issued: x509.Certificate, server: str, directory: Path) -> None:
        """Append to the journal what the card enrolled; only warn when that fails."""
        own = self._known()
        entry = Entry(
            time=times.now(),
            reader=self._reader,
            card_subject=show_name(own.subject),
            card_serial=show_serial(own.serial_number),
            card_sha256=sha256(own),
            subject=show_name(issued.subject),
            serial=show_serial(issued.serial_number),
            sha256=sha256(issued),
            server=server,
            directory=str(directory),
        )
        try:
            journal.append(files.default_card_journal(), entry)
        except LocalState as error:
            self._holder.warn(f"the journal of cards misses this enrollment: {error.message}")

    def _spare(self, piv: Piv, state: State | None) -> None:
        """Raise PinBlocked, and LastTry; the hint does not drop a request that waits."""
        try:
            piv.spare_pin(force=self._force)
        except LastTry as error:
            if state is None or not state.pending or state.kind is not Kind.ENROLL:
                raise
            hint = "if you know the PIN: cipsec smartcard change-pin --force"
            raise LastTry(error.message, hint=hint) from None

    def _known(self) -> x509.Certificate:
        assert self._certificate is not None, "the card is looked at first"
        return self._certificate

    def _read(self, piv: Piv) -> x509.Certificate:
        certificate = piv.certificate(self._slot)
        if certificate is None:
            raise CardError(
                f"slot {self._slot} of the card holds no certificate",
                hint="cipsec smartcard show, then --slot SLOT",
            )
        _require_valid(certificate)
        type_of(certificate.public_key())
        return certificate

    @contextmanager
    def _connected(self) -> Iterator[Placed]:
        """Connect to the card that was looked at: no other is shown its PIN."""
        with self._connect() as placed:
            if self._read(placed.piv) != self._known():
                name = text(show_name(self._known().subject))
                raise WrongCard(
                    f"the card in {text(placed.reader)} is another one than {name}",
                    hint="put the first one in",
                )
            self._reader = placed.reader
            yield placed

    def _signing(self, piv: Piv, certificate: x509.Certificate) -> keys.SignOnCard:
        key_type = type_of(certificate.public_key())
        verified = False

        def sign(block: bytes) -> bytes:
            nonlocal verified
            if not verified or self._slot == _PIN_EACH_TIME:
                self._verify(piv)
                verified = True
            return piv.sign(self._slot, key_type, block)

        return sign

    def _verify(self, piv: Piv) -> None:
        """Show the PIN; one that was not accepted is not shown again."""
        pin, self._pin = self._pin, None
        if pin is None:
            raise CardError("the PIN of the card was not accepted; it is not tried again")
        piv.verify(pin, force=self._force)
        self._pin, self._proved = pin, True


def _require_valid(certificate: x509.Certificate) -> None:
    now = times.now()
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise CardError(f"the certificate on the card ended at {show_time(end)}", hint=_ANEW)
    if now < start:
        raise CardError(
            f"the certificate on the card is not valid before {show_time(start)}",
            hint="check this machine's clock with: date -u",
        )


def missing(state: State, directory: Path) -> CardError:
    """Return the error of going on without the card that a request was made with."""
    needed = state.card
    assert needed is not None, "of a request made with a card"
    return CardError(
        f"this request was made with the smartcard {text(needed.subject)}",
        hint=f"put it in, and: {state.again(directory)}; or drop it: {State.anew(directory)}",
    )
