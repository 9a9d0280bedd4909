"""What a certificate may be used for: with which key, under which name, for which purpose.

Whether it is trusted is `pki.chain`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cipsec.pki import keys
from cipsec.pki.describe import extended_key_usage
from cipsec.pki.extensions import value
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.lint import Finding
from cipsec.pki.names import folded, is_under_wildcard, sans_of, show_name, show_san

_PURPOSES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
}
PURPOSES = ("any", *_PURPOSES)
_ENROLL = "have one issued with what it lacks: cipsec enroll"


def key(leaf: x509.Certificate, given: keys.PublicKey) -> Finding:
    """Compare the certificate's public key with that of a private key."""
    try:
        held = leaf.public_key()
    except UNREADABLE as error:
        return Finding("key", "fail", f"the certificate's cannot be read: {why(error)}", _ENROLL)
    if keys.spki(held) == keys.spki(given):
        return Finding("key", "ok", "the key belongs to the certificate")
    kinds = keys.type_name(given), keys.type_name(held)
    if kinds[0] != kinds[1]:
        detail = (
            f"the key is {kinds[0]}, the certificate's is {kinds[1]}: they do not belong together"
        )
    else:
        detail = "the key belongs to another certificate"
    return Finding("key", "fail", detail, "look for the key that was made with the request")


def name(leaf: x509.Certificate, wanted: x509.GeneralName) -> Finding:
    """Look for a name among the alternative names (RFC 9525 section 6); the subject has none.

    A DNS name and a wildcard are compared with DNS names, an address with addresses.
    """
    sans = sans_of(leaf)
    shown = show_san(wanted)
    if any(_same(wanted, san) for san in sans):
        return Finding("name", "ok", f"it is for {shown}")
    for san in sans:
        both_dns = isinstance(wanted, x509.DNSName) and isinstance(san, x509.DNSName)
        if both_dns and is_under_wildcard(wanted.value, san.value):
            detail = f"{shown} is matched by {show_san(san)}, which a device need not understand"
            return Finding("name", "warn", detail, f"have it issued for {shown} itself")
    present = ", ".join(map(show_san, sans)) or "no name"
    detail = f"not for {shown}, but for {present}{_elsewhere(leaf, wanted)}"
    return Finding("name", "fail", detail, f"ask for it: cipsec enroll --san {shown}")


def _same(wanted: x509.GeneralName, san: x509.GeneralName) -> bool:
    return type(wanted) is type(san) and _folded(wanted) == _folded(san)


def _folded(san: x509.GeneralName) -> str:
    return folded(show_san(san)).removesuffix(".")


def _elsewhere(leaf: x509.Certificate, wanted: x509.GeneralName) -> str:
    """Tell where else the name stands, where no peer looks for it."""
    text = str(wanted.value)
    if isinstance(wanted, x509.IPAddress) and any(
        isinstance(san, x509.DNSName) and san.value == text for san in sans_of(leaf)
    ):
        return "; the address is written as a DNS name, where no peer looks for it"
    common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if any(str(one.value).casefold() == text.casefold() for one in common):
        return "; it is the common name, which peers no longer look at"
    return ""


def purpose(path: Sequence[x509.Certificate], wanted: str) -> Iterator[Finding]:
    """Hold key usage and extended key usage against `client` or `server`; `path` from the leaf up.

    A CA's extended key usage limits those below it: RFC 5280 does not say so, all TLS stacks do.
    """
    leaf, *cas = path
    if unfit := key_usage(leaf, wanted):
        yield unfit
    usages = value(leaf.extensions, x509.ExtendedKeyUsage)
    if usages is None:
        detail = "no extended key usage: it may be used for anything"
        yield Finding("purpose", "warn", detail, _ENROLL)
    elif _allows(usages, wanted):
        yield Finding("purpose", "ok", f"it may be used as {wanted}")
    else:
        named = ", ".join(map(extended_key_usage, usages))
        yield Finding("purpose", "fail", f"it may not be used as {wanted}, only: {named}", _ENROLL)
    for ca in cas:
        limits = value(ca.extensions, x509.ExtendedKeyUsage)
        if limits is not None and not _allows(limits, wanted):
            detail = f"its CA {show_name(ca.subject)} may not issue to those used as {wanted}"
            yield Finding("purpose", "fail", detail, "have it issued by another CA")


def key_usage(leaf: x509.Certificate, wanted: str) -> Finding | None:
    """Say where the key may not sign the handshake (RFC 5280 4.2.1.3, RFC 8446 4.4.2).

    A server with an RSA key can do without, by the suites in which that key deciphers.
    """
    usage = value(leaf.extensions, x509.KeyUsage)
    if usage is None or usage.digital_signature:
        return None
    is_rsa = isinstance(leaf.public_key(), rsa.RSAPublicKey)
    if wanted == "server" and is_rsa and usage.key_encipherment:
        detail = "its key usage has no digitalSignature: with the old RSA suites alone it serves"
        return Finding("purpose", "warn", detail, _ENROLL)
    detail = f"its key usage has no digitalSignature, which TLS needs of a {wanted}"
    return Finding("purpose", "fail", detail, _ENROLL)


def _allows(usages: x509.ExtendedKeyUsage, wanted: str) -> bool:
    return _PURPOSES[wanted] in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages
