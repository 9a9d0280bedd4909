"""The lists as they are now: looked at whenever a request needs them, loaded without a stall."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec.errors import Malformed, UsageError
from cipsec.ra.allowlist import load, place
from cipsec.ra.allowlist.entries import Listed, key_of_device
from cipsec.ra.allowlist.load import Loaded
from cipsec.ra.allowlist.place import Place, Stamp
from cipsec.ra.allowlist.table import Table
from cipsec.ra.notyet import NotYet

if TYPE_CHECKING:
    from cipsec.pki.device import Identity
    from cipsec.ra.allowlist.background import Background

SMALL = 64 * 1024  # bytes that are read within a request: 1,500 lines, some 5 ms


class Allowlists:
    """All lists of a folder; to be used from one thread.

    A change takes effect at the next call. While a large list that has changed is loading, nobody
    is answered from the old version: a right may have been taken away, and `allowlist remove` has
    said so. Nor can its "not listed" be used, for the device may be what was added; and both
    versions of a list of a million would take twice the memory. So who needs the list waits, and
    is then asked to come back; who does not is answered meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lists: dict[str, _List] = {}

    def names(self) -> list[str]:
        """Return the names of the lists there are now, sorted."""
        return place.names(self._folder)

    def find(self, name: str, identity: Identity) -> Listed | None:
        """Return where a list names the device, else where it names the MAC address, or None.

        Raises as `entries` does.
        """
        return next(iter(self.entries(name, identity)), None)

    def entries(self, name: str, identity: Identity) -> list[Listed]:
        """Return where a list names the device and where it names the MAC address.

        Expired entries are returned too. Raises Malformed, naming file and line, when the list is
        broken, missing or unreadable, and NotYet while it is loading.
        """
        table = self._list(name).table()
        listed = []
        for device in (identity.device, identity.mac):
            found = table.find(key_of_device(device)) if device is not None else None
            if found:
                line, row = found
                listed.append(Listed(name, line, row.entry()))
        return listed

    def load_now(self, name: str) -> None:
        """Load a list where it has changed, and wait for that; raise Malformed as `find` does."""
        self._list(name).load_now()

    def _list(self, name: str) -> _List:
        found = self._lists.get(name)
        if found is None:
            try:
                found = self._lists[name] = _List(Place(self._folder, name))
            except UsageError as error:
                raise Malformed(error.message, hint=error.hint) from None
        return found


class _List:
    """One list: what was loaded last, and the load that is under way."""

    def __init__(self, where: Place) -> None:
        self._place = where
        self._loaded: Loaded | None = None
        self._loading: Background | None = None

    def table(self) -> Table:
        """Return the table as the file is now; raise Malformed or NotYet."""
        stamp = self._place.look()
        loaded = self._loaded
        if loaded is None or loaded.stamp != stamp or not loaded.settled or loaded.again_at:
            loaded = self._again(stamp)
        return loaded.table(self._place)

    def load_now(self) -> None:
        self._settle(self._place.look())
        if self._loaded is None:
            self._loaded, self._loading = load.here(self._place), None

    def _again(self, stamp: Stamp) -> Loaded:
        self._collect()
        self._settle(stamp)
        if self._loaded is None and stamp[2] <= SMALL:
            self._loaded = load.here(self._place)
        if self._loaded is not None:
            return self._loaded
        if self._loading is None:
            # Only servers with large lists need what this imports: 40 ms of every command.
            from cipsec.ra.allowlist.background import Background

            self._loading = Background(self._place, stamp)
        raise NotYet(self._loading.ready)

    def _settle(self, stamp: Stamp) -> None:
        """Let go of what the file no longer says: a large table before its successor comes."""
        loaded = self._loaded
        if loaded is None:
            return
        over = loaded.again_at is not None and time.monotonic() >= loaded.again_at
        if loaded.stamp != stamp or over:
            self._loaded = None
        elif not loaded.settled:
            self._loaded = load.again(self._place, loaded)

    def _collect(self) -> None:
        """Take over what a load brought; forget one that a fork has left behind."""
        if self._loading is not None and not self._loading.is_running():
            self._loaded = self._loading.result
            self._loading = None
