"""The next key of a CA below another: a request for the CA above, then the certificate it makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import founding
from cipsec.ca import fitness, issuers
from cipsec.ca.authority import subordinate_request
from cipsec.ca.fitness import Chain
from cipsec.ca_folder import CaFolder, Generation, certificates_in
from cipsec.errors import StoreFailed
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.pki.names import show_name
from cipsec.rollover import next_key
from cipsec.rollover.step import Step, require_none, require_whole, sweep
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.times import show_time
from cipsec.token.uri import KeyUri


def request(
    step: Step,
    passphrase: str | None,
    *,
    key_type: KeyType | None = None,
    named: KeyUri | None = None,
) -> Generation:
    """Make the next key and the request for its certificate, which it waits for from now on.

    The key is as `prepare` makes it. Raises AlreadyExists when there is one, Locked, and what
    `next_key.obtain` raises.
    """
    require_none(step.folder)
    with step.folder.keys_held():
        sweep(step)
        require_none(step.folder)  # once more: who came first may just be done
        own, _ = step.folder.pair(passphrase)  # so that one passphrase opens both
        key, held = next_key.obtain(step.folder, passphrase, key_type, named)
        pem = subordinate_request(own.subject, key).public_bytes(Encoding.PEM)
        upcoming = step.folder.successor

        def publish(db: sqlite3.Connection) -> None:
            require_none(step.folder)
            why = f"a next key; {keys.type_name(key.public_key())}"
            events.append(db, step.event_without(Code.ROLLOVER_REQUESTED, why))
            upcoming.ask(held, pem)

        try:
            step.database.write(publish)
        except StoreFailed:
            if upcoming.is_waiting():
                upcoming.withdraw()
            raise
    return upcoming


def install(step: Step, given: Sequence[x509.Certificate]) -> tuple[bool, list[str]]:
    """Take a certificate in that the CA above made, of the next key or of the one that issues.

    Tell which: whether it was the next key's; and what to know of it. Raises Unfit with all that
    speaks against it, and AlreadyExists while a roll-over is half done; then nothing has changed.
    """
    folder = step.folder
    if folder.is_waiting():
        return False, founding.install(folder, given, by=step.by, now=step.now)
    require_whole(folder)
    if not _is_for_next(folder, given):
        return False, founding.install(folder, given, by=step.by, now=step.now)
    with folder.keys_held():
        sweep(step)
        return True, _take_in(step, given)


def _is_for_next(folder: CaFolder, given: Sequence[x509.Certificate]) -> bool:
    """Tell whether the first that is for a key of ours is for the next one.

    While that waits, it is also where a bundle has the present certificate before it.
    """
    upcoming = folder.successor
    if not (upcoming.is_waiting() or upcoming.exists()):
        return False
    coming, own = (
        next((i for i, one in enumerate(given) if founding.is_for(one, keys.served(key))), None)
        for key in (upcoming.certified().public_key(), folder.certificate().public_key())
    )
    return coming is not None and (own is None or coming < own or upcoming.is_waiting())


def _take_in(step: Step, given: Sequence[x509.Certificate]) -> list[str]:
    folder, upcoming = step.folder, step.folder.successor
    key = keys.served(upcoming.certified().public_key())
    own = next((one for one in given if founding.is_for(one, key)), given[0])
    above = issuers.above(own, [*given, *certificates_in(folder.chain_file)])
    chain = Chain(own, above)
    founding.require_fit(chain, key, step.now, founding.renamed(folder, own))
    waited = upcoming.is_waiting()
    _publish(step, chain, waited=waited)
    return [*fitness.cautions(chain), *_cautions(folder, chain)]


def _publish(step: Step, chain: Chain, *, waited: bool) -> None:
    upcoming, own = step.folder.successor, chain.own

    def publish(db: sqlite3.Connection) -> None:
        end, issuer = show_time(own.not_valid_after_utc), show_name(own.issuer)
        why = f"the next intermediate, valid until {end}; issued by {issuer}"
        events.append(db, step.event(Code.ROLLOVER_PREPARED, own, why))
        founding.put(upcoming, chain)

    try:
        step.database.write(publish)
    except StoreFailed:
        if waited:  # what is not on record is not to be handed out
            upcoming.forget_certificate()
        raise


def _cautions(folder: CaFolder, chain: Chain) -> Iterator[str]:
    """Yield what endpoints and operators will notice of the next one."""
    ends = min(one.not_valid_after_utc for one in chain.whole)
    if ends <= folder.ends():
        end = show_time(folder.ends())
        yield f"it ends at {show_time(ends)}, before the present one does, at {end}"
    if leads_elsewhere(folder, chain.whole):
        root = show_name(chain.whole[-1].subject)
        yield (
            f"it is below another root, {root}: endpoints that do not trust that one accept"
            " nothing that is issued after --activate"
        )


def leads_elsewhere(folder: CaFolder, path: Sequence[x509.Certificate]) -> bool:
    """Tell whether a path to a root ends at another key than that of the CA that issues."""
    present, coming = (keys.spki(one.public_key()) for one in (folder.root(), path[-1]))
    return present != coming
