"""The CA's roll-over: whether it is due, half done, or leaves keys that are of no use any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from cipsec import rollover as steps
from cipsec.ca.rollover import made_at, require_root
from cipsec.ca_folder import fingerprint
from cipsec.doctor.finding import Remark, ok, or_ok, warn
from cipsec.doctor.subject import Ca
from cipsec.errors import UsageError
from cipsec.ra.config import CertificateConfig
from cipsec.times import show_duration, show_time

_ACTIVATE = "cipsec ca rollover --activate"
_INTERMEDIATE = "have the upper CA certify another: cipsec ca init --intermediate"


def rollover(ca: Ca) -> Iterable[Remark]:
    """See to the present root's time, the next root, and those before."""
    return or_ok((*_halfway(ca), *_due(ca), *_former(ca)), "none is due")


def _halfway(ca: Ca) -> Iterator[Remark]:
    upcoming = ca.folder.next()
    if steps.is_interrupted(ca.folder):
        yield warn("it was interrupted, and is to be finished", _ACTIVATE)
    elif upcoming is not None:
        since = show_time(made_at(upcoming.certificate()))
        yield ok(f"the next root is handed out since {since}, and does not issue yet", _ACTIVATE)


def _due(ca: Ca) -> Iterator[Remark]:
    """Certificates never last beyond their CA: late in its life they are cut short."""
    own = ca.folder.certificate()
    left, life = own.not_valid_after_utc - ca.now, _validity(ca)
    if ca.now < own.not_valid_after_utc and left < life:
        detail = (
            f"certificates are cut short: they are to last {show_duration(life)}, and the CA's own"
            f" ends in {show_duration(left)}"
        )
        yield warn(detail, _ACTIVATE if ca.folder.next() else how(ca))


def _validity(ca: Ca) -> timedelta:
    return (ca.config.certificate if ca.config else CertificateConfig()).validity


def how(ca: Ca) -> str:
    """Return how the CA gets its next key."""
    try:
        require_root(ca.folder.certificate())
    except UsageError:
        return _INTERMEDIATE
    return "cipsec ca rollover"


def _former(ca: Ca) -> Iterator[Remark]:
    ended = steps.over(ca.folder, ca.now)
    for one in ca.folder.previous():
        root = one.certificate()
        end, name = show_time(root.not_valid_after_utc), fingerprint(root)[:16]
        if one in ended:
            detail = f"the former root {name} ended at {end}: its key can go"
            yield warn(detail, "cipsec ca rollover --retire")
        else:
            yield ok(f"the former root {name} is kept until {end}, to revoke what it issued")


CHECKS = {"ca rollover": rollover}
