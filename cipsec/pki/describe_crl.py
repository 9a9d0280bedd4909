"""A revocation list as plain values to show: described, not judged; the JSON of `cert show`."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cipsec.pki.describe import other_extension, signature_name
from cipsec.pki.faults import attempt
from cipsec.pki.names import show_name
from cipsec.times import show_time

_SHOWN = (x509.CRLNumber, x509.DeltaCRLIndicator, x509.AuthorityKeyIdentifier)


def revocation_list(parsed: x509.CertificateRevocationList, now: datetime) -> dict[str, object]:
    """Return what a list says; `overdue` tells that its successor should be there at `now`."""
    problems: list[str] = []
    issuer = attempt(problems, "issuer", lambda: parsed.issuer)
    end = attempt(problems, "next update", lambda: parsed.next_update_utc)
    begin = attempt(problems, "this update", lambda: parsed.last_update_utc)
    extensions = list(attempt(problems, "extensions", lambda: parsed.extensions) or ())
    values = {type(extension.value): extension.value for extension in extensions}
    number, key_id = values.get(x509.CRLNumber), values.get(x509.AuthorityKeyIdentifier)
    return {
        "issuer": None if issuer is None else show_name(issuer),
        "number": number.crl_number if isinstance(number, x509.CRLNumber) else None,
        "this_update": show_time(begin) if begin else None,
        "next_update": show_time(end) if end else None,
        "overdue": None if end is None else end < now,
        "revoked": attempt(problems, "entries", lambda: len(parsed)),
        "delta": x509.DeltaCRLIndicator in values,
        "signature_algorithm": signature_name(parsed.signature_algorithm_oid),
        "sha256": parsed.fingerprint(hashes.SHA256()).hex(),
        "authority_key_id": _key_id(key_id),
        "extensions": [
            other_extension(e, e.value) for e in extensions if not isinstance(e.value, _SHOWN)
        ],
        "unreadable": problems,
    }


def _key_id(value: object) -> str | None:
    if isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier:
        return value.key_identifier.hex()
    return None
