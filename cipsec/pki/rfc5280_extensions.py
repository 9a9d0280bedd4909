"""A certificate's extensions held against RFC 5280 section 4.2: what each may say, and how.

Alternative names and key identifiers are among them; the fields are left to `pki.rfc5280`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from cipsec.errors import Untrusted
from cipsec.pki import policies
from cipsec.pki.describe import extended_key_usage, extension_name, key_usages
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.lints import Check, Remark, Specimen
from cipsec.pki.names import is_host_name, show_san

_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
_MUST_BE_CRITICAL = frozenset(
    {
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
    }
)
_MUST_NOT_BE = frozenset(
    {
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.SUBJECT_INFORMATION_ACCESS,
        ExtensionOID.FRESHEST_CRL,
        SUBJECT_DIRECTORY_ATTRIBUTES,
    }
)
_SHOULD_BE = frozenset({ExtensionOID.KEY_USAGE, ExtensionOID.POLICY_MAPPINGS})
_SHOULD_NOT_BE = frozenset(
    {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.ISSUER_ALTERNATIVE_NAME}
)
# What section 4.2 describes: whatever else is critical is refused by who follows it.
_KNOWN = (
    _MUST_BE_CRITICAL
    | _MUST_NOT_BE
    | _SHOULD_BE
    | _SHOULD_NOT_BE
    | {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_ENCIPHERING = ("key_encipherment", "data_encipherment")
# Which usages say nothing of a kind of key (RFC 3279 section 2.3.1, RFC 8813, RFC 9295).
_NOT_FOR = {
    "RSA": ("key_agreement",),
    "EC": _ENCIPHERING,
    "Edwards curve": (*_ENCIPHERING, "key_agreement"),
}
_SIGNING = ("digital_signature",)
_USAGES_OF: dict[x509.ObjectIdentifier, tuple[str, ...]] = {
    ExtendedKeyUsageOID.SERVER_AUTH: (*_SIGNING, "key_encipherment", "key_agreement"),
    ExtendedKeyUsageOID.CLIENT_AUTH: (*_SIGNING, "key_agreement"),
    ExtendedKeyUsageOID.CODE_SIGNING: _SIGNING,
    ExtendedKeyUsageOID.TIME_STAMPING: (*_SIGNING, "content_commitment"),
    ExtendedKeyUsageOID.OCSP_SIGNING: (*_SIGNING, "content_commitment"),
}


def _extensions(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2: each once, none unreadable, none that is critical and unknown."""
    raw = looked_at.anatomy.extensions
    if raw is None:
        return
    if not raw:
        yield Remark("fail", "the list of extensions is empty; it has to be absent")
    for oid, count in Counter(one.oid for one in raw).items():
        if count > 1:
            yield Remark("fail", f"{_name(oid)} is there {count} times")
    for oid, why in looked_at.unreadable.items():
        yield Remark("fail", f"{_name(oid)} cannot be read: {why}")


