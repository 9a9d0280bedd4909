"""An identity as `enroll`, `renew` and `status` show it: the keys of the JSON contract."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cipsec import files, times
from cipsec.endpoint import enroll as endpoint
from cipsec.endpoint.folder import Draft, Folder, Identity
from cipsec.endpoint.hook import Hook
from cipsec.endpoint.renew import due_since
from cipsec.endpoint.taking import Taking
from cipsec.endpoint.trust import Person
from cipsec.errors import LocalState
from cipsec.pki import keys
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import show_name, show_san, show_serial
from cipsec.times import parse_duration, show_time

_KEYS = (
    "directory key certificate chain trust subject serial sha256 not_before not_after issuer server"
)


def open_folder(path: Path | None) -> Folder:
    """Return the identity folder at `path`, or at the default place."""
    return Folder(path or files.default_identity())


def taking_of(hook: str | None, limit: str, *, tries: bool) -> Taking:
    """Return how a new certificate is taken into use; raise UsageError for a hook that is none."""
    if hook is None:
        return Taking(tries)
    wanted = Hook.parse(hook, parse_duration(limit))
    wanted.require()
    return Taking(tries, wanted)


def shown(identity: Identity) -> dict[str, object]:
    """Return an identity for people and programs."""
    certificate = identity.issued.certificate
    return {
        "directory": str(identity.directory),
        "key": str(identity.key_file),
        "certificate": str(identity.certificate_file),
        "chain": str(identity.chain_file),
        "trust": str(identity.trust_file),
        "subject": show_name(certificate.subject),
        "serial": show_serial(certificate.serial_number),
        "sha256": sha256(certificate),
        "not_before": show_time(certificate.not_valid_before_utc),
        "not_after": show_time(certificate.not_valid_after_utc),
        "issuer": show_name(certificate.issuer),
        "server": identity.draft.state.server.url,
    }


def planned(
    folder: Folder, wish: endpoint.Wish, person: Person, *, force: bool
) -> dict[str, object]:
    """Return what an enrollment would ask for, and of whom; nothing is written."""
    plan = endpoint.plan(folder, wish, force=force, person=person)
    verb = "go on with the request" if plan.resumed else "ask for a certificate"
    person.tell(f"would {verb} for {show_name(plan.subject)} at {plan.server}")
    return _empty(folder) | {
        "subject": show_name(plan.subject),
        "server": plan.server.url,
        "san": [show_san(name) for name in plan.sans],
        "anchors": [sha256(anchor) for anchor in plan.anchors],
    }


def status_of(folder: Folder) -> dict[str, object]:
    """Return the identity in `folder`, and what it waits for; raise NotFound without either."""
    if folder.exists():
        # What an interrupted run began is finished, unless another is at it or we may not write.
        with contextlib.suppress(LocalState), folder.locked():
            pass
    draft = folder.draft()
    pending = _pending(draft) if draft else None
    identity = folder.identity() if pending else endpoint.require(folder)
    if identity is None:
        return _empty(folder) | {"days_left": None, "due": None, "pending": pending}
    end = identity.issued.certificate.not_valid_after_utc
    return shown(identity) | {
        "days_left": (end - times.now()).days,
        "due": times.now() >= due_since(identity.issued.certificate),
        "pending": pending,
    }


def _empty(folder: Folder) -> dict[str, object]:
    return dict.fromkeys(_KEYS.split()) | {"directory": str(folder.path)}


def _pending(draft: Draft) -> dict[str, object]:
    state = draft.state
    return {
        "kind": str(state.kind),
        "server": state.server.url,
        "subject": show_name(draft.request.subject),
        "since": show_time(state.since),
        "card": state.card.subject if state.card else None,
        "accepted": state.pending,
        "retry_after": state.retry_after,
        "request": state.request,
        "reason": state.reason,
        "spki_sha256": keys.spki_sha256(draft.key.public_key()),
    }
