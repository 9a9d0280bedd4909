"""What a profile's checks have in common: the certificate they look at, and how they speak of it.

The checks themselves are in `pki.rfc5280` and `pki.cip`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from cipsec.pki.anatomy import Anatomy, dissect, one_by_one
from cipsec.pki.extensions import value
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.lint import Finding, Verdict

_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Remark:
    """What one check has to say; without any from it, the check found nothing."""

    verdict: Verdict
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Specimen:
    """A certificate under the glass: `key` is None where it cannot be read.

    `extensions` are those that can be read, `unreadable` says of the others why not.
    """

    parsed: x509.Certificate
    anatomy: Anatomy
    extensions: x509.Extensions
    unreadable: Mapping[str, str]
    key: PublicKeyTypes | None

    def value(self, kind: type[_E]) -> _E | None:
        """Return the extension of that kind, None where there is none that can be read."""
        return value(self.extensions, kind)

    def has(self, oid: x509.ObjectIdentifier) -> bool:
        """Tell whether the extension is there, readable or not."""
        return any(one.oid == oid.dotted_string for one in self.anatomy.extensions or ())

    @property
    def is_ca(self) -> bool:
        """Tell whether it says to be a CA's."""
        basic = self.value(x509.BasicConstraints)
        return basic is not None and basic.ca


Check = Callable[[Specimen], Iterator[Remark]]


def specimen(certificate: x509.Certificate) -> Specimen:
    """Return a certificate ready to be looked at; raise Malformed where it has no parts."""
    anatomy = dissect(certificate)
    extensions, unreadable = _extensions(certificate)
    return Specimen(certificate, anatomy, extensions, unreadable, _key(certificate))


def _extensions(certificate: x509.Certificate) -> tuple[x509.Extensions, dict[str, str]]:
    try:
        return certificate.extensions, {}
    except UNREADABLE:
        found, unreadable = list[x509.Extension[x509.ExtensionType]](), dict[str, str]()
    for oid, alone in one_by_one(certificate):
        try:
            found += alone.extensions
        except UNREADABLE as error:
            unreadable[oid] = why(error)
    return x509.Extensions(found), unreadable


def _key(certificate: x509.Certificate) -> PublicKeyTypes | None:
    try:
        return certificate.public_key()
    except UNREADABLE:
        return None


def findings(checks: Mapping[str, Check], looked_at: Specimen, *, hint: str) -> Iterator[Finding]:
    """Yield what each check says, `ok` where it says nothing; `hint` where it has no better one."""
    for name, check in checks.items():
        remarks = list(check(looked_at))
        for one in remarks or [Remark("ok", "as it should be")]:
            unwanted = one.verdict != "ok"
            yield Finding(name, one.verdict, one.detail, (one.hint or hint) if unwanted else None)