def _criticality(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2: which extensions programs must, and must not, stumble over."""
    for one in looked_at.anatomy.extensions or ():
        oid, name = x509.ObjectIdentifier(one.oid), _name(one.oid)
        if one.critical and oid not in _KNOWN:
            yield Remark("fail", f"{name} is critical and not known: the certificate is refused")
        if one.critical and oid in _MUST_NOT_BE:
            yield Remark("fail", f"{name} must not be critical")
        if one.critical and oid in _SHOULD_NOT_BE:
            yield Remark("warn", f"{name} should not be critical")
        if not one.critical and oid in _MUST_BE_CRITICAL:
            yield Remark("fail", f"{name} has to be critical")
        if not one.critical and oid in _SHOULD_BE:
            yield Remark("warn", f"{name} should be critical")
        if not one.critical and oid == ExtensionOID.BASIC_CONSTRAINTS and looked_at.is_ca:
            yield Remark("fail", f"{name} of a CA has to be critical")


def _name(oid: str) -> str:
    return extension_name(x509.ObjectIdentifier(oid))


def _basic_constraints(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.9."""
    basic = looked_at.value(x509.BasicConstraints)
    usage = looked_at.value(x509.KeyUsage)
    signs = usage is not None and usage.key_cert_sign
    if signs and not looked_at.is_ca:
        yield Remark("fail", "its key may sign certificates, and it is not said to be a CA")
    if basic is not None and basic.path_length is not None and usage is not None and not signs:
        yield Remark("fail", "it limits the CAs below it, and may sign no certificates")


def _key_usage(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.3."""
    usage = looked_at.value(x509.KeyUsage)
    if usage is None:
        if looked_at.is_ca and not looked_at.has(ExtensionOID.KEY_USAGE):
            yield Remark("fail", "a CA's certificate has to say its key usage")
        return
    if not key_usages(usage):
        yield Remark("fail", "it allows nothing at all")
    if looked_at.is_ca and not usage.key_cert_sign:
        yield Remark("warn", "it is a CA's and may sign no certificates")
    kind = _kind(looked_at.key)
    for attribute in _NOT_FOR.get(kind, ()):
        if getattr(usage, attribute):
            yield Remark("fail", f"{_camel(attribute)} is nothing that {kind} keys do")


def _kind(key: object) -> str:
    match key:
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "EC"
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "Edwards curve"
        case _:
            return ""


def _camel(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join(map(str.capitalize, rest))


def _extended_key_usage(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.12: each purpose once, and one that the key usage leaves possible."""
    usages = looked_at.value(x509.ExtendedKeyUsage)
    if usages is None:
        return
    for oid, count in Counter(usages).items():
        if count > 1:
            yield Remark("warn", f"{extended_key_usage(oid)} is there {count} times")
    if _ANY in usages and _is_critical(looked_at, ExtensionOID.EXTENDED_KEY_USAGE):
        yield Remark("warn", "anyExtendedKeyUsage should not be critical")
    usage = looked_at.value(x509.KeyUsage)
    if usage is None or looked_at.is_ca:  # a CA's limit those it issues to
        return
    for oid in dict.fromkeys(usages):
        fitting = _USAGES_OF.get(oid)
        if fitting and not any(getattr(usage, attribute) for attribute in fitting):
            needed = " or ".join(map(_camel, fitting))
            detail = f"{extended_key_usage(oid)} needs the key usage {needed}"
            yield Remark("fail", detail)


def _is_critical(looked_at: Specimen, oid: x509.ObjectIdentifier) -> bool:
    raw = looked_at.anatomy.extensions or ()
    return any(one.critical and one.oid == oid.dotted_string for one in raw)


def _subject_key_identifier(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.2."""
    if not looked_at.has(ExtensionOID.SUBJECT_KEY_IDENTIFIER):
        if looked_at.is_ca:
            yield Remark("fail", "a CA's certificate has to have one")
        else:
            yield Remark("warn", "there is none, by which the right certificate is found sooner")


def _authority_key_identifier(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.1."""
    found = looked_at.value(x509.AuthorityKeyIdentifier)
    self_issued = looked_at.anatomy.subject == looked_at.anatomy.issuer
    if not looked_at.has(ExtensionOID.AUTHORITY_KEY_IDENTIFIER) and not self_issued:
        yield Remark("fail", "there is none, and the certificate is not self-signed")
    elif found is not None and found.key_identifier is None:
        yield Remark("fail", "it does not have the identifier of the key")


def _alternative_names(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.6."""
    found = looked_at.value(x509.SubjectAlternativeName)
    critical = _is_critical(looked_at, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if found is None:
        return
    if not looked_at.anatomy.subject and not critical:
        yield Remark("fail", "it has to be critical where the subject is empty")
    if looked_at.anatomy.subject and critical:
        yield Remark("warn", "it should not be critical where there is a subject")
    if not list(found):
        yield Remark("fail", "it is empty")
    for name in found:
        yield from _alternative_name(name)


def _alternative_name(name: x509.GeneralName) -> Iterator[Remark]:
    shown = show_san(name)
    match name:
        case x509.DNSName(value=value) if not is_host_name(value) or value.endswith("."):
            yield Remark("fail", f"{shown} is not the name of a host")
        case x509.RFC822Name(value=value) if not all(value.rpartition("@")[::2]):
            yield Remark("fail", f"{shown} is not an address for e-mail")
        case x509.UniformResourceIdentifier(value=value) if not value.partition(":")[2]:
            yield Remark("fail", f"{shown} is not a whole URI")
        case x509.DirectoryName(value=directory) if not list(directory):
            yield Remark("fail", "an alternative name is an empty distinguished name")


def _name_constraints(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.2.1.10."""
    found = looked_at.value(x509.NameConstraints)
    if found is None:
        return
    if not looked_at.is_ca:
        yield Remark("fail", "they are for CAs only")
    if found.public_bytes() not in looked_at.parsed.tbs_certificate_bytes:
        yield Remark("fail", "a subtree has a minimum or a maximum, which has to be left away")


def _policies(looked_at: Specimen) -> Iterator[Remark]:
    """Sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14."""
    value = looked_at.value(x509.CertificatePolicies)
    found = value or ()
    if value is not None and not list(value):
        yield Remark("fail", "the list of policies is empty; it has to be absent")
    for oid, count in Counter(one.policy_identifier.dotted_string for one in found).items():
        if count > 1:
            yield Remark("fail", f"the policy {oid} is there {count} times")
    for extension in looked_at.extensions:
        if extension.oid in policies.UNDERSTOOD and not looked_at.is_ca:
            yield Remark("warn", f"{_name(extension.oid.dotted_string)} is for CAs only")
    yield from _mappings(looked_at, {one.policy_identifier.dotted_string for one in found})


def _mappings(looked_at: Specimen, asserted: set[str]) -> Iterator[Remark]:
    """Section 4.2.1.5; `asserted` are the policies that the certificate itself is issued under."""
    if not looked_at.has(ExtensionOID.POLICY_MAPPINGS):
        return
    try:
        found = policies.mappings(looked_at.extensions)
    except Untrusted:
        yield Remark("fail", "a policy is mapped from or to any policy")
        return
    except UNREADABLE:
        yield Remark("fail", "the policy mappings cannot be read")
        return
    if not found:
        yield Remark("fail", "the list of policy mappings is empty; it has to be absent")
    for oid in sorted(found.keys() - asserted):
        yield Remark("warn", f"the policy {oid} is mapped, and is none of the certificate's own")


EXTENSIONS: dict[str, Check] = {
    "extensions": _extensions,
    "criticality": _criticality,
    "basic constraints": _basic_constraints,
    "key usage": _key_usage,
    "extended key usage": _extended_key_usage,
    "subject key identifier": _subject_key_identifier,
    "authority key identifier": _authority_key_identifier,
    "alternative names": _alternative_names,
    "name constraints": _name_constraints,
    "policies": _policies,
}
