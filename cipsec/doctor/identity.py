"""An endpoint's identity: whole, private, valid, trusted, and what it waits for."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cipsec import shell
from cipsec.discovery.interfaces import Address, interfaces
from cipsec.doctor.authority import lost_addresses
from cipsec.doctor.finding import Remark, fail, failed, ok, or_ok, typed, warn
from cipsec.doctor.machine import CLOCK_HINT
from cipsec.doctor.permissions import mode_of, unseen
from cipsec.endpoint.folder import Draft, Folder, Identity
from cipsec.endpoint.renew import due_since
from cipsec.endpoint.state import Kind, State
from cipsec.errors import LocalState, Malformed, Untrusted
from cipsec.pki.chain import verify_chain
from cipsec.pki.names import show_name, show_san
from cipsec.times import show_duration, show_time

_LONG = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An identity folder; `identity` is None where there is none, or none that can be used."""

    folder: Folder
    now: datetime
    identity: Identity | None
    here: frozenset[Address]


def at(folder: Folder, now: datetime) -> Endpoint:
    """Return the endpoint of a folder; nothing that is wrong with it is an error here."""
    here = frozenset(a.ip for interface in interfaces() for a in interface.addresses)
    try:
        return Endpoint(folder, now, folder.identity(), here)
    except (LocalState, OSError):
        return Endpoint(folder, now, None, here)


def require_files(path: Path) -> None:
    """Raise Malformed for what is neither file nor folder: a pipe would be waited for."""
    for found in (*path.glob("*"), *path.glob("*/*")):
        if found.exists() and not found.is_file() and not found.is_dir():
            raise Malformed(
                f"{found} is not a file", hint=shell.command("ls -ld", found, windows="dir")
            )


def whole(endpoint: Endpoint) -> Iterator[Remark]:
    """See that key, certificate, chain and trust are there and belong together."""
    found = endpoint.folder.identity()  # raises what is wrong
    if found is None:
        yield warn(f"{endpoint.folder.path} has no certificate yet", "cipsec enroll")
    else:
        subject = show_name(found.issued.certificate.subject) or "no name"
        yield ok(f"{subject} in {found.directory}: key and certificate belong together")


def private(endpoint: Endpoint) -> Iterable[Remark]:
    """See that nobody else reads the key, or changes whom to trust."""
    path = endpoint.folder.path
    if shell.WINDOWS:
        return [unseen(path)]
    keys = [path / "next" / "key.pem"]
    if endpoint.identity is not None:
        keys.append(endpoint.identity.key_file)
    return or_ok((*_changeable(path), *_readable(keys)), "the key is its owner's alone")


def _changeable(path: Path) -> Iterator[Remark]:
    if (mode_of(path) or 0) & (stat.S_IWGRP | stat.S_IWOTH):
        yield fail(f"{path}: others may change what is in it", f"chmod 700 {typed(path)}")


def _readable(keys: Iterable[Path]) -> Iterator[Remark]:
    for key in keys:
        if (mode_of(key) or 0) & (stat.S_IRWXG | stat.S_IRWXO):
            yield fail(f"{key} can be read or changed by others", f"chmod 600 {typed(key)}")


def validity(endpoint: Endpoint) -> Iterator[Remark]:
    """See that the certificate is valid, and not due for renewal."""
    if endpoint.identity is None:
        return
    held, now = endpoint.identity.issued.certificate, endpoint.now
    end, due = held.not_valid_after_utc, due_since(held)
    if now < held.not_valid_before_utc:
        yield fail(f"it is valid only from {show_time(held.not_valid_before_utc)}", CLOCK_HINT)
    elif now > end:
        yield fail(f"it expired at {show_time(end)}", State.anew(endpoint.folder.path))
    elif now >= due:
        detail = f"renewal is due since {show_time(due)}; it ends at {show_time(end)}"
        yield warn(detail, "cipsec renew")
    else:
        yield ok(f"until {show_time(end)}, renewal is due at {show_time(due)}")


def trust(endpoint: Endpoint) -> Iterator[Remark]:
    """See that the certificate leads to the CA that the endpoint trusts."""
    if endpoint.identity is None:
        return
    issued = endpoint.identity.issued
    held = issued.certificate
    begin, end = held.not_valid_before_utc, held.not_valid_after_utc
    # Within its own time: that this is over, or has not begun, is said by another check, once.
    moment = endpoint.now if begin <= endpoint.now <= end else begin + (end - begin) / 2
    try:
        path = verify_chain(held, issued.chain, issued.anchors, moment)
    except Untrusted as error:
        yield failed(error, State.anew(endpoint.folder.path))
    else:
        yield ok(f"issued under {show_name(path[-1].subject)}, which is trusted")


def addresses(endpoint: Endpoint) -> Iterable[Remark]:
    """See that this machine has the addresses of its certificate: peers compare them."""
    if endpoint.identity is None:
        return ()
    lost = lost_addresses(endpoint.identity.issued.certificate, endpoint.here)
    remarks = (
        warn(f"the certificate names {show_san(name)}, which this machine has not", "ip address")
        for name in lost
    )
    return or_ok(remarks, "this machine has the addresses that the certificate names")


def request(endpoint: Endpoint) -> Iterator[Remark]:
    """See what the endpoint waits for."""
    draft = endpoint.folder.draft()
    if draft is None:
        yield ok("nothing is waited for")
        return
    waits = show_duration(endpoint.now - draft.state.since)
    hint = "cipsec renew" if draft.state.kind is Kind.RENEW else "cipsec enroll"
    if not draft.state.pending:
        yield warn(f"a request to {draft.state.server} was interrupted", hint)
    elif endpoint.now - draft.state.since > _LONG:
        yield warn(f"{_asked(draft)} waits since {waits}", hint)
    else:
        yield ok(f"{_asked(draft)} waits since {waits}", hint)


def _asked(draft: Draft) -> str:
    number = f"request {draft.state.request}" if draft.state.request else "a request"
    return f"{number} at {draft.state.server}"


CHECKS = {
    "identity": whole,
    "identity files": private,
    "identity certificate": validity,
    "identity trust": trust,
    "identity addresses": addresses,
    "identity request": request,
}
