"""From what a device presented, or a file holds, to paths that lead to an anchor; bounded work.

Grown from the anchors downwards, so that only keys already trusted check signatures, and each
signature once: certificates that sign one another in every way cost no more than their number.
What a path proves is left to the caller; what it must hold to `pki.path`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from cipsec.errors import Untrusted
from cipsec.pki import path
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import directly_issued, is_whole
from cipsec.pki.names import comparable
from cipsec.pki.path import Authority, DevicePath

MAX_PRESENTED = 10
MAX_DER = 16 * 1024
MAX_SIGNATURES = 64  # 5 ms at most with P-256; an ordinary chain needs one or two
MAX_CAS_FOUND = 64  # on all paths together, those that need no further signature included
_REMEMBERED = 256

Comparable = tuple[frozenset[tuple[str, str]], ...]  # a name by its value, as `names` has it

RELATED = 2  # the weight from which on an objection is to what a trusted CA has signed

STRANGER = "the client certificate is not from a vendor that is known here"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why there is no path, or no further one; of several the weightiest is told.

    Weighty is what came near to a proof. A signature that is not by the CA it names is no relation
    at all: else strangers learned which CAs are known here.
    """

    weight: int
    sentence: str

    def or_else(self, other: Objection) -> Objection:
        """Return the weightier one."""
        return max(self, other, key=lambda one: one.weight)


_STRANGER = Objection(0, STRANGER)


class Anchors:
    """The certificates that are trusted by themselves, and the CAs below that were verified.

    What a device presents beside its own certificate is the same for all of its make: the CAs among
    it are verified once, so that a new device costs one signature check.
    """

    def __init__(self, authorities: Iterable[Authority]) -> None:
        self._by_subject: dict[Comparable, list[Authority]] = {}
        for authority in authorities:
            self._by_subject.setdefault(comparable(authority.subject), []).append(authority)
        self._found: OrderedDict[tuple[bytes, x509.Name], Issuers] = OrderedDict()

    def named(self, subjects: Iterable[Comparable]) -> list[Authority]:
        """Return the anchors that have one of the names."""
        return [a for name in subjects for a in self._by_subject.get(name, ())]

    def find(self, chain: Sequence[bytes]) -> tuple[list[DevicePath], str]:
        """Return all paths of a device, shortest first, and why there is not another.

        `chain` is DER as TLS presented it, the device's first, the others in any order.
        Raises Untrusted for what cannot have one.
        """
        if not chain:
            raise Untrusted("no client certificate was presented")
        if len(chain) > MAX_PRESENTED:
            raise Untrusted(f"{len(chain)} client certificates are too many")
        leaf = _read(chain[0])
        weak = path.weak_signature(leaf)
        if weak:
            raise Untrusted(f"the client certificate proves nothing: {weak}")
        found, objection = ends(leaf, self._issuers(leaf.issuer, chain[1:]), path.device)
        return found, objection.sentence

    def issuers(self, name: x509.Name, others: Iterable[x509.Certificate]) -> Issuers:
        """Return the CAs of that name among `others` and the anchors that lead to an anchor."""
        return _Search(self, name, list(_named(others))).run()

    def _issuers(self, name: x509.Name, presented: Sequence[bytes]) -> Issuers:
        key = _digest(presented), name
        found = self._found.get(key)
        if found is None:
            found = self.issuers(name, _readable(dict.fromkeys(presented)))
            if found.authorities:  # strangers do not fill the memory
                self._found[key] = found
                if len(self._found) > _REMEMBERED:
                    self._found.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Issuers:
    """The CAs of one name that lead to an anchor, and why there is not another."""

    authorities: tuple[Authority, ...]
    objection: Objection


def ends(
    leaf: x509.Certificate,
    issuers: Issuers,
    end: Callable[[Authority, x509.Certificate], DevicePath],
) -> tuple[list[DevicePath], Objection]:
    """Return the paths of the leaf below CAs of its issuer's name, and why there is not another.

    `end` is what the leaf has to be: `path.device`, or `path.end`.
    """
    found, objection = [], issuers.objection
    signed: dict[str, bool] = {}  # one CA's certificate may be there on several paths
    for issuer in issuers.authorities:
        if issuer.sha256 not in signed:
            signed[issuer.sha256] = directly_issued(leaf, issuer.certificate)
        try:
            if signed[issuer.sha256]:
                found.append(end(issuer, leaf))
        except (Untrusted, *UNREADABLE) as error:
            objection = objection.or_else(Objection(3, why(error)))
    return found, objection


