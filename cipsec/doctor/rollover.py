"""The CA's roll-over: whether it is due, half done, or leaves keys that are of no use any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from cryptography import x509

from cipsec import rollover as steps
from cipsec.ca_folder import fingerprint
from cipsec.doctor.finding import Remark, ok, or_ok, warn
from cipsec.doctor.subject import Ca
from cipsec.pki.issued import is_root
from cipsec.ra.config import CertificateConfig
from cipsec.rollover.step import ACTIVATE, TAKE_IN
from cipsec.times import show_duration, show_time

_BEGIN = "cipsec ca rollover"
_NEXT = {
    "begun": _BEGIN,
    "waiting": TAKE_IN,
    "prepared": ACTIVATE,
    "interrupted": ACTIVATE,
    None: _BEGIN,
}


def rollover(ca: Ca) -> Iterable[Remark]:
    """See to the present root's time, the next root, and those before."""
    return or_ok((*_halfway(ca), *_due(ca), *_former(ca)), "none is due")


def _halfway(ca: Ca) -> Iterator[Remark]:
    upcoming, state = ca.folder.successor, steps.state(ca.folder)
    if state == "interrupted":
        yield warn("it was interrupted, and is to be finished", ACTIVATE)
    elif state == "begun":
        uri = upcoming.key_place.uri()
        yield warn(f"it was cut off while the next key was made: {uri.key if uri else ''}", _BEGIN)
    elif state == "waiting":
        detail = f"the next key waits for its certificate: have {upcoming.request_file} signed"
        yield ok(detail, TAKE_IN)
    elif state == "prepared":
        since, what = show_time(upcoming.prepared_at()), _what(upcoming.certificate())
        yield ok(f"the next {what} is handed out since {since}, and does not issue yet", ACTIVATE)


def _due(ca: Ca) -> Iterator[Remark]:
    """Certificates never last beyond their CA: late in its life they are cut short."""
    own = ca.folder.certificate()
    left, life = own.not_valid_after_utc - ca.now, _validity(ca)
    if ca.now < own.not_valid_after_utc and left < life:
        detail = (
            f"certificates are cut short: they are to last {show_duration(life)}, and the CA's own"
            f" ends in {show_duration(left)}"
        )
        yield warn(detail, how(ca))


def _validity(ca: Ca) -> timedelta:
    return (ca.config.certificate if ca.config else CertificateConfig()).validity


def how(ca: Ca) -> str:
    """Return the next step on the way to the CA's next key."""
    return _NEXT[steps.state(ca.folder)]


def _what(certificate: x509.Certificate) -> str:
    return "root" if is_root(certificate) else "intermediate"


def _former(ca: Ca) -> Iterator[Remark]:
    ended = steps.over(ca.folder, ca.now)
    for one in ca.folder.previous():
        certificate = one.certificate()
        name = f"{_what(certificate)} {fingerprint(certificate)[:16]}"
        end = show_time(one.ends())
        if one in ended:
            detail = f"the former {name} ended at {end}: its key can go"
            yield warn(detail, "cipsec ca rollover --retire")
        else:
            yield ok(f"the former {name} is kept until {end}, to revoke what it issued")


CHECKS = {"ca rollover": rollover}
