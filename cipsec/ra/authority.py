"""The registration authority: an enrollment in, a certificate, a wait or a refusal out.

Evidence, then decision, then one transaction that holds the certificate, why it was granted and the
event; nothing is answered before that is durable. HTTP is left to `est.server`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cipsec import times
from cipsec.ca import profile
from cipsec.ca.authority import Authority
from cipsec.errors import CredentialsRefused, LocalState, StoreFailed
from cipsec.ra import record
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment
from cipsec.ra.evidence import OwnAnchor
from cipsec.ra.judge import Case, judge
from cipsec.ra.policy import NONE, Outcome
from cipsec.ra.polls import Polls
from cipsec.ra.refusals import Refusals
from cipsec.ra.users import Logins
from cipsec.store import certificates, events, requests
from cipsec.store.certificates import CertificateRow
from cipsec.store.database import Database, Work
from cipsec.store.events import Event
from cipsec.store.requests import Standing, State
from cipsec.store.writer import Writer

# A device that lost the answer asks again within minutes and gets the same certificate.
_SAME_CERTIFICATE = timedelta(minutes=10)
_RENEWAL_DUE = 0.66  # of the lifetime; as the endpoint's `renew --if-due` has it


@dataclass(frozen=True, slots=True)
class Granted:
    """A certificate, recorded; `der` is what the applicant gets."""

    der: bytes


@dataclass(frozen=True, slots=True)
class Queued:
    """Accepted and not decided: ask again after `retry_after` seconds."""

    id: str
    retry_after: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused, and why; `authenticate` when a login could still change that."""

    reason: str
    authenticate: bool = False


Answer = Granted | Queued | Refused
# What a transaction leaves behind: the answer, and the event it recorded, if any.
_Written = tuple[Answer, Event | None]


