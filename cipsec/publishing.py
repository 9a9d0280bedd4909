"""The CA's revocation list: signed when one is due, by one process at a time, laid into the folder.

Who looks when, and who hands it out, is left to `serve` and to the commands.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509

from cipsec import files
from cipsec.ca import crl
from cipsec.ca_folder import CaFolder, CrlIssuer, fingerprint
from cipsec.errors import LocalState
from cipsec.pki import keys
from cipsec.pki.faults import UNREADABLE
from cipsec.store import crls
from cipsec.store.crls import Published
from cipsec.store.database import Database
from cipsec.store.readonly import ReadOnly
from cipsec.times import from_seconds

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from cipsec.ca.authority import Authority

LIMIT = 256 * 1024 * 1024  # bytes of a list: five million entries
_HIGHEST = 1 << 48  # no number that was ever given out; SQLite has 63 bits
_PATIENCE_SECONDS = 30.0  # somebody else signs: half a second, or a machine that is very busy


@dataclass(frozen=True, slots=True)
class Made:
    """A list that lies in the folder: what is on record of it, and the list in DER."""

    published: Published
    der: bytes


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a list has to be to be the current one."""

    now: datetime
    validity: timedelta
    newest: int

    def objection(
        self, published: Published | None, issuer: x509.Certificate, file: Path
    ) -> str | None:
        """Return why another list is due, None while the one in the folder is good."""
        if published is None:
            return "there is none yet"
        signed, end, now = published.signed_at, published.next_update, self.now.timestamp()
        if published.covers < self.newest:
            return "something was revoked since"
        if now < signed:
            return "it was signed in the future, as a clock that was ahead had it"
        is_last = end >= issuer.not_valid_after_utc.timestamp()
        if not is_last and now - signed >= min(self.validity.total_seconds(), end - signed) / 2:
            return "half its time is over"
        if _sha256_of(file) != published.sha256:
            return f"{file} is not the list that was published"
        return None


