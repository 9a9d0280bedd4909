"""`cipsec ca show`: one request, one certificate, or the CA itself, with all that is known."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli.ids import waiting
from cipsec._cli.options import CaDir
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, NotFound, StoreFailed, UsageError

if TYPE_CHECKING:
    import sqlite3

    from cryptography import x509

    from cipsec.ca_folder import CaFolder
    from cipsec.store.certificates import CertificateRow
    from cipsec.store.database import Database
    from cipsec.store.requests import RequestRow

_SHORTEST = 8  # hex digits; fewer begin too many

Id = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        autocompletion=waiting,
        help="A request's id or a serial number, 8 or more digits.",
    ),
]
# Long or for programs only: with --json they are there.
_NOT_FOR_PEOPLE = frozenset(
    {"csr", "pem", "extensions", "critical", "basic_constraints", "predecessors"}
)

_OF_THE_ROOT = frozenset({"root", "root_sha256", "issues_until"})


def show(talk: Talk, given: Id = None, *, ca_dir: CaDir = None) -> None:
    """Show a request or a certificate, and why it is as it is.

    Without ID, the CA.
    """
    from cipsec.ca_folder import open_folder

    folder = open_folder(ca_dir)
    with closing(folder.store()) as database:
        if given is None:
            own = database.read(lambda db: _ca(talk, folder, db))
            _print(talk, "ca", {**own, "crl": _list(folder, database)})
            return
        found = database.read(lambda db: _find(db, given))
    key, record = found
    _print(talk, key, record)


def _written(given: str) -> str:
    """Return what may be the hex digits of an id, which openssl writes large and with colons."""
    return given.strip().lower().replace(":", "")


def _digits(given: str) -> str:
    """Return the digits that an id begins with; raise UsageError for others, and for few."""
    digits = _written(given)
    if len(digits) < _SHORTEST or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(
            f"{given!r} is neither a request's id nor a serial number",
            hint=f"give {_SHORTEST} or more digits, from: cipsec ca pending, cipsec ca list",
        )
    return digits


def _find(db: sqlite3.Connection, given: str) -> tuple[str, dict[str, object]]:
    from cipsec.store import certificates, requests

    # Whole it may be short: of a CA that counted, and revoked here by its serial number.
    whole = certificates.by_serial(db, _written(given))
    if whole is not None:
        return "certificate", _certificate(whole)
    digits = _digits(given)
    asked = requests.by_prefix(db, digits)
    issued = certificates.by_serial_prefix(db, digits)
    match asked, issued:
        case [row], []:
            return "request", request_record(db, row)
        case [], [row]:
            return "certificate", _certificate(row)
        case [], []:
            hint = "list them with: cipsec ca pending --state all, cipsec ca list"
            raise NotFound(f"there is no request and no certificate {digits}", hint=hint)
        case _:
            raise UsageError(f"{digits} begins more than one id", hint="give more digits")


def request_record(db: sqlite3.Connection, row: RequestRow) -> dict[str, object]:
    """Return a request with what its CSR asks for, what was proved and what is only claimed."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec._cli import ca_shown
    from cipsec.pki import csr, keys
    from cipsec.store import requests

    asked = csr.parse(row.csr)
    before = _predecessors(db, row)
    return {
        **ca_shown.request(row),
        "san": ca_shown.texts(row.sans),
        "label": row.label,
        "key_type": keys.type_name(asked.public_key),
        "decided_at": ca_shown.moment(row.decided_at),
        "decided_by": row.decided_by,
        "agreed": [approval.by for approval in requests.approvals(db, row.id)],
        "certificate": row.serial,
        "predecessor": before[0] if before else None,
        "also_replaces": [
            f"{old['serial']} {old['device'] or old['subject']}" for old in before[1:]
        ],
        "predecessors": before,
        "csr": asked.parsed.public_bytes(Encoding.PEM).decode(),
    }


def _predecessors(db: sqlite3.Connection, row: RequestRow) -> list[dict[str, object]]:
    """Return the certificates that the request would replace, newest first: old beside new."""
    from cipsec.store import certificates

    found = (certificates.by_serial(db, serial) for serial in (row.replaces or "").split())
    return [_predecessor(old) for old in found if old is not None]