class RegistrationAuthority:
    """Answers enrollments: by the policy in force, with the CA's key, into the store."""

    def __init__(
        self,
        authority: Authority,
        database: Database,
        writer: Writer,
        *,
        config: Callable[[], Config],
        own_names: Callable[[], frozenset[str]],
        tell: Callable[[Event], None] = lambda _: None,
        clock: Callable[[], datetime] = times.now,
    ) -> None:
        """`config` returns the configuration in force and raises LocalState while it is broken;
        `own_names` returns the EST server's alternative names as `names.show_san` writes them;
        `tell` is called with each event once it is recorded.
        """
        self._authority = authority
        self._database = database
        self._writer = writer
        self._config = config
        self._own_names = own_names
        self._tell = tell
        self._clock = clock
        self._anchor = OwnAnchor(authority.certificate, self._recorded)
        self._refusals = Refusals()
        self.logins = Logins(database)
        self.polls = Polls(database, writer)

    async def enroll(self, enrollment: Enrollment) -> Answer:
        """Answer one enrollment; raise LocalState while policy or store cannot be used."""
        user = None
        if enrollment.login is not None:
            user = enrollment.login.user
            try:
                await self.logins.verify(enrollment.login, enrollment.address)
            except CredentialsRefused as error:
                return await self._refuse_login(enrollment, user, error.message)
        # Not before: checking a login takes its time, and rules may change meanwhile.
        case = judge(
            enrollment,
            user=user,
            config=self._config(),
            anchor=self._anchor,
            own_names=self._own_names(),
            now=self._clock(),
        )
        return await self._answer(case)

    async def _answer(self, case: Case) -> Answer:
        match case.decision.outcome:
            case Outcome.GRANT:
                return await self._write(lambda db: self._grant(db, case, repeat=True))
            case Outcome.ASK:
                return await self._ask(case)
            case Outcome.REJECT:
                return await self._refuse(case)

    # Granting: inside one transaction, by the writer.

    async def _write(self, work: Work[_Written]) -> Answer:
        """Run one transaction, tell its event once it is durable, and return its answer."""
        answer, event = await self._writer.write(work)
        if event is not None:
            self._tell(event)
        return answer

    def _grant(self, db: sqlite3.Connection, case: Case, *, repeat: bool) -> _Written:
        if repeat:
            since = int((case.now - _SAME_CERTIFICATE).timestamp())
            earlier = certificates.latest_for_enrollment(db, case.id, since=since)
            if earlier and earlier.status(case.now) == "valid":
                return Granted(earlier.der), None
        row = self._issue(case)
        certificates.insert(db, row)
        requests.grant(db, case.id, row.serial)
        event = record.event(case, "granted", case.decision.reason, serial=row.serial)
        events.append(db, event)
        return Granted(row.der), event

    def _issue(self, case: Case) -> CertificateRow:
        wanted = case.config.certificate
        kind = profile.endpoint(wanted.validity, wanted.backdate)
        issued = self._authority.issue(case.enrollment.request, kind, now=case.now)
        return record.certificate_row(case, issued, kind.kind)

    # Asking: an administrator decides, the next poll receives.

    async def _ask(self, case: Case) -> Answer:
        row = self._database.read(lambda db: requests.standing(db, case.id))
        if row is None:
            server = case.config.server
            self.polls.admit(
                case.enrollment.address,
                most=server.max_pending,
                most_of_one=server.max_pending_per_address,
            )
            queued = self._queued(case, case.at)
            return await self._write(lambda db: (queued, _open(db, case)))
        match State(row.state):
            case State.PENDING:
                self.polls.count(case.id, case.at, case.enrollment.address)
                return self._queued(case, row.first_seen)
            case State.REJECTED:
                return Refused(f"rejected by an administrator: {row.note or 'no note'}")
            case State.APPROVED:
                return await self._write(lambda db: self._grant_approved(db, case))
            case State.GRANTED:
                return await self._again(case, row)

    def _grant_approved(self, db: sqlite3.Connection, case: Case) -> _Written:
        """Issue for an approved request; its state is read again inside the transaction."""
        row = requests.standing(db, case.id)
        if row is None or row.state == State.PENDING:
            return self._queued(case, case.at), None
        if row.state == State.REJECTED:
            return Refused(f"rejected by an administrator: {row.note or 'no note'}"), None
        if row.state == State.GRANTED:
            granted = certificates.by_serial(db, row.serial or "")
            if granted is not None:
                return Granted(granted.der), None
        approved = f"approved by {row.decided_by}" + (f": {row.note}" if row.note else "")
        return self._grant(db, case.because(approved), repeat=False)

    async def _again(self, case: Case, row: Standing) -> Answer:
        """Give the same certificate until it is due for renewal; then it is a new question."""
        granted = self._database.read(lambda db: certificates.by_serial(db, row.serial or ""))
        if granted and granted.status(case.now) == "valid" and not _is_due(granted, case.at):
            return Granted(granted.der)
        queued = self._queued(case, case.at)
        return await self._write(lambda db: (queued, _reopen(db, case)))

    def _queued(self, case: Case, since: int) -> Queued:
        least = int(case.config.server.retry_after.total_seconds())
        return Queued(case.id, self.polls.retry_after(least, waited=case.at - since))

    # Refusing: recorded, but not once for each try of a stubborn device.

    async def _refuse(self, case: Case) -> Refused:
        reason = case.decision.reason
        if self._refusals.is_news(case.id, reason, case.now):
            await self._record(record.event(case, "refused", reason))
        no_rule = case.decision.rule == NONE
        label = case.enrollment.label
        could_log_in = case.evidence.user is None and case.config.policy.asks_password(label)
        return Refused(reason, authenticate=no_rule and could_log_in)

    async def _refuse_login(self, enrollment: Enrollment, user: str, reason: str) -> Refused:
        now = self._clock()
        if self._refusals.is_news(f"{enrollment.address} {user}", reason, now):
            at = int(now.timestamp())
            await self._record(record.refused_login(enrollment, user, reason, at))
        return Refused(reason, authenticate=True)

    async def report(self, trouble: LocalState) -> None:
        """Record that requests cannot be decided, and why; raise StoreFailed."""
        if not isinstance(trouble, StoreFailed):
            at = int(self._clock().timestamp())
            await self._record(Event(at, "policy-error", "server", reason=trouble.message))

    async def _record(self, event: Event) -> None:
        await self._writer.write(lambda db: events.append(db, event))
        self._tell(event)

    def _recorded(self, serial: str) -> CertificateRow | None:
        return self._database.read(lambda db: certificates.by_serial(db, serial))

    def close(self) -> None:
        """End the threads that check passwords."""
        self.logins.close()


def _is_due(row: CertificateRow, at: int) -> bool:
    return at > row.issued_at + _RENEWAL_DUE * (row.not_after - row.issued_at)


def _open(db: sqlite3.Connection, case: Case) -> Event | None:
    """Record a request that is to be asked about; two at once for the same id make one."""
    if requests.standing(db, case.id) is not None:
        return None
    requests.insert(db, record.request_row(case))
    event = record.event(case, "pending", case.decision.reason)
    events.append(db, event)
    return event


def _reopen(db: sqlite3.Connection, case: Case) -> Event | None:
    """Ask again about a granted request; two polls at once ask once."""
    if not requests.reopen(db, case.id, at=case.at):
        return None
    event = record.event(case, "pending", "its certificate is due for renewal")
    events.append(db, event)
    return event