def _digest(presented: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for der in presented:
        digest.update(len(der).to_bytes(8, "big"))
        digest.update(der)
    return digest.digest()


def _read(der: bytes) -> x509.Certificate:
    """Read one certificate and its names; raise Untrusted when it is too large or damaged."""
    if len(der) > MAX_DER:
        raise Untrusted(f"a client certificate of {len(der)} bytes is too large")
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.issuer, certificate.subject  # noqa: B018  # parsed lazily: fails here or never
    except UNREADABLE as error:
        raise Untrusted(f"the client certificate cannot be read: {why(error)}") from None
    if not is_whole(certificate.signature, der):
        raise Untrusted("the client certificate cannot be read: its signature ends within an octet")
    return certificate


@dataclass(frozen=True, slots=True, eq=False)
class _Presented:
    """A certificate that may be a CA's, with the names that link it to others."""

    certificate: x509.Certificate
    subject: Comparable
    issuer: Comparable


def _readable(presented: Iterable[bytes]) -> Iterator[x509.Certificate]:
    for der in presented:
        try:
            yield _read(der)
        except Untrusted:
            continue  # whatever it is, it is not needed if there is a path without it


def _named(certificates: Iterable[x509.Certificate]) -> Iterator[_Presented]:
    for one in dict.fromkeys(certificates):
        try:
            yield _Presented(one, comparable(one.subject), comparable(one.issuer))
        except UNREADABLE:
            continue


class _Search:
    """The search for the CAs of one name among what was presented and the anchors."""

    def __init__(self, anchors: Anchors, wanted: x509.Name, pool: Sequence[_Presented]) -> None:
        self._anchors = anchors
        self._wanted = comparable(wanted)
        self._objection = _STRANGER
        self._signed: dict[tuple[x509.Certificate, str], bool] = {}
        self._pool = self._relevant(pool)

    def run(self) -> Issuers:
        """Return the CAs, those with the shortest path first."""
        names = dict.fromkeys((self._wanted, *(one.issuer for one in self._pool)))
        issuers = self._anchors.named(names)
        for issuer in issuers:  # which grows meanwhile
            issuers += self._subordinates(issuer)
            if len(issuers) > MAX_CAS_FOUND or len(self._signed) > MAX_SIGNATURES:
                self._object(4, "there are too many ways to check the certificate")
                break
        found = tuple(one for one in issuers if comparable(one.subject) == self._wanted)
        return Issuers(found, self._objection)

    def _relevant(self, pool: Sequence[_Presented]) -> list[_Presented]:
        """Return those that may be above the device, by their names; each once."""
        names, found = {self._wanted}, dict[int, _Presented]()
        for _ in pool:  # at most as many steps up as there are certificates
            new = [one for one in pool if one.subject in names and id(one) not in found]
            if not new:
                break
            found.update((id(one), one) for one in new)
            names.update(one.issuer for one in new)
        return [one for one in found.values() if not self._is_weak(one)]

    def _is_weak(self, one: _Presented) -> bool:
        weak = path.weak_signature(one.certificate)
        if weak and one.subject != one.issuer:  # a root is trusted for itself or not at all
            self._object(1, f"a CA above the certificate proves nothing: {weak}")
        return weak is not None

    def _subordinates(self, issuer: Authority) -> Iterator[Authority]:
        """Yield the CAs below `issuer` that are not above it as well."""
        above = comparable(issuer.subject)
        for child in self._pool:
            if child.issuer != above or child.certificate in issuer.path:
                continue
            if self._is_signed(child, issuer):
                try:
                    yield path.subordinate(issuer, child.certificate)
                except (Untrusted, *UNREADABLE) as error:
                    self._object(RELATED, why(error))

    def _is_signed(self, child: _Presented, issuer: Authority) -> bool:
        pair = child.certificate, issuer.sha256
        if pair not in self._signed:
            self._signed[pair] = directly_issued(child.certificate, issuer.certificate)
        return self._signed[pair]

    def _object(self, weight: int, sentence: str) -> None:
        self._objection = self._objection.or_else(Objection(weight, sentence))
