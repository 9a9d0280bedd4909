"""`cipsec ca init --import`: a CA that exists goes on here, under its own key."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import named, safe, times
from cipsec._cli import actor, ask, ca_new
from cipsec._cli.ca_intermediate import certificates
from cipsec._cli.ca_new import Given
from cipsec._cli.talk import Talk
from cipsec.errors import Locked, UsageError
from cipsec.token.uri import SCHEME

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec.pki.bundle import Bundle

_LIMIT = 1 << 20  # bytes; a key with a long chain is a hundredth of it


def adopt(
    talk: Talk, given: Given, source: str, paths: Sequence[Path], passphrase_file: str | None
) -> None:
    """Make the folder of a CA whose key, and perhaps certificates, are in a file."""
    from cipsec import founding
    from cipsec.ca import fitness

    given.refuse("--subject", "--key-type", "--days", because="an imported CA is as it is")
    if [passphrase_file, given.passphrase_file] == ["-", "-"]:
        raise UsageError("the two passphrases cannot both come from stdin")
    place = founding.free_folder(given.ca_dir).path
    ca_new.check(given, given.name or "CA")
    beside = [one for path in paths for one in certificates(path)]
    if source.startswith(SCHEME):
        given = dataclasses.replace(given, key=source)
    bundle, now = _opened(talk, given, source, passphrase_file), times.now()
    chain = founding.chain_of(bundle.key, [*beside, *bundle.certificates], now)
    name = _name(given, chain.own)  # all that can be refused is, before anybody is asked
    secret = ca_new.new_passphrase(talk, given)
    wanted = founding.Wanted(name, given.hosts, given.policy, secret)
    folder = founding.adopt(place, wanted, key=bundle.key, chain=chain, by=actor.name(), now=now)
    for caution in fitness.cautions(chain):
        talk.warn(caution)
    talk.fields("ca", ca_new.record(talk, folder) | ca_new.root_record(talk, folder))
    _tell(talk, given, source)
    ca_new.tell_next(talk, given)


def _opened(talk: Talk, given: Given, source: str, passphrase_file: str | None) -> Bundle:
    """Return what is in the file; a passphrase is asked for where it needs one."""
    from cipsec.archive import opening
    from cipsec.pki.bundle import Bundle

    if (key := ca_new.key_on_token(talk, given, make=False)) is not None:
        return Bundle(key, ())
    data = named.read(Path(source), limit=_LIMIT)
    try:
        return opening.key(data, source)
    except Locked:
        if passphrase_file is None and not talk.interactive:
            raise
    words = f"Passphrase of {safe.text(source)}"
    secret = ask.secret(talk, words, file=passphrase_file, option="--import-passphrase-file")
    return opening.key(data, source, secret)


def _name(given: Given, own: x509.Certificate) -> str:
    """Return the CA's name for people: as given, or as its certificate has it."""
    from cryptography.x509.oid import NameOID

    from cipsec.pki.names import show_name

    if given.name is not None:
        ca_new.check_name(given.name)
        return given.name
    common = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return safe.text(common[-1].value if common else show_name(own.subject))


def _tell(talk: Talk, given: Given, source: str) -> None:
    talk.say(
        "cipsec: what this CA issued elsewhere is not on record here, and does not count as this"
        " CA's own; it is revoked by its whole serial number: cipsec ca revoke --unknown SERIAL"
    )
    talk.say("cipsec: new serial numbers have 80 random bits, and repeat none that was issued")
    if given.key is None:
        talk.say(f"cipsec: {source} still holds the key; whoever else has a copy can sign too")
