"""`cipsec enroll`, `renew`, `status`: the endpoint's own acts; the deciding is in `endpoint`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cipsec._cli import wished
from cipsec._cli.card import LastTries, PinFile, ReaderName, SlotName
from cipsec._cli.card_used import USUAL_SLOT, Smartcard, card_of
from cipsec._cli.options import (
    Device,
    DryRun,
    Force,
    HookCommand,
    HookTimeout,
    IdentityDir,
    MacAddress,
    PasswordFile,
    San,
    Subject,
    Timeout,
    TryFirst,
    Wait,
    WishedKeyType,
    command,
    group,
)
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cipsec.endpoint.folder import Folder
    from cipsec.endpoint.obtain import Patience

app = group("enroll", "Get, renew and show this endpoint's identity.")

_DUE, _HOOK_TIMEOUT = "66%", "1m"


@command(app, "enroll")
def enroll(
    talk: Talk,
    *,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL|HOST[:PORT]", help="The EST server, port 8443; else discovery finds it."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="The EST label.")] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(metavar="IF", help="Discover here only, name or address; repeatable."),
    ] = None,
    identity: IdentityDir = None,
    subject: Subject = None,
    san: San = None,
    device: Device = None,
    mac: MacAddress = None,
    key_type: WishedKeyType = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Log in with this name and a password.")
    ] = None,
    password_file: PasswordFile = None,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Present this certificate; with --key.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of --cert.")] = None,
    smartcard: Smartcard = False,
    reader: ReaderName = None,
    slot: SlotName = USUAL_SLOT,
    pin_file: PinFile = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust the CA certificates in this file.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Trust the CA with this fingerprint.")
    ] = None,
    wait: Wait = True,
    timeout: Timeout = None,
    hook: HookCommand = None,
    hook_timeout: HookTimeout = _HOOK_TIMEOUT,
    try_first: TryFirst = True,
    dry_run: DryRun = False,
    force: Force = False,
) -> int | None:
    """Get a certificate for this endpoint, or go on with the request that waits.

    The identity (key.pem, certificate.pem, chain.pem, trust.pem) is kept in one folder. Where one
    is there and valid, -f gets a new one; it stays in use until the new one has come.

    For example: cipsec enroll --server plant:8443 --device 0001:6040C8F2
    """
    from cipsec._cli.identity import open_folder, planned, shown, taking_of
    from cipsec._cli.person import Terminal
    from cipsec.endpoint import enroll as endpoint
    from cipsec.endpoint.server import Server

    Server.at("", label)  # a label that is none is said before the network is asked
    if smartcard and (cert or key):
        raise UsageError("give --smartcard, or --cert and --key, not both")
    card = card_of(
        talk, smartcard=smartcard, reader=reader, slot=slot, pin_file=pin_file, force=force
    )
    at = Server.parse(server, label) if server is not None else None
    wish = endpoint.Wish(
        server=at,
        label=at.label if at else label,
        interfaces=wished.interfaces(interface),
        user=user,
        credential=wished.credential(cert, key),
        card=card,
        trust=wished.trust(trust, fingerprint),
        **wished.names(subject, san, device, mac, key_type),
    )
    taking = taking_of(hook, hook_timeout, tries=try_first)
    folder = open_folder(identity)
    terminal = Terminal.of(talk, password_file)
    if dry_run:
        _show(talk, planned(folder, wish, terminal, force=force))
        return None
    patience = _patience(timeout, wait=wait)
    with _interruptible(talk, folder):
        got = endpoint.enroll(
            folder, wish, patience=patience, force=force, person=terminal, taking=taking
        )
    talk.fields("identity", shown(got))
    return None


class _OptionalDue(TyperCommand):
    """A command whose `--if-due` may stand without a value, which typer does not know."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        for position, word in enumerate(args):
            following = args[position + 1 : position + 2]
            if word == "--if-due" and (not following or following[0].startswith("-")):
                given[position] = f"--if-due={_DUE}"
        return super().parse_args(ctx, given)


@command(app, "renew", cls=_OptionalDue)
def renew(
    talk: Talk,
    *,
    identity: IdentityDir = None,
    rekey: Annotated[
        bool, typer.Option("--rekey/--same-key", help="Make a new key, or keep the old.")
    ] = True,
    if_due: Annotated[
        str | None,
        typer.Option(
            metavar="[66%|30d]",
            help="Only after this share of its life (66% if none is said) or this near its end.",
        ),
    ] = None,
    smartcard: Smartcard = False,
    reader: ReaderName = None,
    slot: SlotName = USUAL_SLOT,
    pin_file: PinFile = None,
    wait: Wait = True,
    timeout: Timeout = None,
    hook: HookCommand = None,
    hook_timeout: HookTimeout = _HOOK_TIMEOUT,
    try_first: TryFirst = True,
    dry_run: DryRun = False,
    force: LastTries = False,
) -> int | None:
    """Renew this endpoint's certificate for the same names, or go on with a renewal that waits.

    The new one is tried against the server before the old one is replaced. What --hook names runs
    afterwards, with CIPSEC_CERTIFICATE, CIPSEC_KEY and other paths in its environment; where it
    fails the exit code is 6, and the next run runs it again.
    """
    from cipsec._cli.identity import open_folder, shown, taking_of
    from cipsec._cli.person import Terminal
    from cipsec.endpoint import renew as endpoint
    from cipsec.times import Due

    card = card_of(
        talk, smartcard=smartcard, reader=reader, slot=slot, pin_file=pin_file, force=force
    )
    due = Due.parse(if_due) if if_due else None
    taking = taking_of(hook, hook_timeout, tries=try_first)
    folder = open_folder(identity)
    terminal = Terminal.of(talk, None)
    if dry_run:
        talk.fields(
            "identity", shown(endpoint.rehearse(folder, due=due, person=terminal, card=card))
        )
        return None
    patience = _patience(timeout, wait=wait)
    with _interruptible(talk, folder):
        got = endpoint.renew(
            folder,
            rekey=rekey,
            due=due,
            patience=patience,
            person=terminal,
            card=card,
            taking=taking,
        )
    talk.fields("identity", shown(got))
    return None


@command(app, "status")
def status(talk: Talk, *, identity: IdentityDir = None) -> int | None:
    """Show this endpoint's identity, until when it is valid, and what it waits for."""
    from cipsec._cli.identity import open_folder, status_of

    _show(talk, status_of(open_folder(identity)))
    return None


def _show(talk: Talk, identity: dict[str, object]) -> None:
    """Show all keys to programs, and to people those that say something."""
    said = {name: value for name, value in identity.items() if value not in (None, [])}
    talk.fields("identity", identity if talk.json else said)


def _patience(timeout: str | None, *, wait: bool) -> Patience:
    from cipsec.endpoint.obtain import Patience
    from cipsec.times import parse_duration

    return Patience(wait=wait, limit=parse_duration(timeout) if timeout is not None else None)


@contextlib.contextmanager
def _interruptible(talk: Talk, folder: Folder) -> Iterator[None]:
    """Leave a clean line, and say after Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        talk.end_live()
        with contextlib.suppress(CipsecError):
            if draft := folder.draft():
                again = draft.state.again(folder.path)
                talk.say(f"cipsec: interrupted; goes on with the same key: {again}")
        raise
    finally:
        talk.end_live()
