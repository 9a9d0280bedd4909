"""Server CPU per enrollment beside a million certificates: python -m tests.bench.record

Two servers of the same kind, one with an empty store; the other's is filled with certificates of a
plant: each with its device, its names under which it is known, and its event. In turn, a new TLS
connection for each enrollment, and of new devices. ROWS as an argument makes it another number.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from OpenSSL import SSL

from cipsec.ca.authority import new_serial
from cipsec.pki.device import DeviceId
from cipsec.pki.names import show_serial
from cipsec.store import certificates, events, held
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.times import now
from tests.bench import load
from tests.bench.machine import Server, ca_server, interpreter
from tests.support.serving import cipsec, serving

_ROWS = 1_000_000
_CLIENTS = 16
_ROUNDS = 5
_EACH = 40  # connections of each client in a round
_DER = bytes(range(256)) * 2  # as long as an endpoint's certificate


def _row(number: int, serial: str, at: int) -> CertificateRow:
    return CertificateRow(
        serial=serial,
        enrollment=hashlib.sha256(serial.encode()).hexdigest(),
        kind="endpoint",
        subject=f"CN=Drive {number},O=Plant",
        device=str(DeviceId(1 + number % 40, number * 2654435761 % 0xFFFFFFFF + 1)),
        mac=None,
        not_before=at - 86_400,
        not_after=at + 63_072_000,
        issued_at=at,
        rule="known devices",
        reason="a drive of the plant is listed at line-3.csv:12",
        proved="device by vendor Example",
        der=_DER,
        device_proved=1,
    )


def _rows(count: int) -> Iterator[CertificateRow]:
    """Yield certificates as they were issued one after the other, ten a second."""
    end = now()
    for number in range(count):
        moment = end.timestamp() - (count - number) / 10
        serial = show_serial(new_serial(end.fromtimestamp(moment, end.tzinfo)))
        yield _row(number, serial, int(moment))


def _fill(path: Path, count: int) -> None:
    """Record `count` certificates with their names and events."""
    database = Database.open(path)
    database.connection().execute("PRAGMA cache_size=-600000")  # KiB: names come in no order
    with database.transaction() as db:
        for row in _rows(count):
            host = f"dns:{row.serial}.plant.example"
            certificates.insert(db, row)
            held.insert(db, row.serial, held.texts(device=row.device, others=(host,)))
            event = Event(row.issued_at, Code.GRANTED, "endpoint", request=row.enrollment,
                          serial=row.serial, subject=row.subject, device=row.device,
                          rule=row.rule, reason=row.reason)  # fmt: skip
            events.append(db, event)
    database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


@contextlib.contextmanager
def _filled(folder: Path, count: int) -> Iterator[Server]:
    ca = folder / "ca"
    made = cipsec("ca", "init", "--name", "bench", "--no-passphrase", "--policy", "lab",
                  "--ca-dir", ca)  # fmt: skip
    assert made.returncode == 0, made
    began = time.perf_counter()
    _fill(ca / "store.sqlite3", count)
    size = sum(file.stat().st_size for file in ca.glob("store.sqlite3*"))
    print(f"{count} certificates recorded in {time.perf_counter() - began:.0f} s,"
          f" {size / count:.0f} bytes each")  # fmt: skip
    with serving(ca, "-q") as server:
        yield Server(server.process, server.port, server.anchor)


def _cost(server: Server, work: Callable[[int], None]) -> float:
    before = server.cpu_seconds()
    load.in_parallel([lambda client=client: work(client) for client in range(_CLIENTS)])  # type: ignore[misc]  # mypy cannot infer the default
    return (server.cpu_seconds() - before) / (_CLIENTS * _EACH)


def _enrolled(server: Server, devices: list[Path], prefix: str) -> float:
    """Return the server's CPU seconds per enrollment of new devices."""
    contexts = [load.context(server.ca, device, SSL.TLS1_2_VERSION) for device in devices]
    made = [load.requests(_EACH, f"{prefix} {client}") for client in range(_CLIENTS)]

    def enroll(client: int) -> None:
        for request in made[client]:
            with load.connected(server.port, contexts[client]) as connection:
                assert load.exchange(connection, request) == 200

    return _cost(server, enroll)


def main(count: int = _ROWS) -> int:
    """Print one line for the record, one for the enrollments."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "empty", Path(name) / "full"]
        for folder in folders:
            folder.mkdir()
        _, devices = load.vendor(Path(name), _CLIENTS)
        print(f"server: {interpreter()}")
        with ca_server(folders[0], policy="lab") as empty, _filled(folders[1], count) as full:
            pairs = [
                (_enrolled(empty, devices, f"E {n}"), _enrolled(full, devices, f"F {n}"))
                for n in range(_ROUNDS + 1)
            ][1:]  # without the round that fills the caches
    none, many = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    ratio = statistics.median(full / empty for empty, full in pairs)
    print(
        f"enrollment beside none {none:.0f} us CPU, beside {count} certificates {many:.0f} us,"
        f" ratio {ratio:.2f} (aim 1.1)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
