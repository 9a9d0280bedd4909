"""A new certificate comes into use: tried against the server first, so that the old one stays
where the new one does not serve.

What the try shows is that the server ends a TLS handshake in which the new key signs, and answers;
whether it asked for the certificate, TLS does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cipsec import times
from cipsec.endpoint.folder import Draft, Folder, Identity, Issued
from cipsec.endpoint.hook import Hook
from cipsec.endpoint.trust import Person
from cipsec.errors import (
    CipsecError,
    CredentialsRefused,
    LocalState,
    NotFound,
    Rejected,
    Unreachable,
    Untrusted,
)
from cipsec.est.client import Session
from cipsec.times import show_time
from cipsec.tls.client import client_context

# What comes of a try, by what the exit code tells of it.
_FAILURES = (CredentialsRefused, Rejected, Untrusted, Unreachable, NotFound)
_TRIES = 3
_PAUSE_SECONDS = 2.0  # for a server that learns only now what it has just issued


@dataclass(frozen=True, slots=True)
class Taking:
    """How a new certificate is taken into use: tried or not, and what is run afterwards."""

    tries: bool = True
    hook: Hook | None = None


def why_not(
    folder: Folder, draft: Draft, issued: Issued, taking: Taking, person: Person
) -> CipsecError | None:
    """Return why the old certificate stays in use; None when the new one serves.

    It is not tried where there is no old one to keep, or none that is still valid.
    """
    old = _in_force(folder)
    if not taking.tries or old is None:
        return None
    for left in reversed(range(_TRIES)):
        try:
            _try(folder, draft, issued)
        except _FAILURES as error:
            if left:
                person.wait(_PAUSE_SECONDS, f"trying the new certificate: {error.message}")
            why = error
        else:
            return None
    return _told(why, old, replace(draft.state, card=None).again(folder.path))


def _in_force(folder: Folder) -> Identity | None:
    try:
        identity = folder.identity()
    except LocalState:
        return None  # damaged: `enroll -f` is replacing it
    if identity and times.now() > identity.issued.certificate.not_valid_after_utc:
        return None
    return identity


def _try(folder: Folder, draft: Draft, issued: Issued) -> None:
    server = draft.state.server
    context = client_context(issued.anchors, by_name=server.named, credential=folder.untried())
    with Session(server.url, context, credential=True) as session:
        session.cacerts()


def _told(why: CipsecError, old: Identity, again: str) -> CipsecError:
    """Return the failure for people; `again` tries the certificate, and needs no card for that."""
    end = show_time(old.issued.certificate.not_valid_after_utc)
    kind = next(kind for kind in _FAILURES if isinstance(why, kind))
    return kind(
        f"the new certificate was tried and does not serve: {why.message};"
        f" the old one stays in use, until {end}",
        hint=f"`{again}` tries it again; with --no-try it is taken into use as it is",
    )
