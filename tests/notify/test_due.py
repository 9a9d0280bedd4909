"""Events of time: certificates that end soon, requests that have waited long."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from cipsec.errors import Malformed
from cipsec.ra.notify.due import announce_expiring, remind_of_waiting, watch
from cipsec.store import certificates, events, held, requests
from cipsec.store.certificates import CertificateRow
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.writer import Writer
from tests.store import rows

from . import happening

DAY = 86_400
NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
MONTH = timedelta(days=30)


def holds(store: Database, serial: str, *, days: float, **values: object) -> None:
    """Record a certificate of two years that ends in so many days."""
    row: CertificateRow = dataclasses.replace(
        rows.certificate(
            serial,
            device="0001:6040C8F2",
            issued_at=AT - 730 * DAY,
            not_after=AT + int(days * DAY),
        ),
        **values,  # type: ignore[arg-type]  # the tests' own
    )
    names = held.texts(device=row.device, mac=row.mac, subject=row.subject)

    def work(db: object) -> None:
        certificates.insert(db, row)  # type: ignore[arg-type]  # the store's connection
        held.insert(db, row.serial, names)  # type: ignore[arg-type]  # likewise

    store.write(work)


def announce(store: Database, writer: Writer, *, now: datetime = NOW) -> int:
    """Look once for certificates that end within a month."""
    return asyncio.run(announce_expiring(store, writer, MONTH, now))


def recorded(store: Database) -> list[Event]:
    """Return the log."""
    return store.read(lambda db: [one for _, one in events.after(db, 0)])


def test_once(store: Database, writer: Writer) -> None:
    """A certificate that ends within the month is told of once, with its rule and its end."""
    holds(store, "01", days=29)
    holds(store, "02", days=31, device="0001:00000002", subject="CN=Drive 8")
    assert announce(store, writer) == 1
    assert announce(store, writer) == 0
    [told] = recorded(store)
    assert (told.event, told.serial, told.subject) == ("expiring", "01", "CN=Drive 7")
    assert (told.device, told.rule) == ("0001:6040C8F2", "renewal")
    assert told.reason == "ends 2027-02-13T08:00:00Z, in 29d, and was not renewed"
    assert announce(store, writer, now=NOW + timedelta(days=2)) == 1
    assert announce(store, writer, now=NOW + timedelta(days=90)) == 0


@pytest.mark.parametrize(
    "newer",
    [
        {},
        {"subject": "CN=another name"},
        {"device": None},
    ],
)
def test_renewed(store: Database, writer: Writer, newer: dict[str, object]) -> None:
    """By device, or by subject where there is no device."""
    older = {"device": None} if newer.get("device", "") is None else {}
    holds(store, "01", days=29, **older)
    holds(store, "02", days=700, **newer)
    assert announce(store, writer) == 0


@pytest.mark.parametrize(
    "newer",
    [
        {"revoked_at": AT},
        {"device": "0001:00000002"},
    ],
)
def test_not_renewed(store: Database, writer: Writer, newer: dict[str, object]) -> None:
    """A renewal that was revoked is none, and neither is another device's of the same name."""
    holds(store, "01", days=29)
    holds(store, "02", days=700, **newer)
    assert announce(store, writer) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"revoked_at": AT},
        {"kind": "server"},
        {"kind": "provisioning"},
        {"issued_at": AT},
        {"not_after": AT - 1},
    ],
)
def test_nobodys_concern(store: Database, writer: Writer, values: dict[str, object]) -> None:
    """Revoked, renewed by itself, spent, made for a short time, over."""
    holds(store, "01", days=7, **values)
    assert announce(store, writer) == 0


def test_many(store: Database, writer: Writer) -> None:
    """All of a plant's that end in the same second."""

    def work(db: object) -> None:
        for n in range(1_000):
            device = f"0001:{n:08X}"
            row = rows.certificate(
                f"{n:08x}", device=device, issued_at=AT - 700 * DAY, not_after=AT + DAY
            )
            certificates.insert(db, row)  # type: ignore[arg-type]  # the store's connection

    store.write(work)
    assert announce(store, writer) == 1_000
    assert announce(store, writer) == 0


def test_two_servers_at_once(store: Database, writer: Writer) -> None:
    """Each is told of once even so."""
    for n in range(20):
        holds(store, f"{n:02x}", days=29, device=f"0001:{n:08X}")
    second = Writer(store)

    async def both() -> tuple[int, int]:
        return await asyncio.gather(
            announce_expiring(store, writer, MONTH, NOW),
            announce_expiring(store, second, MONTH, NOW),
        )

    assert sum(asyncio.run(both())) == 20
    second.close()
    assert len(recorded(store)) == 20


def remind(store: Database, writer: Writer, *, at: int) -> int:
    """Look once for requests that have waited for an hour."""
    now = datetime.fromtimestamp(at, UTC)
    return asyncio.run(remind_of_waiting(store, writer, timedelta(hours=1), now))


def test_reminder(store: Database, writer: Writer) -> None:
    """Once, when a request has waited for an hour, with its rule and reason."""
    happening.waits(store, first_seen=AT)
    assert remind(store, writer, at=AT + 3_599) == 0
    assert remind(store, writer, at=AT + 3_600) == 1
    assert remind(store, writer, at=AT + 9_999) == 0
    [told] = recorded(store)
    assert (told.event, told.request, told.rule) == ("reminder", happening.REQUEST, "everyone else")
    assert told.reason == "waits for 1h: holds for everyone"


def test_decided_requests(store: Database, writer: Writer) -> None:
    """Nobody is reminded of what was decided."""
    happening.waits(store, first_seen=AT)
    store.write(
        lambda db: requests.decide(
            db, happening.REQUEST, requests.State.APPROVED, by="alice", at=AT, note=None
        )
    )
    assert remind(store, writer, at=AT + 3_600) == 0


def test_many_requests(store: Database, writer: Writer) -> None:
    """A plant that nobody looked after."""
    for n in range(500):
        happening.waits(store, f"{n:064x}", first_seen=AT)
    assert remind(store, writer, at=AT + 3_600) == 500


@dataclass(frozen=True, slots=True)
class Periods:
    """As in `[server]`."""

    expiring: timedelta
    remind: timedelta


def watching(store: Database, writer: Writer, answers: Iterator[Periods | Malformed]) -> None:
    """Watch until the answers of ca.toml are used up."""

    def periods() -> Periods:
        answer = next(answers, None)
        if answer is None:
            raise asyncio.CancelledError
        if isinstance(answer, Malformed):
            raise answer
        return answer

    async def work() -> None:
        await watch(store, writer, periods, clock=lambda: NOW, look_seconds=0.01)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())


def test_watch(store: Database, writer: Writer) -> None:
    """Both kinds, over a ca.toml that is broken for a while; zero is never."""
    holds(store, "01", days=29)
    happening.waits(store, first_seen=AT - DAY)
    off = Periods(timedelta(), timedelta())
    watching(store, writer, iter([off, off]))
    assert recorded(store) == []
    on = Periods(MONTH, timedelta(hours=1))
    watching(store, writer, iter([Malformed("ca.toml"), Malformed("ca.toml"), on, on]))
    assert sorted(one.event for one in recorded(store)) == ["expiring", "reminder"]
