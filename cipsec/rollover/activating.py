"""The step that counts: the next key issues from now on, the one before is kept for its lists."""

from __future__ import annotations

import sqlite3

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import provisioning
from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder, Generation, certificates_in
from cipsec.ca_folder.generation import to_pem
from cipsec.errors import NotFound
from cipsec.passphrase import settle
from cipsec.pki import keys
from cipsec.pki.issued import is_root
from cipsec.pki.names import show_serial
from cipsec.rollover.step import Step, is_interrupted, required, sweep
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event


def activate(step: Step, passphrase: str | None) -> x509.Certificate:
    """Let the next root or CA issue from now on, and return it; finish what was interrupted.

    The old key stays, to sign revocation lists of what it issued. Raises NotFound when none is
    prepared, LocalState when it waits for its certificate, Locked when the passphrase does not open
    its key and the present one.
    """
    if is_interrupted(step.folder):
        return finish(step)
    required(step.folder)
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
        _lead(folder, upcoming)
        pem = authority.certificate.public_bytes(Encoding.PEM)
        files.replace(folder.certificate_file, pem, mode=files.PUBLIC)  # the one step that counts
        _follow(folder, upcoming)

    step.database.write(take_over)
    upcoming.remove()
    return authority.certificate


def _taken_over(step: Step, certificate: x509.Certificate) -> Event:
    return step.event(
        Code.ROLLOVER_ACTIVATED, certificate, "it issues from now on, in place of the one before"
    )


def _keep(folder: CaFolder, old: x509.Certificate, upcoming: Generation) -> None:
    kept = folder.predecessor(old)
    if kept.exists():  # by a step that was interrupted; the passphrase may be another since
        kept.remove()
    above = [] if is_root(old) else folder.path_to_root()[1:]
    kept.fill(folder.key_place.held(), old, upcoming.links(), above)


def _lead(folder: CaFolder, upcoming: Generation) -> None:
    """Let chain.pem lead up from either certificate while they are exchanged."""
    above = certificates_in(upcoming.chain_file)
    if above:
        before = certificates_in(folder.chain_file)
        every = list(dict.fromkeys([*above, *before]))
        files.replace(folder.chain_file, to_pem(every), mode=files.PUBLIC)


def _follow(folder: CaFolder, upcoming: Generation) -> None:
    """Let key, request and chain follow the certificate; may be done again and again."""
    folder.key_place.put(upcoming.key_place.held())
    if files.exists(upcoming.request_file):
        files.replace(folder.request_file, files.read(upcoming.request_file), mode=files.PUBLIC)
    if files.exists(upcoming.chain_file):
        files.replace(folder.chain_file, files.read(upcoming.chain_file), mode=files.PUBLIC)


def _renew_provisioning(step: Step, authority: Authority, passphrase: str | None) -> None:
    """Let the issuer of provisioning certificates, under its own key, last as long as the CA."""
    folder = step.folder
    if folder.provisioning_certificate() is None:
        return
    key = keys.from_either_pem(files.read(folder.provisioning_key_file), passphrase)
    pem = provisioning.issuer(authority, key, now=step.now).public_bytes(Encoding.PEM)
    files.replace(folder.provisioning_certificate_file, pem, mode=files.PUBLIC)


def finish(step: Step) -> x509.Certificate:
    """Finish a roll-over that was interrupted after the next key had taken over.

    With the keys held: a change of the passphrase puts back what it has read of them before.
    """
    with step.folder.keys_held():
        sweep(step)
        return _finish(step)


def _finish(step: Step) -> x509.Certificate:
    folder, own = step.folder, step.folder.certificate()

    def tidy(db: sqlite3.Connection) -> None:
        if not is_interrupted(folder):
            return
        _follow(folder, folder.successor)
        serial = show_serial(own.serial_number)
        told = "SELECT 1 FROM events WHERE event = ? AND serial = ?"
        if db.execute(told, (Code.ROLLOVER_ACTIVATED, serial)).fetchone() is None:
            events.append(db, _taken_over(step, own))

    step.database.write(tidy)
    if folder.successor.exists():
        folder.successor.remove()
    return own
