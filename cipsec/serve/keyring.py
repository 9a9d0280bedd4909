"""The CA's keys in a running server: loaded once, and again when another one has taken over."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder
from cipsec.errors import CipsecError, Locked
from cipsec.pki import keys

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Coming:
    """The next key, by its public half; None where the passphrase did not open it."""

    spki: bytes
    key: keys.PrivateKey | None


class Keyring:
    """The CA's keys; the passphrase is kept, for the next key has the same.

    What is loaded goes on when the passphrase is changed meanwhile. So the next key is loaded as
    soon as it is there, and not only when it issues.
    """

    def __init__(self, folder: CaFolder, passphrase: str | None, *, now: datetime) -> None:
        """Load the keys; raise Locked, Malformed, LocalState."""
        self._folder = folder
        self._passphrase = passphrase
        self._path = folder.path_to_root()
        self._authority, *self._others = folder.authorities(passphrase, now)
        self._coming: _Coming | None = None
        self._foresee()

    def current(self) -> Authority:
        """Return the CA that issues as the folder has it; raise Locked, LocalState."""
        path = self._folder.path_to_root()
        if path != self._path:  # of an intermediate also where only those above it are others
            taken_over = self._taken_over(path)
            self._others.append(self._authority)
            self._authority, self._path = taken_over, path
        self._foresee()
        return self._authority

    def _taken_over(self, path: list[x509.Certificate]) -> Authority:
        own, *above = path
        spki, mark = keys.spki(own.public_key()), self._folder.crl_mark()
        if spki == keys.spki(self._authority.certificate.public_key()):
            return self._authority.renewed(own, above, mark=mark)
        if self._coming and self._coming.key and self._coming.spki == spki:
            return Authority(own, self._coming.key, above, mark=mark)
        try:
            return self._folder.authority(self._passphrase)
        except Locked:
            raise Locked(
                "another key issues from now on, and has a passphrase that this server was not"
                " started with: end it and start it again"
            ) from None

    def _foresee(self) -> None:
        """Load the next key once; what is wrong with it is said when it is needed, or in time."""
        upcoming, before = self._folder.successor, self._coming
        with contextlib.suppress(CipsecError):
            if not (upcoming.exists() or upcoming.is_waiting()):
                self._coming = None
                return
            spki = keys.spki(upcoming.certified().public_key())
            if before and before.spki == spki:
                return
            try:
                self._coming = _Coming(spki, upcoming.private_key(self._passphrase))
            except Locked:
                self._coming = _Coming(spki, None)
                _LOG.warning(
                    "the CA's next key has a passphrase that this server was not started with:"
                    " start it again before the key is activated"
                )

    def every(self, now: datetime) -> list[Authority]:
        """Return it and those before it that have not ended; raise Locked, LocalState."""
        current = self.current()
        before = [one.certificate() for one in self._folder.previous()]
        others = (one for one in self._others if one.certificate in before)
        return [current, *(one for one in others if one.ends > now)]