def _sha256_of(file: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None where it cannot be read."""
    with contextlib.suppress(LocalState):
        return hashlib.sha256(read(file)).hexdigest()
    return None


def read(file: Path) -> bytes:
    """Return the bytes of a list; raise LocalState, also for what is no file."""
    return files.read(file, limit=LIMIT)


def why_due(
    folder: CaFolder, database: Database | ReadOnly, *, now: datetime, validity: timedelta
) -> str | None:
    """Return why another list of the CA is due, None while those in the folder are good.

    Also one of a root before, which who trusts that one looks at. It needs no key. Raises
    StoreFailed, LocalState.
    """
    own = folder.certificate()
    measure = _Measure(now, validity, _newest(database))
    if why := measure.objection(known(database, own), own, folder.crl_file):
        return why
    for one in folder.previous():
        root = one.certificate()
        ended = one.ends() <= now
        why = None if ended else measure.objection(known(database, root), root, one.crl_file)
        if why:
            return f"of the former root {fingerprint(root)[:16]}: {why}"
    return None


def current(
    folder: CaFolder, database: Database, *, now: datetime, validity: timedelta
) -> Made | None:
    """Return the CA's list while it is good, None when another is due; raise StoreFailed."""
    if why_due(folder, database, now=now, validity=validity):
        return None
    published = known(database, folder.certificate())
    with contextlib.suppress(LocalState):
        der = read(folder.crl_file)
        if published and published.sha256 == hashlib.sha256(der).hexdigest():
            return Made(published, der)
    return None  # another was signed meanwhile: it is to be looked at anew


def former(folder: CaFolder, *, now: datetime) -> list[bytes]:
    """Return the lists of the roots before that have not ended, in DER, the latest root's first.

    Raises LocalState.
    """
    before = folder.previous()
    living = (one for one in before if one.ends() > now)
    return [read(one.crl_file) for one in living if files.exists(one.crl_file)]


def publish(
    folder: CaFolder,
    database: Database,
    issuers: Sequence[CrlIssuer],
    *,
    now: datetime,
    validity: timedelta,
    backdate: timedelta,
    anyway: bool = False,
) -> list[Made]:
    """Sign a list for each issuer whose list is due, or for all; return those that were signed.

    Each is good for `validity` from now on, and began `backdate` before, for who has a clock that
    is behind.

    A list is due when something was revoked since, when half its time is over, and when what lies
    in the folder is something else than what was published. Blocks, with rests for other threads:
    half a second for 100,000 entries. Raises LocalState, and the lists that were there remain.
    """
    with _alone(folder):
        measure = _Measure(now, validity, _newest(database))
        due = [one for one in issuers if anyway or _objection(one, database, measure)]
        if not due:
            return []
        job = _job(database, due, measure, backdate)
        return [job.publish(one) for one in due]


def _objection(issuer: CrlIssuer, database: Database, measure: _Measure) -> str | None:
    own = issuer.authority.certificate
    return measure.objection(known(database, own), own, issuer.file)


@dataclass(frozen=True, slots=True)
class _Job:
    """What the lists that are signed together have in common."""

    database: Database
    measure: _Measure
    backdate: timedelta
    entries: bytes
    count: int

    def publish(self, issuer: CrlIssuer) -> Made:
        """Sign and lay down one list; its number is used up even when that fails."""
        authority, now, validity = issuer.authority, self.measure.now, self.measure.validity
        authority.require_valid(now)
        name = issuer_id(authority.certificate)
        least = max(int(now.timestamp()), self._number_there(issuer) + 1)
        number = self.database.write(lambda db: crls.next_number(db, name, at=least))
        terms = authority.terms(number, now=now, validity=validity, begin=self._begin(authority))
        der = authority.revocation_list(self.entries, terms)
        files.replace(issuer.file, der, mode=files.PUBLIC)
        made = Published(
            number=number,
            sha256=hashlib.sha256(der).hexdigest(),
            covers=self.measure.newest,
            entries=self.count,
            this_update=int(terms.this_update.timestamp()),
            next_update=int(terms.next_update.timestamp()),
            signed_at=int(now.timestamp()),
        )
        self.database.write(lambda db: crls.record(db, name, made))
        return Made(made, der)

    def _begin(self, authority: Authority) -> datetime:
        """Return when a list begins: later than the last, also where `backdate` has grown since.

        Of two lists OpenSSL takes the one that begins later. One that begins now or later was
        signed by a clock that was ahead, and is not to be followed.
        """
        now = int(self.measure.now.timestamp())
        begin = now - int(self.backdate.total_seconds())
        last = known(self.database, authority.certificate)
        if last and last.this_update < now:
            begin = max(begin, last.this_update + 1)
        return from_seconds(begin)

    def _number_there(self, issuer: CrlIssuer) -> int:
        """Return the number of the list that is to be replaced, read only where it is not known."""
        own = issuer.authority.certificate
        published = known(self.database, own)
        if published and _sha256_of(issuer.file) == published.sha256:
            return published.number
        return _number_in(issuer.file, own)


def _job(
    database: Database, issuers: Sequence[CrlIssuer], measure: _Measure, backdate: timedelta
) -> _Job:
    ends = min(_ends(database, one.authority.certificate, measure.now) for one in issuers)
    count = itertools.count()

    def encode(db: sqlite3.Connection) -> bytes:
        rows = crls.revoked(db, covers=measure.newest, ends=ends)
        # Read as they are encoded: with the same rests, and no row of them kept.
        return crl.encoded(_entry(*row) for row, _ in zip(rows, count, strict=False))

    return _Job(database, measure, backdate, database.read(encode), next(count))


def _entry(serial: str, revoked_at: int, why: str) -> crl.Entry:
    return crl.Entry(int(serial, 16), from_seconds(revoked_at), why)


def _number_in(file: Path, issuer: x509.Certificate) -> int:
    """Return the number of the issuer's list in a file, 0 where there is none.

    It may be newer than the store, which is from a backup.
    """
    with contextlib.suppress(LocalState, x509.ExtensionNotFound, *UNREADABLE):
        found = x509.load_der_x509_crl(read(file)).extensions
        number = found.get_extension_for_class(x509.CRLNumber).value.crl_number
        key = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        if key and key.hex() == issuer_id(issuer) and number < _HIGHEST:
            return number
    return 0


def issuer_id(certificate: x509.Certificate) -> str:
    """Return under which name the record has the list of a CA's key: its key identifier in hex.

    As its lists have it; a CA that was imported may have none in its certificate.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        found = x509.SubjectKeyIdentifier.from_public_key(keys.served(certificate.public_key()))
    return found.digest.hex()


def known(database: Database | ReadOnly, certificate: x509.Certificate) -> Published | None:
    """Return what is on record of the list that was published last; raise StoreFailed."""
    return database.read(lambda db: crls.published(db, issuer_id(certificate)))


def _newest(database: Database | ReadOnly) -> int:
    return database.read(crls.newest)


def _ends(database: Database, certificate: x509.Certificate, now: datetime) -> int:
    """Return since when what is left out must have expired: before the last list.

    What expired since then is on this list once more (RFC 5280 section 3.3), and what has not
    expired for a clock that is behind. With a clock that was ahead for the last list, nothing is
    left out that has not expired by the present one.
    """
    last = known(database, certificate)
    at = int(now.timestamp())
    return min(at, last.this_update) if last else at


@contextlib.contextmanager
def _alone(folder: CaFolder) -> Iterator[None]:
    """Hold the lock: of two who sign at once the one that is later sees what the other has done."""
    with files.held(
        folder.crl_lock_file,
        patience=_PATIENCE_SECONDS,
        busy="another process signs a revocation list, and does not get done with it",
        hint="try again in a minute",
    ):
        yield
