"""`cipsec ca revoke`: which certificates, whether a person agrees; the revoking is `ra`'s."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe, times
from cipsec._cli import actor, ask, exits
from cipsec._cli.options import CaDir, DryRun, Note, Yes, check_text, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, LocalState, UsageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cipsec.ca_folder import CaFolder
    from cipsec.pki.device import DeviceId
    from cipsec.ra.revocation import Choice, Revoked
    from cipsec.store.certificates import CertificateRow
    from cipsec.store.database import Database

_COLUMNS = ["serial", "subject", "device", "reason", "revoked_at", "changed"]
_SHOWN = 20
_IN_FORCE = ("valid", "not yet valid")  # the latter where a clock was ahead

Serials = Annotated[
    list[str] | None, typer.Argument(metavar="SERIAL…", help="Certificates, by 8 or more digits.")
]
OfDevice = Annotated[
    str | None,
    typer.Option("--device", metavar="VENDOR:SERIAL", help="All that this CIP device has."),
]
OfCredential = Annotated[
    str | None, typer.Option("--credential", metavar="NAME", help="A provisioning certificate.")
]
WithEnrolled = Annotated[
    bool, typer.Option("--with-enrolled", help="And all that was enrolled with --credential.")
]
Unknown = Annotated[
    bool,
    typer.Option("--unknown", help="Serial numbers, whole, that may not be on record (restored)."),
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="REASON",
        autocompletion=one_of(
            *("unspecified", "keyCompromise", "affiliationChanged", "superseded"),
            *("cessationOfOperation", "privilegeWithdrawn"),
        ),
        help="unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation,"
        " privilegeWithdrawn.",
    ),
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an operator asked for: which certificates, why, and how.

    `grace` is how long after its end a certificate may renew, and is to be revoked; `end_of_ca` is
    there where the serial numbers may not be on record.
    """

    serials: list[str]
    device: DeviceId | None
    credential: str | None
    with_enrolled: bool
    end_of_ca: datetime | None
    reason: str
    note: str | None
    dry_run: bool
    yes: bool
    grace: timedelta

    def choice(self, db: sqlite3.Connection, now: datetime) -> Choice:
        """Return which certificates are meant; raise NotFound or UsageError."""
        from cipsec.ra import revocation

        ended = now - self.grace
        if self.credential is not None:
            return revocation.by_credential(
                db, self.credential, ended, with_enrolled=self.with_enrolled
            )
        if self.device:
            return revocation.by_device(db, self.device, ended)
        if self.end_of_ca:
            return revocation.by_unknown(db, self.serials, self.end_of_ca, now)
        return revocation.by_serials(db, self.serials)


def revoke(
    talk: Talk,
    *,
    serials: Serials = None,
    device: OfDevice = None,
    credential: OfCredential = None,
    with_enrolled: WithEnrolled = False,
    unknown: Unknown = False,
    reason: Reason = "unspecified",
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    ca_dir: CaDir = None,
) -> int:
    """Revoke certificates for good.

    By serial number, all of a device, or a provisioning certificate by its name. This CA accepts a
    revoked certificate no more, from the next request on. Devices and other relying parties learn
    of it from the revocation list, where they look at it: a server that runs signs another within
    seconds, and so does cipsec ca crl. Whether the same device may get another certificate is for
    the rules to say.

    For example: cipsec ca revoke --device 0001:6040C8F2 --reason keyCompromise
    """
    from cipsec.ca_folder import open_folder
    from cipsec.pki.device import DeviceId
    from cipsec.ra.revocation import reason_named

    if [bool(serials), device is not None, credential is not None].count(True) != 1:
        hint = "give serial numbers, or --device VENDOR:SERIAL, or --credential NAME"
        raise UsageError("say which certificates, in one way", hint=hint)
    if with_enrolled and credential is None:
        raise UsageError("--with-enrolled belongs to --credential", hint="leave it out")
    if unknown and not serials:
        raise UsageError("--unknown belongs to serial numbers", hint="give them, or leave it out")
    check_text(note, "--note")
    folder = open_folder(ca_dir)
    wish = _Wish(
        serials=serials or [],
        device=DeviceId.parse(device) if device is not None else None,
        credential=credential,
        with_enrolled=with_enrolled,
        end_of_ca=folder.certificate().not_valid_after_utc if unknown else None,
        reason=reason_named(reason),
        note=note or None,
        dry_run=dry_run,
        yes=yes,
        grace=_grace(folder),
    )
    with closing(folder.store()) as database:
        return _act(talk, folder, database, wish)


def _act(talk: Talk, folder: CaFolder, database: Database, wish: _Wish) -> int:
    from cipsec.ra.revocation import Revoked

    now = times.now()
    choice = database.read(lambda db: wish.choice(db, now))
    _require_unused(folder, choice)
    if wish.dry_run:
        made = [Revoked(row, changed=False) for row in choice.rows]
    elif _agrees(talk, choice, wish):
        made = database.write(lambda db: _revoke(db, wish, choice, now))
    else:
        talk.nothing("cipsec: nothing was revoked", "revoked")
        return exits.NO
    _print(talk, made, choice, wish)
    _explain(talk, made, choice, wish)
    _tell_of_list(talk, folder, made)
    return exits.OK


def _grace(folder: CaFolder) -> timedelta:
    """Return how long after its end a certificate may renew, as far as ca.toml can be read."""
    with suppress(LocalState):  # ca.toml is broken: nothing is stopped by that
        return folder.configuration().renewals.grace
    return timedelta()


