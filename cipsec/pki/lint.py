"""Findings on a certificate signing request: all of them, also where `pki.csr` would refuse it.

What is proved about the applicant is left to `ra.evidence`; this looks at one CSR alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from cipsec.errors import Malformed, WeakKey
from cipsec.pki import keys
from cipsec.pki.csr import (
    CHANGE_SUBJECT_NAME,
    EXTENSION_REQUESTS,
    MAX_DER,
    MOST_NAMES,
    SERVED_HASHES,
    repeated,
)
from cipsec.pki.describe import (
    extended_key_usage,
    extension_name,
    key_usages,
    signature_name,
)
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES
from cipsec.pki.extraction import Source
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.identity import of_parts
from cipsec.pki.names import show_name, show_san

Verdict = Literal["ok", "warn", "fail"]

_GRANTED_USAGES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
_GRANTED_NAMES = (x509.DNSName, x509.IPAddress)
_READ_EXTENSIONS = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.SubjectKeyIdentifier.oid,
        SUBJECT_DIRECTORY_ATTRIBUTES,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `verdict` is the worst a reader must expect of it.

    `hint` is what to do, where there is something.
    """

    check: str
    verdict: Verdict
    detail: str
    hint: str | None = None


def request(der: bytes) -> list[Finding]:
    """Return what is to be said for and against a CSR in DER; raise Malformed where it is none."""
    try:
        parsed = x509.load_der_x509_csr(der)
    except UNREADABLE as error:
        raise Malformed(f"this is not a certificate signing request: {why(error)}") from None
    return [
        *_size(der),
        _signature(parsed),
        *_key(parsed),
        _hash(parsed),
        *_names(parsed),
        *_attributes(parsed),
        *_extensions(parsed),
    ]


def _size(der: bytes) -> Iterator[Finding]:
    if len(der) > MAX_DER:
        yield Finding("size", "fail", f"{len(der)} bytes are more than the {MAX_DER} a CA reads")


def _signature(parsed: x509.CertificateSigningRequest) -> Finding:
    """RFC 2986 section 3: the signature proves possession of the private key."""
    if _hash_name(parsed) not in {*SERVED_HASHES, ""}:
        # cryptography calls every signature over SHA-1 wrong, which it need not be.
        return Finding(
            "signature", "fail", "not checked: over its hash it would prove nothing", _ANEW
        )
    try:
        valid = parsed.is_signature_valid
    except UNREADABLE as error:
        return Finding("signature", "fail", f"cannot be checked: {why(error)}")
    if not valid:
        return Finding("signature", "fail", "not made with the key in the request", _ANEW)
    return Finding("signature", "ok", "made with the key in the request")


_ANEW = "make the request anew, signed over SHA-256 with the key that is in it"


def _key(parsed: x509.CertificateSigningRequest) -> Iterator[Finding]:
    try:
        key = keys.served(parsed.public_key())
    except (*UNREADABLE, WeakKey) as error:
        yield Finding("key", "fail", why(error), "cipsec csr create --key NEW.key")
        return
    yield Finding("key", "ok", keys.type_name(key))
    if keys.spki(key) not in parsed.tbs_certrequest_bytes:
        # Read all the same; peers that follow RFC 5480 section 2.1.1 refuse it.
        detail = "its curve or algorithm is not written as RFC 5480 or 3279 says"
        yield Finding("key", "warn", detail)


def _hash(parsed: x509.CertificateSigningRequest) -> Finding:
    name = _hash_name(parsed)
    if name in SERVED_HASHES:
        return Finding("hash", "ok", str(name))
    shown = signature_name(parsed.signature_algorithm_oid)
    hint = None if name == "" else _ANEW  # what has none of its own has another kind of key
    return Finding("hash", "fail", f"{shown} is not served; use SHA-256", hint)


def _hash_name(parsed: x509.CertificateSigningRequest) -> str | None:
    """Return the hash under the signature; empty where it has none of its own, None if unknown."""
    try:
        algorithm = parsed.signature_hash_algorithm
    except UNREADABLE:
        return None
    return algorithm.name if algorithm else ""


def _names(parsed: x509.CertificateSigningRequest) -> Iterator[Finding]:
    try:
        subject = parsed.subject
    except UNREADABLE as error:
        yield Finding("subject", "fail", f"cannot be read: {why(error)}")
        return
    extensions = _requested(parsed)
    sans = [
        s for e in extensions if isinstance(e.value, x509.SubjectAlternativeName) for s in e.value
    ]
    yield _subject(subject, sans)
    yield from _common_names(subject)
    yield from _sans(sans)
    yield _identity(subject, sans, extensions)


def _subject(subject: x509.Name, sans: list[x509.GeneralName]) -> Finding:
    if list(subject):
        return Finding("subject", "ok", show_name(subject))
    if any(isinstance(name, _GRANTED_NAMES) for name in sans):
        return Finding("subject", "warn", "empty: only the alternative names say who this is")
    detail = "empty, and there is no DNS name or IP address: it names nobody"
    return Finding("subject", "fail", detail, _NAME_IT)


