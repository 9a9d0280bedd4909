"""Rows as the record has them, for tests of the record."""

from __future__ import annotations

from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import RequestRow, State


def certificate(
    serial: str = "01",
    *,
    enrollment: str = "e1",
    issued_at: int = 1_000,
    device: str | None = None,
    not_before: int = 0,
    not_after: int = 2_000,
) -> CertificateRow:
    """Return a certificate's row."""
    return CertificateRow(
        serial=serial,
        enrollment=enrollment,
        kind="endpoint",
        subject="CN=Drive 7",
        device=device,
        mac=None,
        not_before=not_before,
        not_after=not_after,
        issued_at=issued_at,
        rule="renewal",
        reason="renews certificate 00 of this CA",
        proved="certificate 00 of this CA",
        der=b"0\0",
    )


def request(identifier: str = "aa" * 32, *, first_seen: int = 1_000) -> RequestRow:
    """Return the row of a request that waits."""
    return RequestRow(
        id=identifier,
        state=State.PENDING,
        subject="CN=Drive 7",
        sans="[]",
        device="0001:6040C8F2",
        mac=None,
        proved="nothing",
        claimed="device 0001:6040C8F2",
        address="192.0.2.7",
        label="",
        spki_sha256="00" * 32,
        rule="everyone else",
        reason="holds for everyone",
        first_seen=first_seen,
        last_seen=first_seen,
        polls=1,
        decided_at=None,
        decided_by=None,
        note=None,
        serial=None,
        csr=b"0\0",
    )
