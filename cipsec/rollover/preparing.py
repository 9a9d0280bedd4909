"""The next root of a CA that is one, made and published."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from cipsec.ca.authority import Authority
from cipsec.ca.rollover import Successor, require_followed, successor
from cipsec.ca_folder import Generation
from cipsec.ca_folder.key_place import Held
from cipsec.errors import StoreFailed
from cipsec.pki.keys import KeyType
from cipsec.rollover import next_key
from cipsec.rollover.step import Step, require_none, sweep
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.times import show_time
from cipsec.token.uri import KeyUri


def prepare(
    step: Step,
    passphrase: str | None,
    *,
    key_type: KeyType | None = None,
    validity: timedelta,
    named: KeyUri | None = None,
) -> Generation:
    """Make the next root, which is published from now on and does not issue yet.

    Its key is of the present one's type, has its passphrase or is on its token, there `named` if
    need be. Raises AlreadyExists when there is one, Locked, and what `successor` and
    `next_key.obtain` raise.
    """
    require_none(step.folder)
    with step.folder.keys_held():  # that the passphrase stays the same until all is there
        sweep(step)
        require_none(step.folder)  # once more: who came first may just be done
        made, held = _made(step, passphrase, key_type, validity, named)
        _publish(step, made, held)
    return step.folder.successor


def _made(
    step: Step,
    passphrase: str | None,
    wanted: KeyType | None,
    validity: timedelta,
    named: KeyUri | None,
) -> tuple[Successor, Held]:
    folder, end = step.folder, step.now.replace(microsecond=0) + validity
    certificate, old_key = folder.pair(passphrase)
    old = Authority(certificate, old_key)
    require_followed(old, now=step.now, end=end)  # before a key is made on a token
    key, held = next_key.obtain(folder, passphrase, wanted, named)
    return successor(old, old_key, key, now=step.now, end=end), held


def _publish(step: Step, made: Successor, held: Held) -> None:
    upcoming = step.folder.successor
    links = made.new_with_old, made.old_with_new

    def publish(db: sqlite3.Connection) -> None:
        require_none(step.folder)
        why = f"the next root, valid until {show_time(made.certificate.not_valid_after_utc)}"
        events.append(db, step.event(Code.ROLLOVER_PREPARED, made.certificate, why))
        upcoming.fill(held, made.certificate, links)

    try:
        step.database.write(publish)
    except StoreFailed:  # a full disk: what is not on record is not to be handed out
        if upcoming.exists() and upcoming.certificate() == made.certificate:
            upcoming.withdraw()
        raise
