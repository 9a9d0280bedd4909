"""`cipsec ca rollover`: which step, whether a person agrees, and what stands afterwards."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import actor, ask, ca_rollover_next, ca_rollover_shown, exits
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.ca_rollover_next import DAYS, Wanted
from cipsec._cli.options import KEY_TYPES, CaDir, DryRun, Force, PassphraseFile, Yes
from cipsec._cli.talk import Talk
from cipsec.errors import NotFound, UsageError

if TYPE_CHECKING:
    from cipsec.ca_folder import Generation
    from cipsec.rollover import Step

_UNAWARE = {
    "root": "who holds them does not know it yet, and accepts what it issues only where he follows"
    " the link",
    "intermediate": "it is below another root, and who was not given that one accepts nothing that"
    " it issues",
}

Activate = Annotated[bool, typer.Option("--activate", help="Let the next key issue from now on.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="Destroy the next key; it never issued.")]
Retire = Annotated[
    bool, typer.Option("--retire", help="Destroy former keys whose certificates have ended.")
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
    typer.Option("--days", min=1, max=36500, help=f"How long the next root lives; {DAYS}."),
]
NextKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="URI",
        help="The next key where the present one is on a token: another on it, made if need be.",
    ),
]
RequestOutput = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="A copy of an intermediate's request; - for stdout."
    ),
]


def rollover(
    talk: Talk,
    *,
    activate: Activate = False,
    cancel: Cancel = False,
    retire: Retire = False,
    key_type: NextKeyType = None,
    days: Days = None,
    key: NextKey = None,
    output: RequestOutput = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    ca_dir: CaDir = None,
) -> int:
    """Give a CA its next key.

    Prepare it, and some time later --activate it.

    Prepared, the next root is handed out at /cacerts with the certificates that join it to the
    present one, which still issues: endpoints take it up as they renew. Activated, it issues; who
    knows only the old root is led to the new by the link until the old one ends. A server that
    runs follows by itself.

    Of an intermediate CA a request is made first; once the CA above has signed it: cipsec ca init
    --intermediate --certificate FILE --chain FILE. Who trusts the root follows by himself.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.rollover import Step

    wanted = Wanted(key_type, days, key, output, force=force)
    _check(activate, cancel, retire, wanted=wanted)
    folder, now = open_folder(ca_dir), times.now()
    with closing(folder.store()) as database:
        step = Step(folder, database, actor.name(), now)
        given = _Given(talk, step, passphrase_file, dry_run=dry_run, yes=yes)
        if activate:
            done = _activate(given)
        elif cancel:
            done = _cancel(given)
        elif retire:
            done = _retire(given)
        else:
            secret = passphrase_file
            done = ca_rollover_next.make(talk, step, secret, wanted, dry_run=dry_run)
    if talk.json or (done and output != "-"):
        ca_rollover_shown.report(talk, folder, now)
    if not done:
        talk.say("cipsec: nothing was changed")
    return exits.OK if done or dry_run else exits.NO


@dataclass(frozen=True, slots=True)
class _Given:
    """What every step is told."""

    talk: Talk
    step: Step
    passphrase_file: str | None
    dry_run: bool
    yes: bool

    def confirmed(self, question: str) -> bool:
        """Ask, unless the answer was given beforehand."""
        return self.yes or ask.confirm(self.talk, question, option="-y")


def _check(*steps: bool, wanted: Wanted) -> None:
    if steps.count(True) > 1:
        raise UsageError("one step at a time", hint="--activate, --cancel or --retire")
    if any(steps) and wanted.says_something():
        raise UsageError(
            "--key-type and --days are of the step that makes the next key; so are --key and -o",
            hint="leave them out",
        )


def _unaware(step: Step, upcoming: Generation) -> int:
    """Count the certificates whose holders have not been told of the next root.

    None where it is an intermediate below the root that they trust.
    """
    from cipsec.pki.issued import is_root
    from cipsec.rollover.requesting import leads_elsewhere
    from cipsec.store import due

    path = upcoming.path_to_root()
    if not is_root(path[0]) and not leads_elsewhere(step.folder, path):
        return 0
    at, now = int(upcoming.prepared_at().timestamp()), int(step.now.timestamp())
    return step.database.read(lambda db: due.unrenewed(db, since=at, now=now))


def _activate(given: _Given) -> bool:
    from cipsec import rollover as steps
    from cipsec.serve.running import is_running

    talk, step = given.talk, given.step
    if steps.is_interrupted(step.folder):
        if not given.dry_run:
            steps.finish(step)
            talk.say("cipsec: the roll-over that was interrupted is finished")
        return not given.dry_run
    upcoming = steps.required(step.folder)
    what, count = ca_rollover_next.what(step.folder), _unaware(step, upcoming)
    if count:
        talk.warn(
            f"{'1 certificate in force is' if count == 1 else f'{count} certificates in force are'}"
            f" older than the next {what}: {_UNAWARE[what]}"
        )
    if given.dry_run or (count and not given.confirmed(f"Activate the next {what} now?")):
        return False
    steps.activate(step, passphrase(talk, step.folder, given.passphrase_file))
    talk.say(f"cipsec: the next {what} issues from now on; a server that runs follows by itself")
    if is_running(step.folder) and step.folder.key_uri() is None:
        talk.say("cipsec: unless the passphrase changed since it was started: then start it again")
    return True


def _cancel(given: _Given) -> bool:
    from cipsec import rollover as steps
    from cipsec.rollover.ending import cancellable

    talk, folder = given.talk, given.step.folder
    uri, what = cancellable(folder).key_place.uri(), ca_rollover_next.what(folder)
    if given.dry_run:
        talk.say(f"cipsec: would destroy the next {what}")
        return False
    if not given.confirmed(f"Destroy the next {what}{'' if uri else ' and its key'}?"):
        return False
    steps.cancel(given.step)
    if uri:
        talk.say(f"cipsec: the next {what} is given up")
        ca_rollover_shown.stays(talk, uri)
    else:
        talk.say(f"cipsec: the next {what} and its key are destroyed")
    return True


def _retire(given: _Given) -> bool:
    from cipsec import rollover as steps
    from cipsec.ca_folder import fingerprint

    talk, step = given.talk, given.step
    what, ended = ca_rollover_next.what(step.folder), steps.over(step.folder, step.now)
    if not ended:
        raise NotFound(f"no former {what} has ended", hint="see when each does: cipsec ca show")
    if given.dry_run:
        for one in ended:
            talk.say(f"cipsec: would destroy the key of {fingerprint(one.certificate())}")
        return False
    uris = {one.certificate(): one.key_place.uri() for one in ended}
    for certificate in steps.retire(step):
        if uri := uris.get(certificate):
            talk.say(f"cipsec: {fingerprint(certificate)} is let go")
            ca_rollover_shown.stays(talk, uri)
        else:
            talk.say(f"cipsec: the key of {fingerprint(certificate)} is destroyed")
    return True
