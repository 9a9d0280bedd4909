"""The CA's roll-over in steps: prepare and publish, take over, let go; or call it off.

Between the first two the old key still issues, and endpoints learn of the new root with each
enrollment. Each step is taken inside one transaction of the store, so that two operators never take
the same; one that was interrupted is finished by the next. Certificates are `ca.rollover`'s, the
running server follows by itself.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import provisioning
from cipsec.ca.authority import Authority
from cipsec.ca.generation import Generation
from cipsec.ca.rollover import made_at, successor
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.errors import AlreadyExists, LocalState, NotFound, StoreFailed, UsageError
from cipsec.passphrase import settle
from cipsec.pki import keys
from cipsec.pki.names import show_name, show_serial
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.times import show_time

# As `files` names what is not whole yet; a key may be in it.
_LEFT = re.compile(r"\.(ca\.key|ca\.pem|provisioning\.pem|next|[0-9a-f]{16})\.[0-9a-f]{12}")
_ACTIVATE = "cipsec ca rollover --activate"


@dataclass(frozen=True, slots=True)
class Step:
    """Who takes a step, and when."""

    folder: CaFolder
    database: Database
    by: str
    now: datetime

    def event(self, what: Code, root: x509.Certificate, reason: str) -> Event:
        """Return the event of a step; `root` is the one that it is about."""
        return Event(
            at=int(self.now.timestamp()),
            event=what,
            actor=self.by,
            serial=show_serial(root.serial_number),
            subject=show_name(root.subject),
            reason=f"{reason}; SHA-256 {fingerprint(root)}",
        )


def is_interrupted(folder: CaFolder) -> bool:
    """Tell whether the next root issues already and the rest is still to be tidied."""
    return folder.successor.exists() and folder.next() is None


def sweep(step: Step) -> None:
    """Remove what an earlier step left half-written when it was killed; raise LocalState.

    Inside a transaction, and with the keys held, so that nobody is at work on it.
    """

    def clean(_: sqlite3.Connection) -> None:
        places = (step.folder.path, step.folder.predecessors_folder)
        inside = [path for place in places if place.is_dir() for path in place.iterdir()]
        for path in inside:
            if _LEFT.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    try:
        step.database.write(clean)
    except OSError as error:
        where = step.folder.path
        raise LocalState(f"{where} cannot be written: {files.reason(error)}") from None


def require_file(folder: CaFolder) -> None:
    """Raise UsageError for a CA whose key is on a token."""
    if (uri := folder.key_uri()) is not None:
        raise UsageError(
            f"the CA's key is on the token {uri.token}, and its next key would be in a file",
            hint="make another CA with its key on the token: cipsec ca init --help",
        )


def prepare(
    step: Step, passphrase: str | None, *, key_type: keys.KeyType, validity: timedelta
) -> Generation:
    """Make the next root, which is published from now on and does not issue yet.

    Its key has the passphrase of the present one, so that the running server can take it up.
    Raises AlreadyExists when there is one, Locked, and what `successor` raises.
    """
    require_file(step.folder)
    require_none(step.folder)
    with step.folder.keys_held():  # that the passphrase stays the same until all is there
        sweep(step)
        return _prepare(step, passphrase, key_type, validity)


def _prepare(
    step: Step, passphrase: str | None, key_type: keys.KeyType, validity: timedelta
) -> Generation:
    folder = step.folder
    certificate, old_key = folder.pair(passphrase)
    made = successor(
        Authority(certificate, old_key),
        old_key,
        keys.generate(key_type),
        now=step.now,
        end=step.now.replace(microsecond=0) + validity,
    )
    pem = keys.to_pem(made.key, passphrase if folder.is_encrypted() else None)

    def publish(db: sqlite3.Connection) -> None:
        require_none(folder)
        why = f"the next root, valid until {show_time(made.certificate.not_valid_after_utc)}"
        events.append(db, step.event(Code.ROLLOVER_PREPARED, made.certificate, why))
        folder.successor.fill(pem, made.certificate, made.new_with_old, made.old_with_new)

    try:
        step.database.write(publish)
    except StoreFailed:  # a full disk: what is not on record is not to be handed out
        if folder.successor.exists() and folder.successor.certificate() == made.certificate:
            folder.successor.remove()
        raise
    return folder.successor


def require_none(folder: CaFolder) -> None:
    """Raise AlreadyExists where a roll-over is prepared, or was interrupted."""
    if is_interrupted(folder):
        raise AlreadyExists("a roll-over was interrupted", hint=f"finish it: {_ACTIVATE}")
    if folder.successor.exists():
        made = show_time(made_at(folder.successor.certificate()))
        raise AlreadyExists(
            f"the next root was prepared at {made}",
            hint=f"{_ACTIVATE}, or call it off: cipsec ca rollover --cancel",
        )


def activate(step: Step, passphrase: str | None) -> x509.Certificate:
    """Let the next root issue from now on, and return it; finish what was interrupted.

    The old key stays, to sign revocation lists of what it issued. Raises NotFound when none is
    prepared, Locked when the passphrase does not open its key and the present one.
    """
    if is_interrupted(step.folder):
        return finish(step)
    # A change of the passphrase that was cut off: the present key's is everybody's.
    step.folder.pair(passphrase)
    settle(step.folder, passphrase)
    with step.folder.keys_held():  # that no key is under another passphrase meanwhile
        sweep(step)
        return _activate(step, passphrase)


def _activate(step: Step, passphrase: str | None) -> x509.Certificate:
    folder = step.folder
    upcoming = required(folder)
    authority = upcoming.authority(passphrase)
    authority.require_valid(step.now)

    def take_over(db: sqlite3.Connection) -> None:
        if required(folder).certificate() != authority.certificate:
            raise NotFound("meanwhile another roll-over was prepared", hint="run it again")
        old = folder.certificate()
        events.append(db, _taken_over(step, authority.certificate))
        _renew_provisioning(step, authority, passphrase)
        _keep(folder, old, upcoming)
        pem = authority.certificate.public_bytes(Encoding.PEM)
        files.replace(folder.certificate_file, pem, mode=files.PUBLIC)  # the one step that counts
        files.replace(folder.key_file.resolve(), files.read(upcoming.key_file))

    step.database.write(take_over)
    upcoming.remove()
    return authority.certificate


def required(folder: CaFolder) -> Generation:
    """Return the next root; raise NotFound where none is prepared."""
    upcoming = folder.next()
    if upcoming is None:
        raise NotFound("no roll-over is prepared", hint="cipsec ca rollover")
    return upcoming


def _taken_over(step: Step, root: x509.Certificate) -> Event:
    return step.event(
        Code.ROLLOVER_ACTIVATED, root, "it issues from now on, in place of the root before"
    )


def _keep(folder: CaFolder, old: x509.Certificate, upcoming: Generation) -> None:
    kept = folder.predecessor(old)
    if kept.exists():  # by a step that was interrupted; the passphrase may be another since
        kept.remove()
    key = files.read(folder.key_file)
    links = upcoming.new_with_old(), upcoming.old_with_new()
    kept.fill(key, old, *links)


def _renew_provisioning(step: Step, authority: Authority, passphrase: str | None) -> None:
    """Let the issuer of provisioning certificates, under its own key, last as long as the CA."""
    folder = step.folder
    if folder.provisioning_certificate() is None:
        return
    key = keys.from_either_pem(files.read(folder.provisioning_key_file), passphrase)
    pem = provisioning.issuer(authority, key, now=step.now).public_bytes(Encoding.PEM)
    files.replace(folder.provisioning_certificate_file, pem, mode=files.PUBLIC)


def finish(step: Step) -> x509.Certificate:
    """Finish a roll-over that was interrupted after the new root had taken over.

    With the keys held: a change of the passphrase puts back what it has read of them before.
    """
    with step.folder.keys_held():
        sweep(step)
        return _finish(step)


def _finish(step: Step) -> x509.Certificate:
    folder, root = step.folder, step.folder.certificate()

    def tidy(db: sqlite3.Connection) -> None:
        if not is_interrupted(folder):
            return
        files.replace(folder.key_file.resolve(), files.read(folder.successor.key_file))
        serial = show_serial(root.serial_number)
        told = "SELECT 1 FROM events WHERE event = ? AND serial = ?"
        if db.execute(told, (Code.ROLLOVER_ACTIVATED, serial)).fetchone() is None:
            events.append(db, _taken_over(step, root))

    step.database.write(tidy)
    if folder.successor.exists():
        folder.successor.remove()
    return root


def cancel(step: Step) -> x509.Certificate:
    """Destroy the next root, which has not issued, and return its certificate; raise NotFound.

    Endpoints that have taken it up keep it as an anchor that nobody has the key of.
    """

    def call_off(db: sqlite3.Connection) -> x509.Certificate:
        upcoming = required(step.folder)
        root = upcoming.certificate()
        events.append(db, step.event(Code.ROLLOVER_CANCELLED, root, "its key was destroyed unused"))
        upcoming.remove()
        kept = step.folder.predecessor(step.folder.certificate())
        if kept.exists():  # by an activation that was interrupted
            kept.remove()
        return root

    return step.database.write(call_off)


def over(folder: CaFolder, now: datetime) -> list[Generation]:
    """Return the roots before that have ended: their keys are of no use any more."""
    return [one for one in folder.previous() if one.certificate().not_valid_after_utc <= now]


def retire(step: Step) -> list[x509.Certificate]:
    """Destroy the keys of former roots that have ended; return their certificates."""

    def let_go(db: sqlite3.Connection) -> list[x509.Certificate]:
        gone = []
        for one in over(step.folder, step.now):
            root = one.certificate()
            events.append(
                db, step.event(Code.CA_RETIRED, root, "it has ended; its key was destroyed")
            )
            one.remove()
            gone.append(root)
        return gone

    return step.database.write(let_go)
