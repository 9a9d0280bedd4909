"""What is wrong with what a server presents: its chain, its names, its strength, its trust.

Every finding, not the first. Getting it from the server is left to `tls.probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.errors import Untrusted, WeakKey
from cipsec.pki import keys, usable
from cipsec.pki.chain import verify_chain
from cipsec.pki.csr import SERVED_HASHES
from cipsec.pki.describe import signature_name
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import directly_issued, is_self_issued
from cipsec.pki.lint import Finding
from cipsec.pki.names import sans_of, show_name, show_san
from cipsec.times import show_time
from cipsec.tls.client import is_named

_MOST = 16  # certificates that are looked at: each may have to be tried with each
_OLD = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
_CLOCK = "check this machine's clock: date -u"

_Chain = Sequence[x509.Certificate]
_Check = Callable[[x509.Certificate], Finding]


def findings(
    chain: _Chain, host: str, version: str, anchors: _Chain | None, now: datetime
) -> list[Finding]:
    """Return what is found, the server's own certificate first, then what it sends with it.

    `host` is what was asked for, name or address. Without `anchors` nothing is said of trust.
    """
    looked_at = chain[:_MOST]
    return [
        *_of_leaf(looked_at[0], host, now),
        *_of_others(looked_at[1:], now),
        *_hanging_together(looked_at),
        *_number(chain),
        _version(version),
        *([] if anchors is None else [_path(looked_at, anchors, now)]),
    ]


def _of_leaf(leaf: x509.Certificate, host: str, now: datetime) -> Iterator[Finding]:
    checks: dict[str, _Check] = {
        "validity": lambda c: _validity(c, now),
        "name": lambda c: _name(c, host),
        "usage": _usage,
        "key": _key,
        "signature": _signature,
    }
    for name, check in checks.items():
        yield _made(name, check, leaf)


def _of_others(others: _Chain, now: datetime) -> Iterator[Finding]:
    """Yield what is against the rest of the chain."""
    checks: dict[str, _Check] = {
        "validity": lambda c: _validity(c, now),
        "key": _key,
        "signature": _signature,
    }
    for number, certificate in enumerate(others, start=2):
        for name, check in checks.items():
            found = _made(name, check, certificate)
            if found.verdict != "ok":
                yield replace(found, detail=f"certificate {number}: {found.detail}")


def _made(name: str, check: _Check, certificate: x509.Certificate) -> Finding:
    try:
        return check(certificate)
    except UNREADABLE as error:
        return Finding(name, "fail", f"cannot be read: {why(error)}")


def _validity(certificate: x509.Certificate, now: datetime) -> Finding:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return Finding("validity", "fail", f"not valid before {show_time(begin)}", _CLOCK)
    if now > end:
        hint = f"renew it; if it is to be valid still, {_CLOCK}"
        return Finding("validity", "fail", f"expired at {show_time(end)}", hint)
    return Finding("validity", "ok", f"until {show_time(end)}")


def _name(leaf: x509.Certificate, host: str) -> Finding:
    """Compare as a client does (RFC 6125): the common name counts for nothing."""
    names = [show_san(san) for san in sans_of(leaf)]
    if not names:
        hint = "clients that check names refuse it: have the name or address put into it"
        return Finding("name", "warn", "there is no alternative name in it", hint)
    if is_named(leaf, host):
        return Finding("name", "ok", f"it is for {host}")
    detail = f"not for {host}, but for {', '.join(names[:8])}"
    return Finding("name", "fail", detail, "ask for it by one of these, or have it issued anew")


def _usage(leaf: x509.Certificate) -> Finding:
    """RFC 5280 sections 4.2.1.3 and 4.2.1.12: what a TLS server needs, where anything is said."""
    values = {type(extension.value): extension.value for extension in leaf.extensions}
    extended = values.get(x509.ExtendedKeyUsage)
    if isinstance(extended, x509.ExtendedKeyUsage) and not _SERVING & set(extended):
        return Finding("usage", "fail", "its extended key usage has no serverAuth", _ANEW)
    if unfit := usable.key_usage(leaf, "server"):
        return replace(unfit, check="usage")
    constraints = values.get(x509.BasicConstraints)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        return Finding("usage", "warn", "it is a CA certificate, which a server should not use")
    return Finding("usage", "ok", "it may be a server's")


_SERVING = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_ANEW = "have it issued anew: clients refuse it"


def _key(certificate: x509.Certificate) -> Finding:
    key = certificate.public_key()
    try:
        keys.served(key)
    except WeakKey as error:
        weak = isinstance(key, rsa.RSAPublicKey)  # other kinds are merely unusual
        return Finding("key", "fail" if weak else "warn", error.message)
    return Finding("key", "ok", keys.type_name(key))


def _signature(certificate: x509.Certificate) -> Finding:
    name = signature_name(certificate.signature_algorithm_oid)
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name in SERVED_HASHES:
        return Finding("signature", "ok", name)
    if is_self_issued(certificate):
        return Finding("signature", "ok", f"{name}, by itself: nobody relies on that")
    return Finding("signature", "fail", f"{name}: its hash can be forged", _ANEW)


def _hanging_together(chain: _Chain) -> list[Finding]:
    try:
        return [*_order(chain), _end(chain)]
    except UNREADABLE as error:
        return [Finding("chain", "fail", f"cannot be read: {why(error)}")]


def _order(chain: _Chain) -> Iterator[Finding]:
    """Say how the certificates hang together (RFC 8446 section 4.4.2: each one the next's)."""
    strangers = []
    for number, certificate in enumerate(chain[1:], start=2):
        if directly_issued(chain[number - 2], certificate):
            continue
        issued = [
            n for n, c in enumerate(chain, 1) if n != number and directly_issued(c, certificate)
        ]
        if issued:
            detail = f"certificate {number} issued certificate {issued[0]}, and does not follow it"
            yield Finding("chain", "warn", f"out of order: {detail}", _SORT)
        else:
            strangers.append(str(number))
    if len(set(chain)) < len(chain):
        yield Finding("chain", "warn", "a certificate is sent twice", _LEAVE_OUT)
    if strangers:
        detail = f"certificate {', '.join(strangers)} issued none of the others"
        yield Finding("chain", "warn", detail, _LEAVE_OUT)


_LEAVE_OUT = "leave it out of what the server sends"
_SORT = "put the server's own certificate first, then each one's issuer"


def _end(chain: _Chain) -> Finding:
    """Say where the chain ends: in itself, in nothing, or with somebody who is not shown."""
    last = chain[0]
    for _ in chain:
        upper = next((c for c in chain if c != last and directly_issued(last, c)), None)
        if upper is None:
            break
        last = upper
    issuer = show_name(last.issuer) or "no name"
    if not is_self_issued(last):
        return Finding("chain", "ok", f"it ends with a certificate issued by {issuer}, not sent")
    if last == chain[0]:
        return Finding("chain", "warn", "self-signed: nobody vouches for it", _COMPARE)
    return Finding("chain", "ok", f"it leads to {issuer}, which is sent along")


_COMPARE = "compare its sha256 with what the device or its paper says"


def _number(chain: _Chain) -> Iterator[Finding]:
    if len(chain) > _MOST:
        detail = f"{len(chain)} certificates are sent; the first {_MOST} were looked at"
        yield Finding("chain", "warn", detail)


def _version(version: str) -> Finding:
    if version in _OLD:
        return Finding("tls", "fail", f"{version} is not safe any more", "allow TLS 1.2 there")
    return Finding("tls", "ok", version)


def _path(chain: _Chain, anchors: _Chain, now: datetime) -> Finding:
    try:
        path = verify_chain(chain[0], chain[1:], anchors, now)
    except Untrusted as error:
        return Finding("path", "fail", error.message, error.hint)
    return Finding("path", "ok", f"leads to {show_name(path[-1].subject)}")
