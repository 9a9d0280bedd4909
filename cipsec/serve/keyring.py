"""The CA's keys in a running server: loaded once, and again when another root has taken over."""

from __future__ import annotations

from datetime import datetime

from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder
from cipsec.errors import Locked


class Keyring:
    """The roots with their keys; the passphrase is kept, for the next root's key has the same.

    What is loaded goes on when the passphrase is changed meanwhile.
    """

    def __init__(self, folder: CaFolder, passphrase: str | None, *, now: datetime) -> None:
        """Load the keys; raise Locked, Malformed, LocalState."""
        self._folder = folder
        self._passphrase = passphrase
        self._path = folder.path_to_root()
        self._authority, *self._others = folder.authorities(passphrase, now)

    def current(self) -> Authority:
        """Return the CA that issues as the folder has it; raise Locked, LocalState."""
        path = self._folder.path_to_root()
        if path != self._path:  # of an intermediate also where only those above it are others
            taken_over = self._taken_over()
            self._others.append(self._authority)
            self._authority, self._path = taken_over, path
        return self._authority

    def _taken_over(self) -> Authority:
        try:
            return self._folder.authority(self._passphrase)
        except Locked:
            raise Locked(
                "another root issues from now on, and its key has a passphrase that this server"
                " was not started with: end it and start it again"
            ) from None

    def every(self, now: datetime) -> list[Authority]:
        """Return it and those before it that have not ended; raise Locked, LocalState."""
        current = self.current()
        before = [one.certificate() for one in self._folder.previous()]
        others = (one for one in self._others if one.certificate in before)
        return [current, *(one for one in others if one.ends > now)]
