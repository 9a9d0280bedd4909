"""The registration authority: an enrollment in, a certificate, a wait or a refusal out.

Evidence, then decision, then one transaction that holds the certificate, why it was granted and the
event (`granting`); nothing is answered before that is durable. HTTP is left to `est.server`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from datetime import datetime

from cryptography import x509

from cipsec import times
from cipsec.ca.authority import Authority
from cipsec.errors import CredentialsRefused, LocalState, StoreFailed
from cipsec.ra import granting, record
from cipsec.ra.answers import Answer, Granted, Queued, Refused
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, UserProof
from cipsec.ra.granting import Overtaken, Written
from cipsec.ra.judge import Case, judge
from cipsec.ra.logins import Logins
from cipsec.ra.policy import NONE, Outcome
from cipsec.ra.polls import Polls
from cipsec.ra.refusals import Refusals
from cipsec.ra.sources import Sources
from cipsec.store import events, requests
from cipsec.store.codes import Code
from cipsec.store.database import Work
from cipsec.store.events import Event
from cipsec.store.requests import Standing, State
from cipsec.store.writer import Writer


class RegistrationAuthority:
    """Answers enrollments: by the policy in force, with the CA's key, into the store."""

    def __init__(
        self,
        authority: Authority,
        sources: Sources,
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
        self._sources = sources
        self._database = sources.database
        self._writer = writer
        self._config = config
        self._own_names = own_names
        self._tell = tell
        self._clock = clock
        self._refusals = Refusals()
        self._troubles = Refusals()  # apart: what strangers are refused must not hide these
        self.logins = Logins(self._database, locked=self._record)
        self.polls = Polls(self._database, writer)

    def exchange(self, authority: Authority, cas: tuple[x509.Certificate, ...]) -> None:
        """Issue by `authority` from now on; what any of the roots `cas` signed is this CA's."""
        self._authority = authority
        self._sources = dataclasses.replace(self._sources, cas=cas)

    async def enroll(self, enrollment: Enrollment) -> Answer:
        """Answer one enrollment; raise LocalState while policy or store cannot be used."""
        try:
            user = await self._user(enrollment)
        except CredentialsRefused as error:
            return await self._refuse_login(enrollment, error.message)
        for attempt in range(granting.MOST_TRIES):
            # Not before: checking a login takes its time, and rules may change meanwhile.
            case = await judge(
                enrollment,
                user=user,
                config=self._config,
                sources=self._sources,
                own_names=self._own_names(),
                now=self._clock(),
                look=attempt > 0,  # a grant looks by itself, where it costs least
            )
            await self._tell_troubles(case)
            with contextlib.suppress(Overtaken):
                return await self._answer(case)
        raise StoreFailed("others get certificates for the same device all the time")

    async def _user(self, enrollment: Enrollment) -> UserProof | None:
        login = enrollment.login
        if login is None:
            return None
        return await self.logins.verify(
            login, enrollment.address, label=enrollment.label, now=self._clock()
        )

    async def _answer(self, case: Case) -> Answer:
        match case.decision.outcome:
            case Outcome.GRANT:
                return await self._write(case, lambda db: granting.grant(db, case, self._authority))
            case Outcome.ASK:
                return await self._ask(case)
            case Outcome.REJECT:
                return await self._refuse(case)

    async def _write(self, case: Case, work: Work[Written]) -> Answer:
        """Run one transaction, tell its events once it is durable, and return its answer."""
        written = await self._writer.write(work)
        for event in written.events:
            self._tell(event)
        if isinstance(written.answer, Refused):
            await self._note_refusal(case, written.answer.reason)
        return written.answer

    # Asking: an administrator decides, the next poll receives.

    async def _ask(self, case: Case) -> Answer:
        row = self._database.read(lambda db: requests.standing(db, case.id))
        if row is None:
            return await self._open(case)
        match State(row.state):
            case State.PENDING:
                return await self._wait(case, row)
            case State.REJECTED:
                return granting.rejected(row)
            case State.APPROVED:
                wait = self._queued(case, case.at)
                if case.decision.undecided:  # perhaps by a rule that would reject it
                    return wait
                return await self._write(
                    case, lambda db: granting.grant_approved(db, case, self._authority, wait)
                )
            case State.GRANTED:
                return await self._again(case, row)

    async def _open(self, case: Case) -> Answer:
        server = case.config.server
        self.polls.admit(
            case.enrollment.address,
            most=server.max_pending,
            most_of_one=server.max_pending_per_address,
        )
        queued = self._queued(case, case.at)
        return await self._write(case, lambda db: Written(queued, granting.open_request(db, case)))

    async def _wait(self, case: Case, row: Standing) -> Answer:
        if not granting.is_as_shown(case, row):
            return await self._reopen(case, State.PENDING)
        address = self.polls.place(
            case.id,
            of=case.enrollment.address,
            was=row.address,
            most_of_one=case.config.server.max_pending_per_address,
        )
        self.polls.count(case.id, case.at, address)
        return self._queued(case, row.first_seen)

    async def _again(self, case: Case, row: Standing) -> Answer:
        """Give the same certificate until it is due for renewal; then it is a new question."""
        granted = self._database.read(lambda db: granting.again(db, case, row))
        if granted is not None:
            return Granted(granted.der)
        return await self._reopen(case, State.GRANTED)

    async def _reopen(self, case: Case, state: State) -> Answer:
        queued = self._queued(case, case.at)
        return await self._write(case, lambda db: Written(queued, granting.reopen(db, case, state)))

    def _queued(self, case: Case, since: int) -> Queued:
        least = int(case.config.server.retry_after.total_seconds())
        wait = self.polls.retry_after(least, waited=case.at - since)
        return Queued(case.id, wait, case.decision.in_vain)

    # Refusing: recorded, but not once for each try of a stubborn device.

    async def _refuse(self, case: Case) -> Refused:
        reason = case.decision.reason
        await self._note_refusal(case, reason)
        no_rule = case.decision.rule == NONE
        label = case.enrollment.label
        could_log_in = case.evidence.user is None and case.config.policy.asks_password(label)
        return Refused(case.decision.told or reason, authenticate=no_rule and could_log_in)

    async def _note_refusal(self, case: Case, reason: str) -> None:
        address = case.enrollment.address
        if self._refusals.is_news(case.id, reason, case.now, address=address):
            await self._record(record.event(case, Code.REFUSED, reason))

    async def _refuse_login(self, enrollment: Enrollment, reason: str) -> Refused:
        now, user = self._clock(), enrollment.login.user if enrollment.login else ""
        at = int(now.timestamp())
        if self._refusals.is_news(
            f"{enrollment.address} {user}", reason, now, address=enrollment.address
        ):
            await self._record(record.refused_login(enrollment, user, reason, at))
        return Refused(reason, authenticate=True)

    # What the operator has to mend.

    async def _tell_troubles(self, case: Case) -> None:
        """Record what could not be judged, and with which rule's consequence."""
        for trouble in case.decision.troubles:
            if self._troubles.is_news("policy", trouble, case.now):
                await self._record(Event(case.at, Code.POLICY_ERROR, "server", reason=trouble))

    async def report(self, trouble: LocalState) -> None:
        """Record that requests cannot be decided, and why; raise StoreFailed."""
        if not isinstance(trouble, StoreFailed):
            at = int(self._clock().timestamp())
            await self._record(Event(at, Code.POLICY_ERROR, "server", reason=trouble.message))

    async def _record(self, event: Event) -> None:
        await self._writer.write(lambda db: events.append(db, event))
        self._tell(event)

    async def close(self) -> None:
        """End the threads that check passwords, and the programs that rules ask."""
        self.logins.close()
        await self._sources.programs.close()
