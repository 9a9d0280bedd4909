"""The CA with its key in a running server: loaded again when another root has taken over."""

from __future__ import annotations

from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder


class Signing:
    """The root that issues; the passphrase is kept, for the next root's key has the same."""

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
