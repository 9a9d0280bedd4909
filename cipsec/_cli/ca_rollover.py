"""`cipsec ca rollover`: which step, whether a person agrees, and what stands afterwards."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import actor, ask, exits
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.options import KEY_TYPES, CaDir, DryRun, PassphraseFile, Yes
from cipsec._cli.talk import Talk
from cipsec.errors import NotFound, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from cipsec.ca_folder import CaFolder
    from cipsec.rollover import Step

_DAYS = 7300

Activate = Annotated[bool, typer.Option("--activate", help="Let the next root issue from now on.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="Destroy the next root; it never issued.")]
Retire = Annotated[
    bool, typer.Option("--retire", help="Destroy the keys of former roots that have ended.")
]
NextKeyType = Annotated[
    str | None,
    typer.Option(
        "--key-type",
        metavar="TYPE",
        autocompletion=KEY_TYPES,
        help="Of the next key; else as the present one.",
    ),
]
Days = Annotated[
    int | None,
    typer.Option("--days", min=1, max=36500, help=f"How long the next root lives; {_DAYS}."),
]


def rollover(
    talk: Talk,
    *,
    activate: Activate = False,
    cancel: Cancel = False,
    retire: Retire = False,
    key_type: NextKeyType = None,
    days: Days = None,
    passphrase_file: PassphraseFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    ca_dir: CaDir = None,
) -> int:
    """Give a root CA its next key.

    Prepare it, and some time later --activate it.

    Prepared, the next root is handed out at /cacerts with the certificates that join it to the
    present one, which still issues: endpoints take it up as they renew. Activated, it issues; who
    knows only the old root is led to the new by the link until the old one ends. A server that
    runs follows by itself.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.rollover import Step

    _check(activate, cancel, retire, given=key_type is not None or days is not None)
    folder, now = open_folder(ca_dir), times.now()
    with closing(folder.store()) as database:
        step = Step(folder, database, actor.name(), now)
        if activate:
            done = _activate(talk, step, passphrase_file, dry_run=dry_run, yes=yes)
        elif cancel:
            done = _cancel(talk, step, dry_run=dry_run, yes=yes)
        elif retire:
            done = _retire(talk, step, dry_run=dry_run)
        else:
            done = _prepare(talk, step, passphrase_file, key_type, days, dry_run=dry_run)
    if done or talk.json:
        _report(talk, folder, now)
    if not done:
        talk.say("cipsec: nothing was changed")
    return exits.OK if done or dry_run else exits.NO


def _check(*steps: bool, given: bool) -> None:
    if steps.count(True) > 1:
        raise UsageError("one step at a time", hint="--activate, --cancel or --retire")
    if any(steps) and given:
        raise UsageError(
            "--key-type and --days are of the step that makes the next root",
            hint="leave them out",
        )


def _prepare(
    talk: Talk,
    step: Step,
    file: str | None,
    key_type: str | None,
    days: int | None,
    *,
    dry_run: bool,
) -> bool:
    from cipsec import rollover as steps
    from cipsec.ca.rollover import require_root
    from cipsec.pki import keys

    own = step.folder.certificate()
    require_root(own)  # before anybody is asked
    steps.require_file(step.folder)
    steps.require_none(step.folder)
    kind = keys.KeyType.parse(key_type or _like(keys.type_name(own.public_key())))
    if dry_run:
        talk.say(f"cipsec: would make the next root, with a key of the type {kind}")
        return False
    secret = passphrase(talk, step.folder, file)
    steps.prepare(step, secret, key_type=kind, validity=timedelta(days=days or _DAYS))
    talk.say("cipsec: the next root is made and handed out at /cacerts; the present one issues")
    talk.say("cipsec: next, for an earlier backup does not know it: cipsec ca backup FILE")
    talk.say("cipsec: and once endpoints have renewed: cipsec ca rollover --activate")
    return True


def _like(name: str) -> str:
    from cipsec.pki.keys import KeyType

    return name if name in list(KeyType) else KeyType.RSA_3072


