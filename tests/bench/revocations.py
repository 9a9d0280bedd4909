"""A revocation list of 100,000 entries beside openssl's: python -m tests.bench.revocations

How long the list takes to be made, beside `openssl ca -gencrl` from the same entries on the same
machine and beside the builder of cryptography; the longest pause of an event loop while it is
signed and put into base64 in other threads, as the server does, beside that of the same loop with
nothing to do; and what handing it out costs.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import publishing, times
from cipsec.ca_folder import CaFolder
from cipsec.est import crls as bodies
from cipsec.store.database import Database
from tests.bench.allowlists import longest_pause
from tests.bench.machine import interpreter
from tests.support import ca

_ENTRIES = 100_000
_ROUNDS = 5
_WEEK = timedelta(days=7)
_CONFIG = """
[ca]
default_ca = own
[own]
database = {0}/index.txt
crlnumber = {0}/crlnumber
certificate = {1}
private_key = {2}
default_md = sha256
default_crl_days = 7
"""


def _fill(folder: CaFolder) -> list[int]:
    """Put revoked certificates on record, as few columns filled as there can be."""
    at = int(times.now().timestamp())
    serials = [(at * 1000 + n) << 80 | secrets.randbits(80) for n in range(_ENTRIES)]
    rows = (
        (f"{serial:032x}", at + 9**7, at - n, "superseded", n + 1)
        for n, serial in enumerate(serials)
    )
    insert = """
        INSERT INTO certificates (serial, enrollment, kind, subject, not_before, not_after,
            issued_at, rule, reason, proved, der, revoked_at, revocation, revoked_seq)
        VALUES (?, '', 'endpoint', 'CN=Drive', 0, ?, 0, 'r', 'r', 'nothing', zeroblob(600), ?, ?, ?)
    """
    with closing(folder.store()) as database:
        database.write(lambda db: db.executemany(insert, rows))
    return serials


def _openssl(folder: CaFolder, place: Path, serials: list[int]) -> Callable[[], None]:
    """Return what lets `openssl ca` sign a list of the same entries."""
    ended = times.now() + timedelta(days=700)
    line = f"R\t{ended:%y%m%d%H%M%SZ}\t{times.now():%y%m%d%H%M%SZ},superseded\t"
    text = "".join(f"{line}{serial:032X}\tunknown\t/CN=Drive\n" for serial in serials)
    (place / "index.txt").write_text(text)
    (place / "crlnumber").write_text("01\n")
    config = _CONFIG.format(place, folder.certificate_file, folder.key_file)
    (place / "openssl.cnf").write_text(config)
    config_file, made = str(place / "openssl.cnf"), str(place / "made.pem")
    command = ["openssl", "ca", "-gencrl", "-config", config_file, "-out", made]

    def run() -> None:
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


def _builder(folder: CaFolder, serials: list[int]) -> None:
    """Make a list of the same entries with cryptography's builder."""
    now = times.now()
    reason = x509.CRLReason(x509.ReasonFlags.superseded)
    entries = [
        x509.RevokedCertificateBuilder(serial, now).add_extension(reason, critical=False).build()
        for serial in serials
    ]
    authority = folder.authority(None)
    key = authority._encoder._key
    builder = x509.CertificateRevocationListBuilder(
        folder.certificate().subject, now, now + _WEEK, revoked_certificates=entries
    )
    builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _publish(folder: CaFolder, database: Database) -> bytes:
    issuers = folder.crl_issuers([folder.authority(None)])
    now = times.now()
    terms = {"validity": _WEEK, "backdate": _WEEK / 7}
    [made] = publishing.publish(folder, database, issuers, now=now, anyway=True, **terms)
    return made.der


def _seconds(work: Callable[[], object]) -> float:
    """Return the median of some rounds."""
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _pauses(folder: CaFolder, database: Database) -> tuple[float, float, float]:
    """Return the longest pauses of a loop: idle, while signing, while making bodies.

    Of each the least of the rounds: what other programs do meanwhile only adds to it.
    """
    der = _publish(folder, database)

    async def sign() -> None:
        await asyncio.to_thread(_publish, folder, database)

    async def hand_out() -> None:
        await asyncio.to_thread(bodies.bodies, [der])

    rounds = [
        (
            asyncio.run(longest_pause(asyncio.sleep(1))),
            asyncio.run(longest_pause(sign())),
            asyncio.run(longest_pause(hand_out())),
        )
        for _ in range(_ROUNDS)
    ]
    idle, signing, handing = (
        statistics.median(column) * 1e3 for column in zip(*rounds, strict=True)
    )
    return idle, signing, handing


def main() -> int:
    """Print what it takes, and what it keeps waiting."""
    with tempfile.TemporaryDirectory() as name:
        folder = ca.make(Path(name) / "ca")
        serials = _fill(folder)
        with closing(folder.store()) as database:
            own = _seconds(lambda: _publish(folder, database))
            idle, signing, handing = _pauses(folder, database)
            size = folder.crl_file.stat().st_size
        openssl = _seconds(_openssl(folder, Path(name), serials))
        builder = _seconds(lambda: _builder(folder, serials))
    print(f"server: {interpreter()}")
    print(
        f"list of {_ENTRIES} entries, {size / 2**20:.1f} MiB, from the record to the file:"
        f" {own:.2f} s; openssl ca -gencrl {openssl:.2f} s, ratio {own / openssl:.2f};"
        f" cryptography's builder without record and file {builder:.2f} s,"
        f" ratio {own / builder:.2f}"
    )
    print(
        f"longest pause of the loop, least of {_ROUNDS} rounds: idle {idle:.1f} ms,"
        f" while it is signed {signing:.1f} ms, while it is put into base64 {handing:.1f} ms"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
