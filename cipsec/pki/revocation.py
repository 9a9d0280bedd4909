"""Revocation lists of CAs (RFC 5280 section 5): read, and a vendor's held against its paths.

Only lists of one CA are used, and to clear a certificate only complete ones; whose list counts
where is left to the caller. What they say of one path, for people, is `pki.revoked`'s.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from cipsec.errors import Malformed, Untrusted
from cipsec.pki import armour, load, pkcs7
from cipsec.pki.extensions import value
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import is_whole
from cipsec.pki.mistaken import CRL, PKCS7, of_label, see
from cipsec.pki.names import show_name
from cipsec.pki.path import DevicePath

_HASHES = frozenset({"sha256", "sha384", "sha512"})
# Those that may be critical.
_UNDERSTOOD = frozenset({x509.IssuingDistributionPoint.oid, x509.DeltaCRLIndicator.oid})
_ENTRIES_UNDERSTOOD = frozenset({x509.CRLReason.oid, x509.InvalidityDate.oid})
_KEYS = (ec.EllipticCurvePublicKey, rsa.RSAPublicKey, ed25519.Ed25519PublicKey)
_REMEMBERED = 1024
_ENDLESS = datetime.max.replace(tzinfo=UTC)  # without nextUpdate it is as fresh as ever


@dataclass(frozen=True, slots=True, eq=False)
class RevocationList:
    """One list: `source` names it, `issuer` is the CA it says it is of, `serials` are revoked.

    `begin` and `end` are when it is the current one (thisUpdate, nextUpdate). `lacks` is why more
    may be revoked than it lists, None for a complete list.
    """

    source: str
    issuer: x509.Name
    serials: frozenset[int]
    begin: datetime
    end: datetime
    key_id: bytes | None
    lacks: str | None
    parsed: x509.CertificateRevocationList


def read(data: bytes, source: str) -> list[RevocationList]:
    """Return the complete lists in `data`, of any form; raise Malformed naming `source`."""
    return [_required(one) for one in each(data, source)]


def _required(one: RevocationList | Malformed) -> RevocationList:
    if isinstance(one, Malformed):
        raise one
    if one.lacks:
        raise _unusable(one.source, one.lacks)
    return one


def each(data: bytes, source: str) -> list[RevocationList | Malformed]:
    """Return each list in `data`, or why it cannot be used; raise Malformed where none can be told.

    So one list that cannot be used does not hide the others. Some may lack something.
    """
    try:
        ders = list(_ders(data))
    except Malformed:
        raise Malformed(f"{source} is damaged: it is not base64 between BEGIN and END") from None
    if not ders:
        raise _no_list(data, source)
    if data.count(b"-----BEGIN ") > len(ders):
        raise Malformed(f"{source} holds revocation lists, and something else as well")
    one = len(ders) == 1
    return [_one(d, source if one else f"{source}: list {n}") for n, d in enumerate(ders, start=1)]


def _no_list(data: bytes, source: str) -> Malformed:
    """Return the error that says what is there in place of a list."""
    try:
        kinds = load.contents(data, source).kinds()
    except Malformed as error:
        return error
    return Malformed(
        f"{source} holds no revocation list, only: {', '.join(kinds)}", hint=see(source)
    )


def _one(der: bytes, source: str) -> RevocationList | Malformed:
    try:
        return _read(der, source)
    except Malformed as error:
        return error


def _ders(data: bytes) -> Iterator[bytes]:
    """Yield what is to be a list: as `pki.load` takes it, so what `cert show` shows is used."""
    if armour.is_der(data):
        parts = list(itertools.islice(load.elements(data), load.MAX_OBJECTS + 1))
        for der in parts if len(parts) <= load.MAX_OBJECTS else [data]:
            yield from _unpacked(der)
    elif b"-----BEGIN " not in data:
        with contextlib.suppress(Malformed):  # it holds no list, whatever it is
            der = armour.from_base64(data)
            yield from _unpacked(der) if armour.is_der(der) else ()
    for block in armour.blocks(data):
        if of_label(block.label) in (CRL, PKCS7):
            yield from _unpacked(armour.from_base64(block.text))


def _unpacked(der: bytes) -> list[bytes]:
    """Return the lists in PKCS#7; what is none is one of itself."""
    try:
        found = pkcs7.unread_lists(der)
    except ValueError:
        return [der]  # which is then said to be none
    if found is None:
        return [] if _is_something_else(der) else [der]
    return found


def _is_something_else(der: bytes) -> bool:
    try:
        return not load.contents(der, "it").crls
    except Malformed:
        return False  # a list that is damaged, for all that is known


def _read(der: bytes, source: str) -> RevocationList:
    try:
        parsed = x509.load_der_x509_crl(der)
        if not is_whole(parsed.signature, der):
            raise Untrusted("its signature ends within an octet")
        _check(parsed)
        return RevocationList(
            source=source,
            issuer=parsed.issuer,
            serials=frozenset(_serials(parsed)),
            begin=parsed.last_update_utc,
            end=parsed.next_update_utc or _ENDLESS,
            key_id=_issuer_key_id(parsed.extensions),
            lacks=_lacks(parsed.extensions),
            parsed=parsed,
        )
    except (Untrusted, *UNREADABLE) as error:
        raise _unusable(source, why(error)) from None


def _unusable(source: str, reason: str) -> Malformed:
    return Malformed(f"{source} is no revocation list that can be used: {reason}")


