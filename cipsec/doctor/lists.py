"""The revocation list: whether it names what is revoked, is fresh, and is where devices look."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509

from cipsec import publishing
from cipsec.ca.crl import place
from cipsec.doctor.finding import Remark, fail, many, ok, warn
from cipsec.doctor.subject import Ca
from cipsec.files import reason
from cipsec.pki.faults import UNREADABLE
from cipsec.ra.publication import CrlConfig
from cipsec.store import crls
from cipsec.store.crls import Published
from cipsec.store.readonly import ReadOnly
from cipsec.times import from_seconds, show_duration, show_time

_MEANWHILE = timedelta(minutes=1)  # for a server that runs to sign and write the next
_SIGN = "cipsec ca crl -o list.crl"
_SERVE = "cipsec ca serve"
_LOOK = "look for 'revocation list' in what the server says, and at the free space of its folder"
_SECONDS = 3.0  # to connect, and between two pieces
_IN_ALL = 15.0
_PIECE = 64 * 1024
_OK = 200


def current(ca: Ca) -> Iterator[Remark]:
    """See that the list in the folder is the newest, names what is revoked, and has time left."""
    if ca.record is None:
        yield warn("not looked at: the store cannot be used")
        return
    found = publishing.known(ca.record, ca.folder.certificate())
    if found is None:
        none = "there is none yet"
        yield fail(none, _LOOK) if ca.running else ok(f"{none}: the server signs the first")
        return
    yield _judged(ca, ca.record, found)


def _judged(ca: Ca, record: ReadOnly, found: Published) -> Remark:
    end = from_seconds(found.next_update)
    hint = _LOOK if ca.running else _SIGN
    if ca.now >= end:
        return fail(f"it ended at {show_time(end)}: who looks at it trusts nobody", hint)
    missing = record.read(lambda db: crls.unlisted_since(db, covers=found.covers))
    if missing is not None:
        since = ca.now - from_seconds(missing)
        detail = f"what was revoked {show_duration(abs(since))} ago is not on it"
        if since > _MEANWHILE:
            return (fail if ca.running else warn)(detail, hint)
        return ok(f"{detail} yet")
    why = publishing.why_due(ca.folder, record, now=ca.now, validity=_config(ca).validity)
    if why is None:
        names = many(found.entries, "certificate")
        return ok(f"list {found.number} names {names}, and is good until {show_time(end)}")
    return warn(f"another is due: {why}", _LOOK if ca.running else _SERVE)


def point(ca: Ca) -> Iterator[Remark]:
    """See that what certificates name as the place of the list hands out the list."""
    config = _config(ca)
    if config.url is None:
        yield _without_url(config)
    elif ca.record is not None:
        url = place(config.url, ca.folder.crl_mark())
        yield _fetched(url, publishing.known(ca.record, ca.folder.certificate()))


def _without_url(config: CrlConfig) -> Remark:
    if config.listen is None:
        return ok("none: certificates do not say where the list is")
    detail = f"the list is handed out at {config.listen}, and certificates do not say so"
    return warn(detail, "write url into the table [crl] of ca.toml")


def _fetched(url: str, newest: Published | None) -> Remark:
    try:
        data = _get(url, publishing.LIMIT)
    except (OSError, http.client.HTTPException) as error:
        why = reason(error) if isinstance(error, OSError) else type(error).__name__
        return fail(f"{url} does not hand out the list: {why}", f"curl -v {url}")
    try:
        listed = x509.load_der_x509_crl(data).extensions.get_extension_for_class(x509.CRLNumber)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return fail(f"{url} hands out something else than a list in DER", f"curl -v {url}")
    number = listed.value.crl_number
    if newest is None or number != newest.number:
        wanted = newest.number if newest else "none"
        detail = f"{url} hands out list {number}; the newest is {wanted}"
        return warn(detail, f"bring it there: {_SIGN}")
    return ok(f"{url} hands out list {number}")


def _get(url: str, limit: int) -> bytes:
    """Return what is at a URL, at most `limit` bytes of it; raise OSError or HTTPException."""
    parts, until = urlsplit(url), time.monotonic() + _IN_ALL
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        if answer.status != _OK:
            raise OSError(f"its answer is {answer.status}")
        data = bytearray()
        while piece := answer.read(_PIECE):
            data += piece
            if len(data) > limit or time.monotonic() > until:
                raise OSError("it is too long, or takes too long")
        return bytes(data)
    finally:
        connection.close()


def _config(ca: Ca) -> CrlConfig:
    return ca.config.crl if ca.config else CrlConfig()


CHECKS = {"revocation list": current, "distribution point": point}
