"""Enrollment: what was wished and what is on disk become a draft; `obtain` gets its certificate."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import shell, times
from cipsec.endpoint import trust
from cipsec.endpoint.folder import Draft, Folder, Identity
from cipsec.endpoint.hook import settle
from cipsec.endpoint.obtain import Patience, obtain
from cipsec.endpoint.server import Server
from cipsec.endpoint.state import CardNeeded, Kind, State
from cipsec.endpoint.taking import Taking
from cipsec.endpoint.trust import Person, Trust
from cipsec.errors import AlreadyExists, LocalState, NotFound
from cipsec.est.login import Login
from cipsec.pki import csr, keys
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, DeviceId, Mac
from cipsec.pki.names import same_name, same_sans, show_name
from cipsec.times import show_time
from cipsec.tls.client import Credential, require_usable

if TYPE_CHECKING:
    from cipsec.discovery.interfaces import Interface
    from cipsec.endpoint.card import Card


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for; None and empty where nothing was said."""

    server: Server | None = None
    label: str | None = None
    interfaces: Sequence[Interface] = ()
    subject: x509.Name | None = None
    sans: tuple[x509.GeneralName, ...] = ()
    device: DeviceId | None = None
    mac: Mac | None = None
    key_type: keys.KeyType | None = None
    user: str | None = None
    credential: Credential | None = None
    card: Card | None = None
    trust: Trust = field(default_factory=Trust)

    @property
    def names_given(self) -> bool:
        """Whether anything was said of what the certificate is to hold."""
        return any((self.subject, self.sans, self.device, self.mac, self.key_type))

    def draft_names(self) -> x509.Name:
        """Return the subject to ask for: this machine's name where nothing was said."""
        host = socket.gethostname().partition(".")[0][:64] or "endpoint"
        return csr.subject_for(self.subject, self.device, host)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an enrollment would do: go on with `resumed`, or ask `server` for a new certificate."""

    server: Server
    anchors: tuple[x509.Certificate, ...]
    subject: x509.Name
    sans: tuple[x509.GeneralName, ...]
    user: str | None
    credential: Credential | None
    card: Card | None
    resumed: Draft | None


def enroll(
    folder: Folder,
    wish: Wish,
    *,
    patience: Patience,
    force: bool,
    person: Person,
    taking: Taking = Taking(),  # noqa: B008  # it cannot change
) -> Identity:
    """Get an identity into `folder`, or go on with the request that waits there.

    Password and PIN are asked for once the server has proved itself. Raises AlreadyExists when
    there is an identity, or a request for something else, and no `force`; and what `obtain` raises.
    """
    with folder.locked():
        planned = plan(folder, wish, force=force, person=person)
        login = Login(planned.user, person.password(planned.user)) if planned.user else None
        if planned.card:
            planned.card.ask_pin()
        draft = _resume(folder, planned) or _begin(folder, planned, wish)
        obtain(
            folder,
            draft,
            login=login,
            credential=planned.credential,
            card=planned.card,
            patience=patience,
            taking=taking,
            person=person,
        )
        identity = require(folder)
        settle(folder, identity, taking.hook, person)
        return identity


def plan(folder: Folder, wish: Wish, *, force: bool, person: Person) -> Plan:
    """Decide what to do and establish trust; nothing is written, and /cacerts alone is asked for.

    What is ours is looked at first: nobody compares a fingerprint for a key that does not fit.
    Raises as `enroll` does, but for what comes of the request itself.
    """
    resumed = _resumable(folder, wish, force=force)
    state = resumed.state if resumed else None
    # Whoever asked in spite of an identity in force has said -f; going on drops nothing.
    asked = state is not None and (state.pending or folder.held() is not None)
    known = _known_trust(folder, force=force or asked)
    _require_card(folder, wish, state)
    credential = _files(wish, state)
    if credential:
        require_usable(credential)
    if wish.card:
        wish.card.look(state)
    believed = wish.trust or Trust(resumed.anchors if resumed else known)
    server, anchors = _server(wish, state, believed, person)
    return Plan(
        server=server,
        anchors=anchors,
        subject=resumed.request.subject if resumed else wish.draft_names(),
        sans=resumed.request.sans if resumed else wish.sans,
        user=wish.user or (state.user if state else None),
        credential=credential,
        card=wish.card,
        resumed=resumed,
    )


def _known_trust(folder: Folder, *, force: bool) -> tuple[x509.Certificate, ...]:
    """Return the anchors of the identity there is, which must have ended unless `force`."""
    try:
        identity = folder.identity()
    except LocalState:
        if force:
            return ()
        raise
    if identity is None:
        return ()
    end = identity.issued.certificate.not_valid_after_utc
    if end > times.now() and not force:
        raise AlreadyExists(
            f"{folder.path} holds an identity that is valid until {show_time(end)}",
            hint=f"{_typed('renew', folder)}, or add -f for a new one",
        )
    return identity.issued.anchors


def _resumable(folder: Folder, wish: Wish, *, force: bool) -> Draft | None:
    """Return the draft to go on with; raise AlreadyExists when it waits for something else."""
    if force:
        return None
    draft = folder.draft()
    if draft is None or _fits(draft, wish):
        return draft
    if not draft.state.pending:
        return None  # nobody has accepted it: nothing is lost
    raise AlreadyExists(
        f"a request for {show_name(draft.request.subject)} waits at {draft.state.server}",
        hint=f"go on with it: {draft.state.again(folder.path)}; drop it: {State.anew(folder.path)}",
    )


def _fits(draft: Draft, wish: Wish) -> bool:
    """Tell whether going on with the draft is what was wished; what was not said always fits."""
    if draft.state.kind is not Kind.ENROLL:
        return False
    if wish.server and wish.server.url != draft.state.server.url:
        return False
    if wish.label and wish.label != draft.state.server.label:
        return False
    if wish.key_type and wish.key_type != keys.type_name(draft.key.public_key()):
        return False
    if not wish.names_given:
        return True
    return (
        same_name(draft.request.subject, wish.draft_names())
        and same_sans(draft.request.sans, wish.sans)
        and mac_of(draft.request) == wish.mac
    )


def _require_card(folder: Folder, wish: Wish, state: State | None) -> None:
    """Raise CardError when a request was made with a card, and none nor anything else is given."""
    if state is None or state.card is None:
        return  # what is damaged is looked at by nobody who begins anew
    if not (wish.card or wish.credential or wish.user or folder.held()):
        from cipsec.endpoint.card import missing

        raise missing(state, folder.path)


def _files(wish: Wish, state: State | None) -> Credential | None:
    """Return the files to authenticate with; a card takes the place of those used before."""
    if wish.card:
        return None
    return wish.credential or (state.credential if state else None)


def _server(
    wish: Wish, state: State | None, believed: Trust, person: Person
) -> tuple[Server, tuple[x509.Certificate, ...]]:
    server = wish.server or (state.server if state else None)
    if server is None:
        return trust.find(believed, wish.label, wish.interfaces, person)
    return trust.reach(server, believed, wish.interfaces, person)


def _resume(folder: Folder, planned: Plan) -> Draft | None:
    if planned.resumed is None:
        return None
    state = replace(
        planned.resumed.state,
        server=planned.server,
        user=planned.user,
        credential=planned.credential,
        card=planned.card.needed() if planned.card else _still_needed(planned),
    )
    return folder.note(planned.resumed, state, planned.anchors)


def _still_needed(planned: Plan) -> CardNeeded | None:
    """Return the card that another request would need, where a certificate is to be tried first."""
    given = planned.credential or planned.user
    return planned.resumed.state.card if planned.resumed and not given else None


def _begin(folder: Folder, planned: Plan, wish: Wish) -> Draft:
    key = keys.generate(wish.key_type or keys.KeyType.EC_P256)
    state = State(
        kind=Kind.ENROLL,
        server=planned.server,
        since=times.now(),
        user=planned.user,
        credential=planned.credential,
        card=planned.card.needed() if planned.card else None,
    )
    draft = Draft(
        key, request_for(key, planned.subject, planned.sans, wish.mac), planned.anchors, state
    )
    folder.begin(draft)
    return draft


def request_for(
    key: keys.PrivateKey,
    subject: x509.Name,
    sans: Sequence[x509.GeneralName],
    mac: Mac | None,
) -> csr.CertificateRequest:
    """Return the request that is kept on disk: it tells the names and is never sent."""
    built = csr.build(key, subject, sans=sans, mac=mac)
    return csr.parse(built.public_bytes(Encoding.DER))


def mac_of(request: csr.CertificateRequest) -> Mac | None:
    """Return the MAC address in the request's own extension, not one that only a name holds."""
    return request.identity.mac if request.extension(SUBJECT_DIRECTORY_ATTRIBUTES) else None


def _typed(verb: str, folder: Folder) -> str:
    return f"cipsec {verb} --identity {shell.quote(folder.path)}"


def require(folder: Folder) -> Identity:
    """Return the identity in use; raise NotFound when there is none, LocalState for damage."""
    identity = folder.identity()
    if identity is None:
        raise NotFound(f"there is no identity in {folder.path}", hint=_typed("enroll", folder))
    return identity
