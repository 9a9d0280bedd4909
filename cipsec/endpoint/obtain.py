"""From a draft on disk to its certificate: ask, wait as told, ask again; the only loop there is."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.endpoint import receive
from cipsec.endpoint.folder import Draft, Folder, Issued
from cipsec.endpoint.state import Kind
from cipsec.endpoint.trust import Person
from cipsec.errors import BadAnswer, Busy, CipsecError, Pending, Rejected, Unreachable
from cipsec.est.attributes import CHALLENGE_PASSWORD
from cipsec.est.client import Session
from cipsec.est.login import Login
from cipsec.pki import csr
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES
from cipsec.tls.client import Credential, client_context

_LONGEST_PAUSE = 60  # seconds between attempts while a server that had accepted is away


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


def obtain(
    folder: Folder,
    draft: Draft,
    *,
    login: Login | None,
    credential: Credential | None,
    patience: Patience,
    person: Person,
) -> Issued:
    """Return the draft's certificate, checked and taken into use.

    Raises Pending when patience ends first: the draft stays, and the next run goes on with it. A
    refusal is final and drops the draft. Once the server has accepted, losing it is only said.
    """
    said = ""
    while True:
        try:
            issued = _ask(draft, login, credential)
        except Pending as answer:
            failure: CipsecError = _resumable(answer, folder, draft)
            draft = folder.note(draft, draft.state.waiting(answer))
            pause = answer.retry_after
        except Busy as answer:
            failure, pause = answer, answer.retry_after
        except Unreachable as error:
            if not draft.state.pending:
                raise
            failure, pause = error, min(draft.state.retry_after or 0, _LONGEST_PAUSE)
        except Rejected:
            folder.drop()
            raise
        else:
            folder.finish(issued)
            for line in receive.differences(draft.request, issued.certificate):
                person.warn(line)
            return issued
        pause = max(1, pause)
        if not patience.lasts(pause):
            raise failure
        if failure.message != said:
            person.tell(failure.message)
            said = failure.message
        person.wait(pause, failure.message)


def _resumable(answer: Pending, folder: Folder, draft: Draft) -> Pending:
    verb = f"cipsec {draft.state.kind} --identity {folder.path}"
    return Pending(
        answer.message,
        retry_after=answer.retry_after,
        request=answer.request,
        hint=f"ask again, with the same key: {verb}",
    )


def _ask(draft: Draft, login: Login | None, credential: Credential | None) -> Issued:
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(_session(draft, credential))
        known = session.cacerts()
        if CHALLENGE_PASSWORD in session.csrattrs() and session.tls_version != "TLSv1.2":
            # Only TLS 1.2 has a channel binding that the standard library can tell.
            older = stack.enter_context(_session(draft, credential, tls12=True))
            with contextlib.suppress(BadAnswer):
                older.cacerts()
                session = older
        answer = _post(session, draft, login)
    return receive.judge(answer, known, draft, times.now())


def _post(session: Session, draft: Draft, login: Login | None) -> list[x509.Certificate]:
    def make(binding: bytes | None) -> bytes:
        return signed_again(draft, binding)

    if draft.state.kind is Kind.RENEW:
        return session.simplereenroll(make)
    return session.simpleenroll(make, login=login)


def _session(draft: Draft, credential: Credential | None, *, tls12: bool = False) -> Session:
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
