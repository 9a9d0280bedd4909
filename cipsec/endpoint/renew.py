"""Renewal: when it is due, with which key, and the certificate in use as the credential for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509

from cipsec import times
from cipsec.endpoint import trust
from cipsec.endpoint.enroll import mac_of, request_for, require
from cipsec.endpoint.folder import Draft, Folder, Identity
from cipsec.endpoint.hook import settle
from cipsec.endpoint.obtain import Patience, obtain
from cipsec.endpoint.state import Kind, State
from cipsec.endpoint.taking import Taking
from cipsec.endpoint.trust import Person, Trust
from cipsec.errors import AlreadyExists
from cipsec.pki import keys
from cipsec.pki.names import sans_of
from cipsec.times import Due, show_time
from cipsec.tls.client import Credential

if TYPE_CHECKING:
    from cipsec.endpoint.card import Card


def renew(
    folder: Folder,
    *,
    rekey: bool,
    due: Due | None,
    patience: Patience,
    person: Person,
    card: Card | None = None,
    taking: Taking = Taking(),  # noqa: B008  # it cannot change
) -> Identity:
    """Renew the identity in `folder` for the same names, or go on with a renewal that waits.

    `rekey` makes a new key, which stays beside the old until its certificate is there. Before it
    is `due` nothing is done, but for a hook that is owed. `card` authenticates in place of the
    identity itself. Raises NotFound, AlreadyExists, HookFailed, and what `obtain` raises.
    """
    if not folder.exists():
        require(folder)  # says so, and leaves no lock file in a folder that is none of ours
    with folder.locked():
        identity, draft = waiting(folder)
        if draft is None and due and not is_due(identity, due):
            person.tell(not_due(identity, due))
            settle(folder, identity, taking.hook, person)
            return identity
        _require_card(folder, draft, card)
        if card:
            _prepare(card, draft or identity.draft, identity, person)
        draft = draft or _begin(folder, identity, rekey=rekey)
        draft = folder.note(draft, replace(draft.state, card=card.needed() if card else None))
        draft = _reached(folder, draft, person)
        obtain(
            folder,
            draft,
            login=None,
            credential=Credential(identity.certificate_file, identity.key_file),
            card=card,
            patience=patience,
            taking=taking,
            person=person,
        )
        identity = require(folder)
        settle(folder, identity, taking.hook, person)
        return identity


def _require_card(folder: Folder, draft: Draft | None, card: Card | None) -> None:
    asks = draft and draft.state.pending and not folder.held()
    if draft and asks and draft.state.card and card is None:
        from cipsec.endpoint.card import missing

        raise missing(draft.state, folder.path)


def _prepare(card: Card, asked: Draft, identity: Identity, person: Person) -> None:
    """Look at the card, have the server prove itself, and only then ask for the PIN."""
    card.look(asked.state)
    trust.reach(asked.state.server, Trust(identity.issued.anchors), (), person)
    card.ask_pin()


def rehearse(
    folder: Folder, *, due: Due | None, person: Person, card: Card | None = None
) -> Identity:
    """Say what `renew` would do, ask the server for /cacerts at most; raise as it does."""
    identity, draft = waiting(folder)
    if draft is None and due and not is_due(identity, due):
        person.tell(not_due(identity, due))
        return identity
    if card:
        card.look(draft.state if draft else None)
    server = (draft or identity.draft).state.server
    server, _ = trust.reach(server, Trust(identity.issued.anchors), (), person)
    person.tell(f"would {'go on with the renewal' if draft else 'renew'} at {server}")
    return identity


def waiting(folder: Folder) -> tuple[Identity, Draft | None]:
    """Return the identity and the renewal that waits, if any; raise NotFound, AlreadyExists."""
    identity = require(folder)
    draft = folder.draft()
    if draft and draft.state.kind is Kind.ENROLL:
        if draft.state.pending or folder.held():
            raise AlreadyExists(
                f"a request for a new identity waits at {draft.state.server}"
                if folder.held() is None
                else f"a new identity of {draft.state.server} waits to be tried",
                hint=f"go on with it: {draft.state.again(folder.path)}",
            )
        return identity, None
    return identity, draft


def due_since(certificate: x509.Certificate, due: Due | None = None) -> datetime:
    """Return when renewal becomes due; after two thirds of its life where nothing is said."""
    return (due or Due()).since(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def is_due(identity: Identity, due: Due) -> bool:
    """Tell whether renewal is due now."""
    return times.now() >= due_since(identity.issued.certificate, due)


def not_due(identity: Identity, due: Due) -> str:
    """Return, for people, until when there is time."""
    return f"not due before {show_time(due_since(identity.issued.certificate, due))}"


def _begin(folder: Folder, identity: Identity, *, rekey: bool) -> Draft:
    """RFC 7030 section 4.2.2: subject and alternative names are those of the certificate."""
    old, certificate = identity.draft, identity.issued.certificate
    key = _new_key(old.key) if rekey else old.key
    draft = Draft(
        key=key,
        request=request_for(key, certificate.subject, sans_of(certificate), mac_of(old.request)),
        anchors=identity.issued.anchors,
        state=State(kind=Kind.RENEW, server=old.state.server, since=times.now()),
    )
    folder.begin(draft)
    return draft


def _new_key(old: keys.PrivateKey) -> keys.PrivateKey:
    """Return a new key of the same type; the nearest served where the old is of another size."""
    name = keys.type_name(old.public_key())
    known = name if name in list(keys.KeyType) else keys.KeyType.RSA_3072
    return keys.generate(keys.KeyType(known))


def _reached(folder: Folder, draft: Draft, person: Person) -> Draft:
    """Return the draft with the place where a server that discovery had found is now."""
    server = draft.state.server
    if server.named:
        return draft
    server, _ = trust.reach(server, Trust(draft.anchors), (), person)
    return folder.note(draft, replace(draft.state, server=server))
