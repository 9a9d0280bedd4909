"""Certificates and requests as plain values to show: described, not judged.

What cannot be read is listed under `unreadable`; the rest is described all the same. The keys are
the JSON contract of `cert show` and `csr show`; making text harmless is left to who shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import (
    AttributeOID,
    ExtendedKeyUsageOID,
    ExtensionOID,
    SignatureAlgorithmOID,
)

from cipsec.pki import keys
from cipsec.pki.csr import EXTENSION_REQUESTS
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES
from cipsec.pki.extraction import Source
from cipsec.pki.faults import UNREADABLE, attempt
from cipsec.pki.identity import Found, Reading, of_parts, sans_among
from cipsec.pki.names import show_name, show_san, show_serial
from cipsec.times import show_time

_Extensions = Iterable[x509.Extension[x509.ExtensionType]]

CLAIMED = "claimed"  # by whoever made it
UNVERIFIED = "unverified"  # proved if the certificate's chain is verified, which nobody did here
NO_EXPIRY = "9999-12-31T23:59:59Z"  # "no well-defined expiration date", RFC 5280 section 4.1.2.5

_KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
_EXTENDED_KEY_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28"): "cmcRA",
}
_EXTENSIONS = {
    x509.SubjectAlternativeName.oid: "subjectAltName",
    x509.KeyUsage.oid: "keyUsage",
    x509.ExtendedKeyUsage.oid: "extendedKeyUsage",
    x509.BasicConstraints.oid: "basicConstraints",
    x509.SubjectKeyIdentifier.oid: "subjectKeyIdentifier",
    x509.AuthorityKeyIdentifier.oid: "authorityKeyIdentifier",
    x509.NameConstraints.oid: "nameConstraints",
    x509.CertificatePolicies.oid: "certificatePolicies",
    ExtensionOID.POLICY_MAPPINGS: "policyMappings",
    x509.PolicyConstraints.oid: "policyConstraints",
    x509.InhibitAnyPolicy.oid: "inhibitAnyPolicy",
    x509.IssuerAlternativeName.oid: "issuerAltName",
    x509.CRLDistributionPoints.oid: "cRLDistributionPoints",
    x509.FreshestCRL.oid: "freshestCRL",
    x509.AuthorityInformationAccess.oid: "authorityInfoAccess",
    SUBJECT_DIRECTORY_ATTRIBUTES: "subjectDirectoryAttributes",
}
_SIGNATURES = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "ecdsa-with-SHA1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-with-SHA256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
    SignatureAlgorithmOID.RSA_WITH_MD5: "md5WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA1: "sha1WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "sha384WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "sha512WithRSAEncryption",
    SignatureAlgorithmOID.RSASSA_PSS: "rsassaPss",
    SignatureAlgorithmOID.ED25519: "ed25519",
}
_SHOWN = EXTENSION_REQUESTS | {AttributeOID.CHALLENGE_PASSWORD}


def certificate(parsed: x509.Certificate, now: datetime) -> dict[str, object]:
    """Return what a certificate says; `days_left` is counted down to whole days from `now`.

    It is negative after the end, and None where there is no well-defined end.
    """
    problems: list[str] = []
    subject = attempt(problems, "subject", lambda: parsed.subject)
    issuer = attempt(problems, "issuer", lambda: parsed.issuer)
    key = attempt(problems, "key", parsed.public_key)
    extensions = attempt(problems, "extensions", lambda: parsed.extensions) or ()
    reading = of_parts(Source.CERTIFICATE, subject, sans_among(extensions), extensions)
    self_signed = _is_self_signed(parsed)
    end = show_time(parsed.not_valid_after_utc)
    return {
        "subject": None if subject is None else show_name(subject),
        "issuer": None if issuer is None else show_name(issuer),
        "serial": show_serial(parsed.serial_number),
        "sha256": parsed.fingerprint(hashes.SHA256()).hex(),
        "not_before": show_time(parsed.not_valid_before_utc),
        "not_after": end,
        "days_left": None if end == NO_EXPIRY else (parsed.not_valid_after_utc - now).days,
        "self_signed": self_signed,
        **_key(key),
        "signature_algorithm": signature_name(parsed.signature_algorithm_oid),
        **_identity(reading, CLAIMED if self_signed else UNVERIFIED),
        **_extensions(extensions),
        "unreadable": problems,
    }


def request(parsed: x509.CertificateSigningRequest) -> dict[str, object]:
    """Return what a certificate signing request says and asks for.

    Of a challengePassword only that it is there: outside EST it is a secret.
    """
    problems: list[str] = []
    subject = attempt(problems, "subject", lambda: parsed.subject)
    key = attempt(problems, "key", parsed.public_key)
    extensions = attempt(problems, "extensions", lambda: parsed.extensions) or ()
    attributes = [a.oid for a in attempt(problems, "attributes", lambda: parsed.attributes) or ()]
    reading = of_parts(Source.CSR, subject, sans_among(extensions), extensions)
    return {
        "subject": None if subject is None else show_name(subject),
        **_key(key),
        "signature_algorithm": signature_name(parsed.signature_algorithm_oid),
        **_identity(reading, CLAIMED),
        **_extensions(extensions),
        "challenge_password": AttributeOID.CHALLENGE_PASSWORD in attributes,
        "attributes": [oid.dotted_string for oid in attributes if oid not in _SHOWN],
        "unreadable": problems,
    }


def _is_self_signed(parsed: x509.Certificate) -> bool:
    try:
        if parsed.subject != parsed.issuer:
            return False
        parsed.verify_directly_issued_by(parsed)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _key(key: PublicKeyTypes | None) -> dict[str, object]:
    return {
        "key_type": keys.type_name(key) if key else None,
        "spki_sha256": keys.spki_sha256(key) if key else None,
    }


def _identity(reading: Reading, assurance: str) -> dict[str, object]:
    """Return the CIP device named, canonical and in numbers: programs print either base."""
    device, mac = reading.identity.device, reading.identity.mac
    return {
        "device": str(device) if device else None,
        "vendor_id": device.vendor if device else None,
        "device_serial": device.serial if device else None,
        "mac": str(mac) if mac else None,
        "mac_local": mac.is_local if mac else None,
        "identity": [value for one in reading.found for value in _found(one, assurance)],
        "identity_conflict": reading.conflict,
    }


def _found(found: Found, assurance: str) -> list[dict[str, object]]:
    """Return the values read at one place: where, by which rule, and what that is worth."""
    values = {"device": found.identity.device, "mac": found.identity.mac}
    return [
        {
            "value": str(value),
            "kind": kind,
            "place": found.place,
            "rule": found.rule,
            "rule_verified": found.verified,
            "assurance": assurance,
        }
        for kind, value in values.items()
        if value
    ]


def _extensions(extensions: _Extensions) -> dict[str, object]:
    shown: dict[str, object] = {
        "san": [],
        "key_usage": [],
        "extended_key_usage": [],
        "basic_constraints": None,
        "subject_key_id": None,
        "authority_key_id": None,
    }
    others = []
    for extension in extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                shown["san"] = [show_san(name) for name in names]
            case x509.KeyUsage() as usage:
                shown["key_usage"] = key_usages(usage)
            case x509.ExtendedKeyUsage() as usages:
                shown["extended_key_usage"] = [extended_key_usage(oid) for oid in usages]
            case x509.BasicConstraints(ca=ca, path_length=path_length):
                shown["basic_constraints"] = {"ca": ca, "path_length": path_length}
            case x509.SubjectKeyIdentifier(digest=digest):
                shown["subject_key_id"] = digest.hex()
            case x509.AuthorityKeyIdentifier(key_identifier=identifier):
                shown["authority_key_id"] = identifier.hex() if identifier else None
            case value:
                others.append(other_extension(extension, value))
    critical = [extension_name(e.oid) for e in extensions if e.critical]
    return {**shown, "extensions": others, "critical": critical}


def other_extension(
    extension: x509.Extension[x509.ExtensionType], value: x509.ExtensionType
) -> dict[str, object]:
    """Return an extension that is shown as it is, its value in hexadecimal DER."""
    return {
        "oid": extension.oid.dotted_string,
        "name": _EXTENSIONS.get(extension.oid),
        "critical": extension.critical,
        "der": value.public_bytes().hex(),
    }


def key_usages(usage: x509.KeyUsage) -> list[str]:
    """Return the key usages asserted, in the names of RFC 5280 section 4.2.1.3."""
    found = [name for name, attribute in _KEY_USAGES.items() if getattr(usage, attribute)]
    if usage.key_agreement:  # the two that only mean something beside it
        found += ["encipherOnly"] * usage.encipher_only + ["decipherOnly"] * usage.decipher_only
    return found


def extended_key_usage(oid: x509.ObjectIdentifier) -> str:
    """Return the name of an extended key usage, or its dotted number."""
    return _EXTENDED_KEY_USAGES.get(oid, oid.dotted_string)


def extension_name(oid: x509.ObjectIdentifier) -> str:
    """Return the name of an extension as RFC 5280 writes it, or its dotted number."""
    return _EXTENSIONS.get(oid, oid.dotted_string)


def signature_name(oid: x509.ObjectIdentifier) -> str:
    """Return the name of a signature algorithm as OpenSSL prints it, or its dotted number."""
    return _SIGNATURES.get(oid, oid.dotted_string)
