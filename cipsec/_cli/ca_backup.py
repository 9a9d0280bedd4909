"""`cipsec ca backup|restore`: a file, a passphrase, and what people have to know afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import shell, times
from cipsec._cli import actor, ask
from cipsec._cli.options import CaDir, DryRun, Force
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, LocalState, UsageError

if TYPE_CHECKING:
    from cipsec.backup.facts import Facts
    from cipsec.backup.restore import Restored
    from cipsec.backup.write import Made

_NAMED = 10  # credentials that are named; more are counted

Target = Annotated[Path, typer.Argument(metavar="FILE", help="The backup to make.")]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="The backup to restore.")]
Aside = Annotated[
    bool, typer.Option("--force", "-f", help="Set aside a folder that is there, whole.")
]
Passphrase = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Read the backup's passphrase, which is not the CA key's; - for stdin.",
    ),
]


def backup(
    talk: Talk,
    file: Target,
    *,
    passphrase_file: Passphrase = None,
    force: Force = False,
    ca_dir: CaDir = None,
) -> None:
    """Save the CA in one encrypted file.

    Keys, certificates, rules, lists, vendors and the record.

    A server may run meanwhile. The file opens without cipsec too: openssl cms -decrypt -binary
    -inform DER -in FILE -pwri_password PASSPHRASE -out FILE.tar
    """
    from cipsec import files
    from cipsec.backup import write
    from cipsec.ca_folder import open_folder

    folder, target = open_folder(ca_dir), _path(file)
    write.check_place(folder, target)  # before anybody is asked
    if not force and files.exists(target):
        raise AlreadyExists(f"{target} exists", hint="add -f to overwrite it")
    secret = ask.secret(
        talk,
        "Passphrase of the backup",
        file=passphrase_file,
        option="--passphrase-file",
        twice=True,
    )
    made = write.make(folder, target, secret, overwrite=force, by=actor.name(), now=times.now())
    for name in made.left_out:
        talk.warn(f"left out, for it is no file that can be saved: {name}")
    talk.fields("backup", _made(talk, made))
    talk.say("cipsec: without its passphrase nobody can open it, nor can you: keep that elsewhere")


def _path(file: Path) -> Path:
    if str(file) in ("-", "."):
        raise UsageError("a backup is a file", hint="cipsec ca backup FILE")
    return file.absolute()


def _made(talk: Talk, made: Made) -> dict[str, object]:
    return {
        "file": str(made.path),
        "size": made.size,
        "sha256": made.sha256,
        "files": made.files,
        **_facts(talk, made.facts),
        "left_out": list(made.left_out),
    }


def _facts(talk: Talk, facts: Facts) -> dict[str, object]:
    return {
        "made_at": times.show_time(facts.made_at),
        "version": facts.version,
        "subject": facts.subject,
        "ca_sha256": talk.fingerprint(facts.sha256),
        "certificates": facts.certificates,
        "newest_serial": facts.serial,
        "newest_event": facts.event,
    }


def restore(
    talk: Talk,
    file: Source,
    *,
    passphrase_file: Passphrase = None,
    dry_run: DryRun = False,
    force: Aside = False,
    ca_dir: CaDir = None,
) -> None:
    """Restore a CA from a backup.

    Into a folder that is not there; -n only verifies it.

    With -f a folder that is there is set aside under another name. What happened after the backup
    is not on record any more: that is said, and what to do about it.
    """
    from cipsec import files
    from cipsec.backup import restore as restoring
    from cipsec.backup.read import verify

    source, place = _path(file), (ca_dir or files.default_ca()).absolute()
    if not dry_run:
        restoring.require_place(place, force=force)  # before anybody is asked
    if not files.exists(source):
        raise LocalState(f"there is no file {source}", hint="name the file that ca backup made")
    secret = ask.secret(
        talk, "Passphrase of the backup", file=passphrase_file, option="--passphrase-file"
    )
    if dry_run:
        facts = verify(source, secret)
        talk.fields("backup", {"file": str(source), **_facts(talk, facts)})
        talk.say("cipsec: the backup is whole; nothing was restored")
        return
    done = restoring.restore(source, place, secret, force=force, by=actor.name(), now=times.now())
    talk.fields("backup", {"file": str(source), **_restored(talk, done)})
    _explain(talk, done, f" --ca-dir {shell.quote(ca_dir)}" if ca_dir else "")


def _restored(talk: Talk, done: Restored) -> dict[str, object]:
    return {
        **_facts(talk, done.facts),
        "directory": str(done.folder.path),
        "restored_at": times.show_time(done.at),
        "unknown_from": done.unknown_from,
        "unknown_to": done.unknown_to,
        "credentials": list(done.credentials),
        "users": list(done.users),
        "replaced": str(done.replaced) if done.replaced else None,
    }


def _explain(talk: Talk, done: Restored, where: str) -> None:
    """Say what is not known any more, and what to do about it."""
    since, until = times.show_time(done.facts.made_at), times.show_time(done.at)
    if done.at < done.facts.made_at:
        talk.warn(f"this machine's clock is before the backup, of {since}: set it (date -u)")
    talk.warn(f"what happened between {since} and {until} is not on record any more:")
    talk.say(
        f"cipsec: certificates issued then have serial numbers from {done.unknown_from}… to"
        f" {done.unknown_to}…; who holds one cannot renew it, and asks anew"
    )
    talk.say(f"cipsec: to revoke one of them: cipsec ca revoke --unknown SERIAL{where}")
    talk.say("cipsec: requests and approvals of then are lost: who waited asks again")
    talk.say("cipsec: what was revoked then is to be revoked again")
    _explain_uses(talk, done, where)
    if done.replaced:
        talk.say(f"cipsec: the folder that was there is now {done.replaced}")


def _explain_uses(talk: Talk, done: Restored, where: str) -> None:
    if done.credentials:
        talk.warn(f"provisioning certificates that may be used up: {_some(done.credentials)}")
        talk.say(f"cipsec: to end one: cipsec ca revoke --credential NAME{where}")
    if done.users:
        talk.warn(f"users whose enrollments may be used up: {_some(done.users)}")
        talk.say(f"cipsec: to end one: cipsec user remove NAME{where}")


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
