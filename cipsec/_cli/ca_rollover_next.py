"""The first step of `cipsec ca rollover`: the next root, or a request for an intermediate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cipsec import files
from cipsec._cli import ca_intermediate
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.ca_folder import CaFolder
    from cipsec.pki.keys import KeyType
    from cipsec.rollover import Step
    from cipsec.token.uri import KeyUri

DAYS = 7300


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options that say what the next key is like, and where a copy of its request goes."""

    key_type: str | None
    days: int | None
    key: str | None
    output: str | None
    force: bool = field(kw_only=True)

    def says_something(self) -> bool:
        """Tell whether one of them was given."""
        return any(one is not None for one in (self.key_type, self.days, self.key, self.output))

    def kind(self) -> KeyType | None:
        """Return the type of the key, None where nothing was said; raise UsageError."""
        from cipsec.pki.keys import KeyType

        return KeyType.parse(self.key_type) if self.key_type is not None else None

    def named(self) -> KeyUri | None:
        """Return the key that was named; raise UsageError."""
        from cipsec.token.uri import KeyUri

        return KeyUri.parse(self.key) if self.key is not None else None


def what(folder: CaFolder) -> str:
    """Return what people call the CA's kind."""
    from cipsec.pki.issued import is_root

    return "root" if is_root(folder.certificate()) else "intermediate"


def make(talk: Talk, step: Step, file: str | None, wanted: Wanted, *, dry_run: bool) -> bool:
    """Make the next key and what belongs to it; tell whether something was made."""
    from cipsec.rollover import next_key, require_none

    folder, is_root = step.folder, what(step.folder) == "root"
    _check(wanted, is_root=is_root)  # before anybody is asked
    next_key.require_place(folder, wanted.named())
    require_none(folder)
    kind = next_key.kind(folder, wanted.kind())
    if dry_run:
        made = "root, with a key" if is_root else "key,"
        more = "" if is_root else ", and the request for its certificate"
        talk.say(f"cipsec: would make the next {made} of the type {kind}{more}")
        return False
    if is_root:
        _root(talk, step, passphrase(talk, folder, file), wanted)
    else:
        _request(talk, step, file, wanted)
    return True


def _check(wanted: Wanted, *, is_root: bool) -> None:
    if is_root and wanted.output is not None:
        raise UsageError(
            "a root signs its own certificate, and makes no request", hint="leave out -o"
        )
    if not is_root and wanted.days is not None:
        raise UsageError(
            "the CA above says how long the next intermediate lives", hint="leave out --days"
        )


def _root(talk: Talk, step: Step, secret: str | None, wanted: Wanted) -> None:
    from cipsec import rollover as steps

    life = timedelta(days=wanted.days or DAYS)
    named = wanted.named()
    steps.prepare(step, secret, key_type=wanted.kind(), validity=life, named=named)
    _tell_place(talk, step.folder)
    talk.say("cipsec: the next root is made and handed out at /cacerts; the present one issues")
    talk.say("cipsec: next, for an earlier backup does not know it: cipsec ca backup FILE")
    talk.say("cipsec: and once endpoints have renewed: cipsec ca rollover --activate")


def _tell_place(talk: Talk, folder: CaFolder) -> None:
    if uri := folder.successor.key_place.uri():
        talk.say(f"cipsec: the next key is {uri.key} on the token {uri.token}")


def _request(talk: Talk, step: Step, file: str | None, wanted: Wanted) -> None:
    from cipsec import rollover as steps

    copy = ca_intermediate.copy_of(wanted.output, force=wanted.force)
    secret = passphrase(talk, step.folder, file)
    made = steps.request(step, secret, key_type=wanted.kind(), named=wanted.named())
    pem = files.read(made.request_file)
    if copy:
        ca_intermediate.write(copy, pem, made.request_file, force=wanted.force)
    if wanted.output == "-" and not talk.json:
        talk.raw(pem)
    _tell_place(talk, step.folder)
    talk.say("cipsec: the next key is made; the present one issues until the next is activated")
    talk.say("cipsec: next, for an earlier backup does not know it: cipsec ca backup FILE")
    talk.say(f"cipsec: have {made.request_file} signed by the CA above this one")
    talk.say("cipsec: then: cipsec ca init --intermediate --certificate FILE --chain FILE")