def _unaware(step: Step, since: datetime) -> int:
    """Count the certificates whose holders have not been told of the next root, made at `since`."""
    from cipsec.store import due

    at, now = int(since.timestamp()), int(step.now.timestamp())
    return step.database.read(lambda db: due.unrenewed(db, since=at, now=now))


def _activate(talk: Talk, step: Step, file: str | None, *, dry_run: bool, yes: bool) -> bool:
    from cipsec import rollover as steps
    from cipsec.ca.rollover import made_at
    from cipsec.serve.running import is_running

    if steps.is_interrupted(step.folder):
        if not dry_run:
            steps.finish(step)
            talk.say("cipsec: the roll-over that was interrupted is finished")
        return not dry_run
    root = steps.required(step.folder).certificate()
    count = _unaware(step, made_at(root))
    if count:
        talk.warn(
            f"{'1 certificate in force is' if count == 1 else f'{count} certificates in force are'}"
            " older than the next root: who holds them does not know it yet, and accepts what it"
            " issues only where he follows the link"
        )
    if dry_run:
        return False
    if count and not yes and not ask.confirm(talk, "Activate the next root now?", option="-y"):
        return False
    steps.activate(step, passphrase(talk, step.folder, file))
    talk.say("cipsec: the next root issues from now on; a server that runs follows by itself")
    if is_running(step.folder):
        talk.say("cipsec: unless the passphrase changed since it was started: then start it again")
    return True


def _cancel(talk: Talk, step: Step, *, dry_run: bool, yes: bool) -> bool:
    from cipsec import rollover as steps

    steps.required(step.folder)
    if dry_run:
        talk.say("cipsec: would destroy the next root")
        return False
    if not yes and not ask.confirm(talk, "Destroy the next root and its key?", option="-y"):
        return False
    steps.cancel(step)
    talk.say("cipsec: the next root and its key are destroyed")
    return True


def _retire(talk: Talk, step: Step, *, dry_run: bool) -> bool:
    from cipsec import rollover as steps
    from cipsec.ca_folder import fingerprint

    ended = steps.over(step.folder, step.now)
    if not ended:
        raise NotFound("no former root has ended", hint="see when each does: cipsec ca show")
    if dry_run:
        for one in ended:
            talk.say(f"cipsec: would destroy the key of {fingerprint(one.certificate())}")
        return False
    for root in steps.retire(step):
        talk.say(f"cipsec: the key of {fingerprint(root)} is destroyed")
    return True


def _report(talk: Talk, folder: CaFolder, now: datetime) -> None:
    from cipsec.ca_folder import fingerprint
    from cipsec.pki.names import show_name

    own = folder.certificate()
    talk.fields(
        "ca",
        {
            "directory": str(folder.path),
            "subject": show_name(own.subject),
            "sha256": talk.fingerprint(fingerprint(own)),
            "not_after": times.show_time(own.not_valid_after_utc),
            **roots(talk, folder, now),
        },
    )


def roots(talk: Talk, folder: CaFolder, now: datetime) -> dict[str, object]:
    """Return the next root and those before, as `ca show` and `ca rollover` have them."""
    from cipsec import rollover as steps
    from cipsec.ca.rollover import made_at
    from cipsec.ca_folder import fingerprint

    upcoming, made = folder.next(), None
    if upcoming is not None:
        root = upcoming.certificate()
        made = {
            "sha256": talk.fingerprint(fingerprint(root)),
            "prepared_at": times.show_time(made_at(root)),
            "not_after": times.show_time(root.not_valid_after_utc),
        }
    before = [one.certificate() for one in folder.previous()]
    return {
        "rollover": "interrupted"
        if steps.is_interrupted(folder)
        else ("prepared" if made else None),
        "next": made,
        "previous": [_former(talk, root, now) for root in before],
    }


def _former(talk: Talk, root: x509.Certificate, now: datetime) -> object:
    from cipsec.ca_folder import fingerprint

    ended = root.not_valid_after_utc <= now
    sha256, end = fingerprint(root), times.show_time(root.not_valid_after_utc)
    if talk.json:
        return {"sha256": sha256, "not_after": end, "ended": ended}
    state = "ended" if ended else "until"
    return f"{sha256} {state} {end}" + ("; cipsec ca rollover --retire" if ended else "")
