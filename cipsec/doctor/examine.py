"""All checks in their order: of the machine, of the CA, of the identity, as far as these are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cipsec import files
from cipsec.ca_folder import CaFolder, waiting
from cipsec.doctor import (
    authority,
    cards,
    channels,
    credentials,
    identity,
    leftovers,
    lists,
    machine,
    permissions,
    policy,
    record,
    rollover,
    subject,
)
from cipsec.doctor.finding import Finding, Verdict, examine, typed
from cipsec.endpoint.folder import Folder
from cipsec.errors import LocalState, NotFound

CA_CHECKS = (
    permissions.CHECKS
    | leftovers.CHECKS
    | authority.CHECKS
    | rollover.CHECKS
    | policy.CHECKS
    | channels.CHECKS
    | credentials.CHECKS
    | record.CHECKS
    | lists.CHECKS
)


def findings(ca_dir: Path | None, identity_dir: Path | None, now: datetime) -> Iterator[Finding]:
    """Yield what is found on this machine, on the CA and on the identity.

    Those that are named have to be there: NotFound is raised where nothing of them is. Those at
    the default places are looked at where they are. What is there and cannot be used is a
    finding, not an error.
    """
    ca = CaFolder((ca_dir or files.default_ca()).absolute())
    endpoint = Folder(identity_dir or files.default_identity())
    parts = [_ca(ca, now, named=bool(ca_dir)), _identity(endpoint, now, named=bool(identity_dir))]
    yield from examine(machine.CHECKS, machine.this(now))
    yield from examine(cards.CHECKS, cards.this())
    for part in parts:
        yield from part


def _ca(folder: CaFolder, now: datetime, *, named: bool) -> Iterator[Finding]:
    option = f"--ca-dir {typed(folder.path)}"
    try:
        if folder.is_waiting():
            return _hidden("ca certificate", waiting(folder), option)
        if subject.is_there(folder):
            return examine(CA_CHECKS, subject.at(folder, now), option=f" {option}" * named)
    except LocalState as error:
        return _hidden("ca folder", error, option)
    if named:
        hint = "make one with: cipsec ca init, or name its folder with --ca-dir"
        raise NotFound(f"there is no CA in {folder.path}", hint=hint)
    return _none("ca", folder.path, "cipsec ca init")


def _identity(folder: Folder, now: datetime, *, named: bool) -> Iterator[Finding]:
    option = f"--identity {typed(folder.path)}"
    try:
        if folder.exists():
            identity.require_files(folder.path)
            endpoint = identity.at(folder, now)
            return examine(identity.CHECKS, endpoint, option=f" {option}" * named)
    except LocalState as error:
        return _hidden("identity", error, option)
    if named:
        raise NotFound(f"there is no identity in {folder.path}", hint=f"cipsec enroll {option}")
    return _none("identity", folder.path, "cipsec enroll")


def _none(check: str, path: Path, hint: str) -> Iterator[Finding]:
    yield Finding(check, Verdict.OK, f"there is none in {path}", hint)


def _hidden(check: str, error: LocalState, option: str) -> Iterator[Finding]:
    hint = error.hint or f"sudo cipsec doctor {option}"
    yield Finding(check, Verdict.FAIL, error.message, hint)
