"""Which device a certificate or CSR names, where it says so, and whether it contradicts itself.

What comes out is what the text *says*; whether it is proved is `ra.evidence`'s to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from cipsec.pki.device import Identity
from cipsec.pki.extraction import (
    DEFAULT,
    PRESETS,
    ExtractionRule,
    Rules,
    Source,
    parse_rules,
)
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.places import Extensions, Said

__all__ = [
    "DEFAULT",
    "PRESETS",
    "ExtractionRule",
    "Found",
    "Reading",
    "Rules",
    "of_certificate",
    "of_parts",
    "of_request",
    "parse_rules",
]

_MAX_TEXTS = 32  # at one place: with the limits of `patterns`, what reading can cost is bounded


@dataclass(frozen=True, slots=True)
class Found:
    """What one text names, and by which rule it was read."""

    identity: Identity
    by: ExtractionRule
    text: str

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.by.name

    @property
    def place(self) -> str:
        """Where the text stands, as ca.toml calls it."""
        return str(self.by.place)

    @property
    def verified(self) -> bool:
        """Whether somebody answers for the rule; for those shipped nobody does."""
        return self.by.verified


@dataclass(frozen=True, slots=True)
class Reading:
    """The first device and the first MAC address found, in the order of the rules; and all of them.

    `conflict` says it, to be read after "the CSR" or "the certificate", where different devices or
    MAC addresses are named: then none of them can be relied on, and nothing is to be granted.
    """

    identity: Identity
    found: tuple[Found, ...] = ()
    conflict: str | None = None


NOTHING = Reading(Identity())


class Request(Protocol):
    """What is needed of a `pki.csr.CertificateRequest`."""

    @property
    def subject(self) -> x509.Name:
        """The subject asked for."""

    @property
    def sans(self) -> Sequence[x509.GeneralName]:
        """The alternative names asked for."""

    @property
    def extensions(self) -> Sequence[x509.Extension[x509.ExtensionType]]:
        """The extensions asked for."""

    @property
    def reading(self) -> Reading:
        """What the default rules find."""


def of_request(request: Request, rules: Rules = DEFAULT) -> Reading:
    """Return the device that a CSR names."""
    if rules is DEFAULT:
        return request.reading
    return of_parts(Source.CSR, request.subject, request.sans, request.extensions, rules)


def of_certificate(certificate: x509.Certificate, rules: Rules = DEFAULT) -> Reading:
    """Return the device that a certificate names; parts that cannot be read name none."""
    try:
        subject = certificate.subject
    except UNREADABLE:
        subject = None
    try:
        extensions: Extensions = certificate.extensions
    except UNREADABLE:
        extensions = ()
    return of_parts(Source.CERTIFICATE, subject, sans_among(extensions), extensions, rules)


def sans_among(extensions: Extensions) -> tuple[x509.GeneralName, ...]:
    """Return the alternative names among extensions."""
    for extension in extensions:
        if extension.oid == x509.SubjectAlternativeName.oid:
            value = extension.value
            return tuple(value) if isinstance(value, x509.SubjectAlternativeName) else ()
    return ()


def of_parts(
    source: Source,
    subject: x509.Name | None,
    sans: Sequence[x509.GeneralName],
    extensions: Extensions,
    rules: Rules = DEFAULT,
) -> Reading:
    """Return the device that the parts of a certificate or CSR name; never fails."""
    said = Said(subject, sans, extensions)
    found: list[Found] = []
    for rule in rules:
        if rule.source is not Source.ANY and rule.source is not source:
            continue
        texts = rule.place.texts(said)
        if len(texts) > _MAX_TEXTS:
            return Reading(Identity(), conflict=f"has {len(texts)} values in {rule.place}")
        for text in texts:
            identity = rule.find(text)
            if identity is not None:
                found.append(Found(identity, rule, text))
    return _reading(tuple(found)) if found else NOTHING


def _reading(found: tuple[Found, ...]) -> Reading:
    device, mac = None, None
    for one in found:
        device = device or one.identity.device
        mac = mac or one.identity.mac
    identity = Identity(device, mac)
    for one in found:
        if not one.identity.agrees(identity):
            return Reading(identity, found, _conflict(found, one))
    return Reading(identity, found)


def _conflict(found: tuple[Found, ...], other: Found) -> str:
    """Say with whom the first that differs from an earlier one does, and in what."""
    first = next(one for one in found if not one.identity.agrees(other.identity))
    return (
        f"names {first.identity} in {first.place} (rule {first.rule})"
        f" and {other.identity} in {other.place} (rule {other.rule})"
    )
