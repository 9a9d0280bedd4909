"""Trees of CAs that were made to lead a path astray: who signs whom, with which names and keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from cipsec.errors import Untrusted
from cipsec.pki.chain import verify_chain
from cipsec.pki.fingerprint import sha256
from tests.support import der, programs, vendor
from tests.support.vendor import Party

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def path(leaf: Party, others: list[Party], anchors: list[Party], at: datetime = NOW) -> list[str]:
    """Return the fingerprints of a path as four hex digits, or raise Untrusted."""
    found = verify_chain(
        leaf.certificate,
        [one.certificate for one in others],
        [one.certificate for one in anchors],
        at,
    )
    return [short(one) for one in found]


def short(one: x509.Certificate | Party) -> str:
    """Return what tells certificates of one name apart."""
    return sha256(one.certificate if isinstance(one, Party) else one)[:8]


def refusal(leaf: Party, others: list[Party], anchors: list[Party], at: datetime = NOW) -> str:
    """Return why there is no path."""
    try:
        found = path(leaf, others, anchors, at)
    except Untrusted as error:
        return error.message
    raise AssertionError(found)


def edwards(folder: Path, kind: str) -> tuple[Party, Party, Party]:
    """Return root, device, and a device of another root of that name, as openssl makes them."""
    made = [_edwards(folder, kind, name) for name in ("root", "other")]
    return made[0][0], made[0][1], made[1][1]


def _edwards(folder: Path, kind: str, name: str) -> tuple[Party, Party]:
    root, device = folder / f"{name}.pem", folder / f"{name}-device.pem"
    key, issued = folder / f"{name}.key", folder / f"{name}-device.key"
    new = ("openssl", "req", "-x509", "-newkey", kind, "-noenc", "-days", "3650")
    by = ("-CA", root, "-CAkey", key, "-addext", "basicConstraints=CA:FALSE")
    programs.run(*new, "-subj", "/CN=Root", "-keyout", key, "-out", root)
    programs.run(*new, "-subj", "/CN=Drive 7", "-keyout", issued, "-out", device, *by)
    return _party(root), _party(device)


def _party(file: Path) -> Party:
    """Return a certificate; its key stays in its file."""
    return Party(x509.load_pem_x509_certificate(file.read_bytes()), der.KEY)


def ring(count: int) -> list[Party]:
    """Return CAs each of which the next has cross-certified, the last one the first."""
    first = [vendor.ca(f"Ring {number}") for number in range(count)]
    return [vendor.ca(f"Ring {n}", first[n - 1], key=one.key) for n, one in enumerate(first)]


def same_named(root: Party, count: int) -> list[Party]:
    """Return CAs of one name, each on a key of its own, without key ids to tell them by."""
    return [vendor.ca("Acme Twin", root, ski=False, aki=False) for _ in range(count)]
