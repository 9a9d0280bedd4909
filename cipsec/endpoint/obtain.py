"""From a draft on disk to its certificate: ask, wait as told, ask again; the only loop there is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.endpoint import receive
from cipsec.endpoint.folder import Draft, Folder, Issued
from cipsec.endpoint.state import Kind
from cipsec.endpoint.taking import Taking, why_not
from cipsec.endpoint.trust import Person
from cipsec.errors import (
    BadAnswer,
    Busy,
    CardError,
    CipsecError,
    CredentialsRefused,
    LocalState,
    NotFound,
    Pending,
    Rejected,
    Unreachable,
    Untrusted,
)
from cipsec.est.attributes import CHALLENGE_PASSWORD
from cipsec.est.client import Session
from cipsec.est.login import Login
from cipsec.pki import csr
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES
from cipsec.tls.client import Credential, SignerCredential, client_context

if TYPE_CHECKING:
    from cipsec.endpoint.card import Card

_LONGEST_PAUSE = 60  # seconds between attempts while a server that had accepted is away
_LONG_PAUSE = 15 * 60  # seconds: beyond that a person is told, who would think it hangs
_CARD_PAUSE = 1  # seconds between looks for a card that was pulled


@dataclass(frozen=True, slots=True)
class Patience:
    """Whether to wait for a decision, and for how long from now; for ever without a limit."""

    wait: bool = True
    limit: timedelta | None = None
    _since: float = field(default_factory=time.monotonic)

    def lasts(self, seconds: float) -> bool:
        """Tell whether there is patience for that many seconds more."""
        if self.limit is None:
            return self.wait
        spent = time.monotonic() - self._since
        return self.wait and spent + seconds <= self.limit.total_seconds()


@dataclass(frozen=True, slots=True)
class _Means:
    """What is authenticated with; `card` takes the place of `credential`."""

    login: Login | None
    credential: Credential | None
    card: Card | None


def obtain(
    folder: Folder,
    draft: Draft,
    *,
    login: Login | None,
    credential: Credential | None,
    card: Card | None,
    patience: Patience,
    taking: Taking,
    person: Person,
) -> None:
    """Get the draft's certificate, check it, and take it into use as `taking` says.

    One that an earlier run got is tried again; another is asked for only where the server refuses
    that. Raises what `_granted` raises, and where the old certificate stays in use why it does.
    """
    issued, fresh = folder.held(), False
    while True:
        if issued is None or issued.certificate.not_valid_after_utc <= times.now():
            means = _Means(login, credential, card)
            with _kept(folder):
                issued, fresh = _granted(folder, draft, means, patience, person), True
            _hold(folder, draft, issued)
        failure = why_not(folder, draft, issued, taking, person)
        if failure is None:
            break
        cannot_ask = draft.state.card is not None and card is None
        if fresh or cannot_ask or not isinstance(failure, CredentialsRefused | Rejected):
            _note(folder, failure)
            raise failure
        issued = None
    folder.finish(owes_hook=taking.hook is not None)
    for line in receive.differences(draft.request, issued.certificate):
        person.warn(line)


def _granted(
    folder: Folder, draft: Draft, means: _Means, patience: Patience, person: Person
) -> Issued:
    """Ask until there is a certificate, and return it, checked.

    A card, once it has served and is pulled, is waited for where somebody can put it in.
    Raises Pending when patience ends first: the draft stays, and the next run goes on with it. A
    refusal is final and drops the draft. Once the server has accepted, losing it is only said.
    """
    said = ""
    while True:
        try:
            answer, known = _ask(draft, means)
        except Pending as pending:
            failure: CipsecError = _resumable(pending, folder, draft)
            draft = folder.note(draft, draft.state.waiting(pending))
            pause = pending.retry_after
        except Busy as busy:
            failure, pause = busy, busy.retry_after
        except Unreachable as error:
            if not draft.state.pending:
                raise
            failure, pause = error, min(draft.state.retry_after or 0, _LONGEST_PAUSE)
        except CardError as error:
            failure, pause = _awaited(means.card, error, draft, folder), _CARD_PAUSE
        except Rejected:
            folder.drop()
            raise
        else:
            # Outside of what is tried again: a certificate that is not good would be followed by
            # another at each poll.
            issued = receive.judge(answer, known, draft, times.now())
            if means.card:
                means.card.record(issued.certificate, draft.state.server.url, folder.path)
            for good, line in receive.root_news(draft.anchors, known, times.now()):
                (person.tell if good else person.warn)(line)
            return issued
        pause = max(1, pause)
        if not patience.lasts(pause):
            raise failure
        line = _told(failure.message, pause)
        if line != said:
            person.tell(line)
            said = line
        person.wait(pause, failure.message)


def _told(message: str, pause: int) -> str:
    """Say when the server is asked again where that is not soon: it decides (RFC 7030 4.2.3)."""
    if pause < _LONG_PAUSE:
        return message
    after = times.show_duration(timedelta(seconds=pause))
    return f"{message}; the server wants to be asked again in {after}, and sooner only by hand"


def _hold(folder: Folder, draft: Draft, issued: Issued) -> None:
    """Keep what was granted; raise LocalState, which says how to go on: a use may be spent."""
    try:
        folder.hold(issued)
    except LocalState as error:
        raise LocalState(
            f"the certificate was granted and cannot be kept: {error.message}",
            hint=f"mend that; the same key asks for it again: {draft.state.again(folder.path)}",
        ) from None


def _note(folder: Folder, failure: CipsecError) -> None:
    """Record, for `status`, why the certificate that is there is not in use."""
    draft = folder.draft()
    if draft:
        folder.note(draft, replace(draft.state, reason=failure.message))


def _resumable(answer: Pending, folder: Folder, draft: Draft) -> Pending:
    return Pending(
        answer.message,
        retry_after=answer.retry_after,
        request=answer.request,
        hint=f"ask again, with the same key: {draft.state.again(folder.path)}",
    )


def _awaited(card: Card | None, error: CardError, draft: Draft, folder: Folder) -> CardError:
    """Return the error of a card that is waited for; raise it when it is not."""
    if card is None:
        raise error
    return card.awaited(error, draft.state.again(folder.path))


@contextlib.contextmanager
def _kept(folder: Folder) -> Iterator[None]:
    """Say with what goes wrong inside how to go on with a request that the server has accepted."""
    try:
        yield
    except (CardError, CredentialsRefused, NotFound, Unreachable, Untrusted) as error:
        draft = folder.draft()
        again = draft.state.again(folder.path) if draft and draft.state.pending else ""
        if again not in (error.hint or ""):
            stays = f"the request is kept, go on with it: {again}"
            error.hint = f"{error.hint}; {stays}" if error.hint else stays
        raise


def _ask(draft: Draft, means: _Means) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Return the answer's certificates, and what /cacerts hands out besides."""
    with contextlib.ExitStack() as stack:
        card = means.card
        credential = stack.enter_context(card.presented()) if card else means.credential
        session = stack.enter_context(_session(draft, credential))
        known = session.cacerts()
        if CHALLENGE_PASSWORD in session.csrattrs() and session.tls_version != "TLSv1.2":
            # Only TLS 1.2 has a channel binding that the standard library can tell.
            older = stack.enter_context(_session(draft, credential, tls12=True))
            with contextlib.suppress(BadAnswer):
                older.cacerts()
                session = older
        return _post(session, draft, means.login), known


def _post(session: Session, draft: Draft, login: Login | None) -> list[x509.Certificate]:
    def make(binding: bytes | None) -> bytes:
        return signed_again(draft, binding)

    if draft.state.kind is Kind.RENEW:
        return session.simplereenroll(make)
    return session.simpleenroll(make, login=login)


def _session(
    draft: Draft, credential: Credential | SignerCredential | None, *, tls12: bool = False
) -> Session:
    server = draft.state.server
    context = client_context(
        draft.anchors, by_name=server.named, credential=credential, tls12=tls12
    )
    return Session(server.url, context, credential=credential is not None)


def signed_again(draft: Draft, binding: bytes | None) -> bytes:
    """Return the draft's request anew, in DER, with a channel binding (RFC 7030 section 3.5)."""
    request = draft.request
    mac = request.identity.mac if request.extension(SUBJECT_DIRECTORY_ATTRIBUTES) else None
    return csr.build(
        draft.key, request.subject, sans=request.sans, mac=mac, challenge=binding
    ).public_bytes(Encoding.DER)
