"""The revocation lists of a running server: signed in one process, handed out by each.

What is due is `publishing`'s to say; here is how often it is asked, and what becomes of failures.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cipsec import publishing, times
from cipsec.ca_folder import CaFolder
from cipsec.current import Stamp, stamp
from cipsec.errors import CipsecError, LocalState, Malformed
from cipsec.est import crls as bodies
from cipsec.est.crls import Bodies
from cipsec.pki import der
from cipsec.ra.config import ConfigFile
from cipsec.ra.publication import CrlConfig
from cipsec.serve.plan import Plan
from cipsec.store import crls
from cipsec.store.database import Database

_LOG = logging.getLogger(__name__)

# Not more than one list in a second: the numbers of lists are not to run ahead of the clock.
_SECONDS = 1.0
_FOLLOW_SECONDS = 0.5
_WHOLE_SECONDS = 30.0  # between two looks at everything, where nothing seems to have changed
_FAILED_SECONDS = 10.0
_SHARE = 4  # times as long as signing took, nothing is signed

_SEQUENCE = 0x30

_Seen = tuple[object, ...]


class Signing:
    """Signs the lists that are due; one object in one process of a server."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._config = ConfigFile(plan.folder.config_file)
        self._wanted = CrlConfig()
        self._seen: _Seen | None = None
        self._looked = 0.0
        self._said = ""

    def sign(self, database: Database) -> float:
        """Sign what is due, in the thread that calls; return after how many seconds to look again.

        What goes wrong is logged, once while it stays the same; the lists that are there remain.
        """
        began = time.monotonic()
        try:
            self._sign(database, began)
            self._said = ""
        except CipsecError as error:
            self._seen = None
            if error.message != self._said:
                _LOG.error("the revocation list is not renewed: %s", error.message)
            self._said = error.message
            return _FAILED_SECONDS
        return max(_SECONDS, _SHARE * (time.monotonic() - began))

    def _sign(self, database: Database, began: float) -> None:
        seen = (*self._stamps(), database.read(crls.newest), self._crl_config())
        if seen == self._seen and began - self._looked < _WHOLE_SECONDS:
            return
        made = publishing.publish(
            self._plan.folder,
            database,
            self._plan.crl_issuers(),
            now=times.now(),
            validity=self._wanted.validity,
            backdate=self._wanted.backdate,
        )
        for one in made:
            published = one.published
            _LOG.info("revocation list %d: %d entries", published.number, published.entries)
        self._seen, self._looked = (*self._stamps(), *seen[-2:]), began

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(stamp(str(path)) for path in self._plan.folder.crl_files())

    def _crl_config(self) -> CrlConfig:
        """Return what ca.toml says, or said before it was broken: revoking goes on meanwhile."""
        try:
            self._wanted = self._config.current().crl
        except LocalState as error:
            _LOG.debug("the table [crl] stays as it was: %s", error.message)
        return self._wanted


def sign_first(plan: Plan) -> Signing:
    """Sign what is due before anybody is answered; what goes wrong keeps nobody from enrolling."""
    signing = Signing(plan)
    with closing(plan.folder.store()) as database:
        signing.sign(database)
    return signing


async def keep_signed(signing: Signing, database: Database) -> None:
    """Sign what is due from now on; when it is cancelled, what is being signed is finished."""
    seconds = _SECONDS
    while True:
        await asyncio.sleep(seconds)
        work = asyncio.ensure_future(asyncio.to_thread(signing.sign, database))
        try:
            seconds = await asyncio.shield(work)
        finally:
            await asyncio.wait([work])


@dataclass(frozen=True, slots=True)
class List:
    """A list as it lies in the folder, since when, and a tag that no other has (RFC 9110 8.8.3)."""

    der: bytes
    since: datetime
    tag: str


class Handed:
    """The lists of the folder as one process hands them out: read once for all who ask."""

    def __init__(self, folder: CaFolder) -> None:
        self._folder = folder
        self._seen: dict[Path, Stamp] = {}
        self._lists: dict[Path, List] = {}
        self._marks = {"": folder.crl_file}
        self._bodies: Bodies | None = None

    def bodies(self) -> Bodies | None:
        """Return what /crls answers with; None while there is no list."""
        return self._bodies

    def marked(self) -> Iterator[tuple[str, List | None]]:
        """Yield the list of each root, None while there is none, behind what its URL has of it."""
        return ((mark, self._lists.get(file)) for mark, file in self._marks.items())

    def has_changed(self) -> bool:
        """Tell whether something else lies in the folder than was read last."""
        return self._stamps() != self._seen

    def load(self) -> None:
        """Read the lists; raise LocalState, and those of before remain.

        One that is gone is handed out as before, unless its root is gone with it: it will be signed
        anew, and is no secret.
        """
        seen, marks = self._stamps(), self._folder.crl_marks()
        before = {path: one for path, one in self._lists.items() if path in marks.values()}
        lists = before | {path: _read(path, one) for path, one in seen.items()}
        self._bodies = bodies.bodies([one.der for one in lists.values()]) if lists else None
        self._lists, self._seen, self._marks = lists, seen, marks

    def _stamps(self) -> dict[Path, Stamp]:
        stamps = {path: stamp(str(path)) for path in self._folder.crl_files()}
        return {path: one for path, one in stamps.items() if one is not None}


def _read(path: Path, seen: Stamp) -> List:
    """Read a list; raise Malformed for what is none, though not for all of that.

    To parse 100,000 entries would keep the event loop waiting; who gets it, verifies it.
    """
    data = publishing.read(path)
    try:
        der.only(data, _SEQUENCE)
    except (ValueError, IndexError):
        raise Malformed(f"{path} holds no revocation list") from None
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return List(data, times.from_seconds(seen[0] // 10**9), tag)


def hand_out(folder: CaFolder) -> Handed:
    """Return the lists that lie in the folder now; one that cannot be read is said, and waits."""
    handed = Handed(folder)
    try:
        handed.load()
    except LocalState as error:
        _LOG.error("the revocation list is not handed out: %s", error.message)
    return handed


async def follow(handed: Handed) -> None:
    """Hand out what lies in the folder from now on, whoever laid it there."""
    said = ""
    while True:
        try:
            if handed.has_changed():
                await asyncio.to_thread(handed.load)
            said = ""
        except LocalState as error:
            if error.message != said:
                _LOG.error("the revocation list handed out stays as it was: %s", error.message)
            said = error.message
        await asyncio.sleep(_FOLLOW_SECONDS)