def _check(parsed: x509.CertificateRevocationList) -> None:
    """Raise Untrusted for what this module cannot use whole (RFC 5280 section 5.2)."""
    algorithm = parsed.signature_hash_algorithm
    is_ed25519 = parsed.signature_algorithm_oid == SignatureAlgorithmOID.ED25519
    if not is_ed25519 and (algorithm is None or algorithm.name not in _HASHES):
        raise Untrusted("its signature proves nothing; SHA-256 with EC or RSA would")
    for extension in parsed.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            oid = extension.oid.dotted_string
            raise Untrusted(f"it has the critical extension {oid}, which is not understood")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            _check_scope(extension.value)


def _check_scope(scope: x509.IssuingDistributionPoint) -> None:
    if scope.indirect_crl:
        raise Untrusted("it lists certificates of other CAs")
    if scope.only_contains_attribute_certs:
        raise Untrusted("it lists only attribute certificates")


def _lacks(extensions: x509.Extensions) -> str | None:
    if value(extensions, x509.DeltaCRLIndicator):
        return "it only lists what changed; give the complete list"
    scope = value(extensions, x509.IssuingDistributionPoint)
    if scope and scope.only_some_reasons:
        return "it lists only some of what is revoked"
    return None


def _serials(parsed: x509.CertificateRevocationList) -> Iterator[int]:
    changes = value(parsed.extensions, x509.DeltaCRLIndicator) is not None
    for entry in parsed:
        for extension in entry.extensions:
            if extension.critical and extension.oid not in _ENTRIES_UNDERSTOOD:
                oid = extension.oid.dotted_string
                raise Untrusted(f"an entry has the critical extension {oid}, not understood")
        if not (changes and _is_let_go(entry)):
            yield entry.serial_number  # also one on hold: whatever is listed proves nothing


def _is_let_go(entry: x509.RevokedCertificate) -> bool:
    """Tell of what was on hold and is no longer, which only lists of changes say (5.3.1)."""
    found = value(entry.extensions, x509.CRLReason)
    return found is not None and found.reason is x509.ReasonFlags.remove_from_crl


def _issuer_key_id(extensions: x509.Extensions) -> bytes | None:
    found = value(extensions, x509.AuthorityKeyIdentifier)
    return found.key_identifier if found else None


@dataclass(frozen=True, slots=True)
class Covered:
    """Since when and until when every certificate of a path is covered by a current list."""

    begin: datetime
    end: datetime


class Revocations:
    """Lists, found by the name of their CA; each signature is checked once for each CA."""

    def __init__(self, lists: Iterable[RevocationList]) -> None:
        self._by_issuer: dict[x509.Name, list[RevocationList]] = {}
        for one in lists:
            self._by_issuer.setdefault(one.issuer, []).append(one)
        self._signed: dict[tuple[RevocationList, x509.Certificate], bool] = {}

    def check(self, path: DevicePath) -> Covered | None:
        """Return when the path is covered, None if some certificate is by no list.

        Raises Untrusted when one is revoked, Malformed when a list is not by the CA it names.
        """
        if not self._by_issuer:
            return None
        spans = [self._span(child, issuer) for child, issuer in path.links()]
        known = [span for span in spans if span]
        if len(known) < len(spans):
            return None
        return Covered(max(s.begin for s in known), min(s.end for s in known))

    def fault(self, issuer: x509.Certificate) -> str | None:
        """Return why no path through a CA can be judged: a list in its name is not by it."""
        try:
            for one in self._of(issuer):
                self._is_signed(one, issuer)
        except Malformed as error:
            return error.message
        return None

    def _span(self, child: x509.Certificate, issuer: x509.Certificate) -> Covered | None:
        found = [one for one in self._of(issuer) if self._is_signed(one, issuer)]
        if any(child.serial_number in one.serials for one in found):
            raise Untrusted(f"the certificate of {show_name(child.subject)} is revoked")
        if not found:
            return None
        newest = max(found, key=lambda one: one.begin)
        return Covered(newest.begin, newest.end)

    def _of(self, issuer: x509.Certificate) -> list[RevocationList]:
        """Return the lists of that name, but for those that say they are by another key of it."""
        lists = self._by_issuer.get(issuer.subject, [])
        key_id = _key_id(issuer) if lists else None
        return [one for one in lists if None in (key_id, one.key_id) or key_id == one.key_id]

    def _is_signed(self, one: RevocationList, issuer: x509.Certificate) -> bool:
        """Tell that the issuer signed the list; raise Malformed when it did not."""
        if (one, issuer) not in self._signed:
            if len(self._signed) >= _REMEMBERED:
                self._signed.clear()
            self._signed[one, issuer] = is_signed(one, issuer)
        if not self._signed[one, issuer]:
            name = show_name(issuer.subject)
            raise Malformed(f"{one.source} is not signed by {name}, the CA it says it is of")
        return True


def is_signed(one: RevocationList, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer, which may sign lists, has signed this one."""
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass  # whatever is not limited is allowed (RFC 5280 section 6.3.3 (f))
    key = issuer.public_key()
    if not isinstance(key, _KEYS):
        return False
    try:
        return one.parsed.is_signature_valid(key)
    except UNREADABLE:
        return False


def _key_id(certificate: x509.Certificate) -> bytes | None:
    found = value(certificate.extensions, x509.SubjectKeyIdentifier)
    return found.digest if found else None