def _predecessor(old: CertificateRow) -> dict[str, object]:
    from cryptography import x509

    from cipsec._cli import ca_shown
    from cipsec.pki import keys

    shown = ca_shown.certificate(old, times.now())
    key = x509.load_der_x509_certificate(old.der).public_key()
    kept = ("serial", "subject", "device", "mac", "not_before", "not_after", "status", "reason")
    return {
        **{name: shown[name] for name in kept},
        "proved": old.proved,
        "issued_at": ca_shown.moment(old.issued_at),
        "spki_sha256": keys.spki_sha256(key),
    }


def _certificate(row: CertificateRow) -> dict[str, object]:
    """Return what a certificate says, and why it was issued."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec._cli import ca_shown
    from cipsec.pki import describe
    from cipsec.pki.faults import UNREADABLE

    now = times.now()
    if not row.der:  # revoked by its serial number, and never seen
        return {**ca_shown.certificate(row, now), "proved": row.proved}
    try:
        parsed = x509.load_der_x509_certificate(row.der)
        described = describe.certificate(parsed, now)
    except UNREADABLE:
        hint = "restore the CA folder from a backup"
        raise StoreFailed(f"certificate {row.serial} is damaged in the store", hint=hint) from None
    return {
        **described,
        **ca_shown.certificate(row, now),
        "proved": row.proved,
        "issued_at": ca_shown.moment(row.issued_at),
        "enrollment": row.enrollment or None,
        "pem": parsed.public_bytes(Encoding.PEM).decode(),
    }


def _ca(talk: Talk, folder: CaFolder, db: sqlite3.Connection) -> dict[str, object]:
    from cipsec._cli.ca_rollover_shown import standing
    from cipsec.ca_folder import fingerprint
    from cipsec.pki import keys
    from cipsec.pki.names import show_name, show_serial
    from cipsec.store import certificates, requests

    own: x509.Certificate = folder.certificate()
    root: x509.Certificate = folder.root()
    return {
        "directory": str(folder.path),
        "subject": show_name(own.subject),
        "sha256": fingerprint(own),
        "serial": show_serial(own.serial_number),
        "not_before": times.show_time(own.not_valid_before_utc),
        "not_after": times.show_time(own.not_valid_after_utc),
        "root": show_name(root.subject),
        "root_sha256": fingerprint(root),
        "issues_until": times.show_time(folder.ends()),
        "key_type": keys.type_name(own.public_key()),
        "key_encrypted": folder.is_encrypted(),
        "key": str(folder.key_uri() or folder.key_file),
        **standing(talk, folder, times.now()),
        "certificates": certificates.count(db),
        "pending": requests.count_pending(db),
    }


def _list(folder: CaFolder, database: Database) -> dict[str, object] | None:
    """Return what is on record of the revocation list, and why another is due, if one is."""
    from cipsec import publishing
    from cipsec._cli import ca_shown
    from cipsec.ca.crl import place
    from cipsec.ra.publication import CrlConfig

    found = publishing.known(database, folder.certificate())
    if found is None:
        return None
    try:
        config = folder.configuration().crl
    except LocalState:  # a broken ca.toml is other commands' to say
        config = CrlConfig()
    return {
        "number": found.number,
        "entries": found.entries,
        "this_update": ca_shown.moment(found.this_update),
        "next_update": ca_shown.moment(found.next_update),
        "due": publishing.why_due(folder, database, now=times.now(), validity=config.validity),
        "file": str(folder.crl_file),
        "url": place(config.url, folder.crl_mark()) if config.url else None,
    }


def _print(talk: Talk, key: str, record: dict[str, object]) -> None:
    """Print the whole record as JSON, or what people read of it."""
    if talk.json:
        talk.document({key: record})
        return
    from cipsec._cli import lines

    shown = {name: value for name, value in record.items() if name not in _NOT_FOR_PEOPLE}
    if key == "ca":
        shown = {name: value for name, value in shown.items() if value not in (None, [])}
        for name in ("sha256", "root_sha256"):
            shown[name] = talk.fingerprint(str(record[name]))
        if record["root_sha256"] == record["sha256"]:  # said once is enough
            shown = {name: value for name, value in shown.items() if name not in _OF_THE_ROOT}
    talk.fields(key, lines.of(shown) if "days_left" in shown else shown)