_NAME_IT = "cipsec csr create --subject 'CN=Drive 7' names it"


def _common_names(subject: x509.Name) -> Iterator[Finding]:
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) > MOST_NAMES:
        yield Finding("subject", "fail", f"{len(names)} common names, {MOST_NAMES} are the most")
    for name in names:
        # As a client reads it that knows no alternative names (RFC 6125 section 6.4.4).
        if name.partition("\0")[0].startswith("*."):
            yield Finding("subject", "fail", f"CN={name} is a wildcard, which no endpoint gets")


def _sans(sans: list[x509.GeneralName]) -> Iterator[Finding]:
    if not sans:
        detail = "none: a peer that checks names or addresses finds none"
        yield Finding("san", "warn", detail, "cipsec csr create --san ip:ADDRESS puts one in")
    if len(sans) > MOST_NAMES:
        yield Finding("san", "fail", f"{len(sans)} alternative names, {MOST_NAMES} are the most")
    for name in sans[:MOST_NAMES]:
        shown = show_san(name)
        if not isinstance(name, _GRANTED_NAMES):
            yield Finding("san", "warn", f"{shown} is of a kind that a CA leaves out")
        elif isinstance(name, x509.DNSName) and "*" in name.value:
            yield Finding("san", "fail", f"{shown} is a wildcard, which no endpoint gets")
        else:
            yield Finding("san", "ok", shown)


def _identity(
    subject: x509.Name,
    sans: list[x509.GeneralName],
    extensions: list[x509.Extension[x509.ExtensionType]],
) -> Finding:
    found = of_parts(Source.CSR, subject, sans, extensions)
    if found.conflict:
        return Finding("identity", "fail", f"it {found.conflict}: a CA refuses it")
    if not found.identity:
        return Finding("identity", "warn", "no Vendor ID, serial number or MAC address is found")
    return Finding("identity", "ok", f"{found.identity}, as it claims; a CSR cannot prove it")


def _attributes(parsed: x509.CertificateSigningRequest) -> Iterator[Finding]:
    try:
        found = list(parsed.attributes)
    except UNREADABLE as error:
        yield Finding("attributes", "fail", f"cannot be read: {why(error)}")
        return
    if again := repeated(found):
        yield Finding("attributes", "fail", f"{again.dotted_string} is there twice", _LEAVE_OUT)
    others = {attribute.oid for attribute in found} - EXTENSION_REQUESTS
    for oid in sorted(others, key=lambda oid: oid.dotted_string):
        if oid == AttributeOID.CHALLENGE_PASSWORD:
            yield Finding("attributes", "warn", _CHALLENGE)
        elif oid == CHANGE_SUBJECT_NAME:
            yield Finding("attributes", "fail", _OTHER_NAMES, _LEAVE_OUT)
        else:
            yield Finding("attributes", "warn", f"{oid.dotted_string} is not known, nor looked at")
    if not others and not again:
        yield Finding("attributes", "ok", "nothing but requested extensions" if found else "none")


_CHALLENGE = (
    "a challengePassword is there: in EST it ties the request to one TLS connection"
    " (RFC 7030 section 3.5)"
)

_OTHER_NAMES = (
    "asks for other names by ChangeSubjectName (RFC 6402 section 2.8): a CA refuses it, unless its"
    " ca.toml says to ignore that"
)


def _extensions(parsed: x509.CertificateSigningRequest) -> Iterator[Finding]:
    try:
        extensions = list(parsed.extensions)
    except UNREADABLE as error:
        yield Finding("extensions", "fail", f"cannot be read: {why(error)}")
        return
    objections = [finding for e in extensions for finding in _objections(e)]
    yield from objections
    if not objections:
        yield Finding("extensions", "ok", "nothing that a CA does not grant")


def _objections(extension: x509.Extension[x509.ExtensionType]) -> Iterator[Finding]:
    match extension.value:
        case x509.BasicConstraints(ca=True):
            yield Finding("extensions", "fail", "asks for a CA certificate", _LEAVE_OUT)
        case x509.KeyUsage() as usage if usage.key_cert_sign or usage.crl_sign:
            asked = ", ".join(key_usages(usage))
            yield Finding("extensions", "fail", f"asks for the right to sign: {asked}", _LEAVE_OUT)
        case x509.ExtendedKeyUsage() as usages:
            for oid in usages:
                if oid not in _GRANTED_USAGES:
                    name = extended_key_usage(oid)
                    detail = f"asks for the usage {name}"
                    yield Finding("extensions", "fail", detail, _LEAVE_OUT)
    if extension.oid not in _READ_EXTENSIONS:
        name = extension_name(extension.oid)
        yield Finding("extensions", "warn", f"asks for {name}, which a CA leaves out")


_LEAVE_OUT = "leave it out of the request"


def _requested(
    parsed: x509.CertificateSigningRequest,
) -> list[x509.Extension[x509.ExtensionType]]:
    """Return the requested extensions, none where `_extensions` says they cannot be read."""
    try:
        return list(parsed.extensions)
    except UNREADABLE:
        return []
