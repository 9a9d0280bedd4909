"""The CA's keys in a running server: loaded again when another root has taken over."""

from __future__ import annotations

from datetime import datetime

from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder


class Keyring:
    """The roots with their keys; the passphrase is kept, for the next root's key has the same."""

    def __init__(self, folder: CaFolder, passphrase: str | None) -> None:
        """Load the key; raise Locked, Malformed, LocalState."""
        self._folder = folder
        self._passphrase = passphrase
        self._authority = folder.authority(passphrase)

    def current(self) -> Authority:
        """Return the root that issues as the folder has it; raise Locked, LocalState."""
        if self._folder.certificate() != self._authority.certificate:
            self._authority = self._folder.authority(self._passphrase)
        return self._authority

    def every(self, now: datetime) -> list[Authority]:
        """Return it and those before it that have not ended; raise Locked, LocalState."""
        return self._folder.authorities(self._passphrase, now)