def _require_unused(folder: CaFolder, choice: Choice) -> None:
    """Raise UsageError for a certificate of the CA itself, or the one the EST server speaks under.

    A root on its own list makes strict verifiers refuse everything below it.
    """
    from cipsec.pki.names import show_serial
    from cipsec.serve.certificate import ServerCertificate

    with suppress(LocalState):  # a damaged folder of the next root: nothing is stopped by that
        for one in folder.cacerts(times.now()):
            if (serial := show_serial(one.serial_number)) in choice.serials:
                raise UsageError(
                    f"{serial} is the serial number of a certificate of the CA itself",
                    hint="for another key of the CA: cipsec ca rollover",
                )
    try:
        certificate, _ = ServerCertificate(folder).load()
    except (CipsecError, ValueError):
        return  # none, or a damaged one, which the server replaces
    serial = show_serial(certificate.serial_number)
    if serial in choice.serials:
        files = f"{folder.server_key_file} and {folder.server_certificate_file}"
        raise UsageError(
            f"the EST server speaks under the certificate {serial}",
            hint=f"remove {files}: the server makes others; then revoke this one",
        )


def _agrees(talk: Talk, choice: Choice, wish: _Wish) -> bool:
    """Show what is meant, and ask; nothing is asked where everything was revoked before."""
    fresh = [row for row in choice.rows if row.revoked_at is None]
    if wish.yes or not fresh:
        return True
    if talk.interactive:
        _tell_rows(talk.show, fresh)
    these = "this certificate" if len(fresh) == 1 else f"these {len(fresh)} certificates"
    return ask.confirm(talk, f"Revoke {these} for good?", option="-y")


def _tell_rows(tell: Callable[[str], None], rows: Sequence[CertificateRow]) -> None:
    """Name the certificates, not more of them than a screen holds."""
    from cipsec._cli import ca_shown

    for row in rows[:_SHOWN]:
        kind = "" if row.kind == "endpoint" else f"({row.kind})"
        words = [row.serial[: ca_shown.SHORT_SERIAL], row.subject, row.device or "", kind]
        tell(f"  {safe.text(' '.join(filter(None, words)))}")
    if len(rows) > _SHOWN:
        tell(f"  … and {len(rows) - _SHOWN} more")


def _revoke(db: sqlite3.Connection, wish: _Wish, shown: Choice, now: datetime) -> list[Revoked]:
    """Revoke all or none; raise LocalState when a person agreed to something else."""
    from cipsec.ra import revocation

    choice = wish.choice(db, now)  # there may be more by now
    if not wish.yes and choice.serials != shown.serials:
        raise LocalState("meanwhile there are others to revoke", hint="run it again")
    revocation.record_unknown(db, choice.rows)
    return revocation.revoke_all(
        db,
        choice.rows,
        by=actor.name(),
        reason=wish.reason,
        note=wish.note,
        at=int(now.timestamp()),
    )


def _print(talk: Talk, made: list[Revoked], choice: Choice, wish: _Wish) -> None:
    from cipsec._cli import ca_shown

    records = [ca_shown.revoked(one, wish.reason) for one in made]
    if not talk.json:
        talk.table("revoked", _COLUMNS, map(ca_shown.short, records))
        return
    document: dict[str, object] = {"revoked": records}
    if wish.credential is not None:
        now = times.now()
        document["enrolled"] = [ca_shown.certificate(row, now) for row in _enrolled(made, choice)]
    talk.document(document)


def _enrolled(made: list[Revoked], choice: Choice) -> list[CertificateRow]:
    """Return what the credential enrolled, as it stands now."""
    changed = {one.row.serial: one.row for one in made}
    return [changed.get(row.serial, row) for row in choice.enrolled]


def _explain(talk: Talk, made: list[Revoked], choice: Choice, wish: _Wish) -> None:
    """Say what else there is to know, on stderr."""
    now = times.now()
    left = [row for row in _enrolled(made, choice) if row.status(now) in _IN_FORCE]
    if not made:
        talk.say("cipsec: it has expired: there is nothing to revoke")
    if left and not wish.with_enrolled:
        talk.say("cipsec: what was enrolled with it stays in force:")
        _tell_rows(talk.say, left)
        talk.say("cipsec: hint: to revoke that too: --with-enrolled")
    if choice.approved:
        talk.say("cipsec: the device gets another certificate: a request of it is approved")
        talk.say(f"cipsec: hint: to take that back: {choice.take_back}")
    if wish.dry_run:
        talk.say("cipsec: nothing was changed")
    elif any(one.changed for one in made):
        talk.say("cipsec: this CA takes what is revoked no more")


def _tell_of_list(talk: Talk, folder: CaFolder, made: list[Revoked]) -> None:
    """Say when others learn of it, or what to type."""
    from cipsec.ca.profile import PROVISIONING
    from cipsec.serve.running import is_running

    if not any(one.changed and one.row.kind != PROVISIONING for one in made):
        return  # no device ever trusted it
    if is_running(folder):
        talk.say("cipsec: the running server puts it on the revocation list within seconds")
    else:
        talk.say("cipsec: the revocation list does not name it until another is signed")
        talk.say("cipsec: hint: sign one: cipsec ca crl -o list.crl, or cipsec ca serve")
