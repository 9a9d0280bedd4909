"""The profile `cip`: what the certificate of a CIP Security endpoint should look like.

As far as it is public: Volume 8, which has the rules, is not. What rests on what devices and
their tools are known to do says "unverified", and is never more than a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509

# From where `serialization` has it, which is slow to import.
from cryptography.hazmat.primitives._serialization import Encoding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cipsec.pki import der, identity, keys
from cipsec.pki.describe import extended_key_usage, extension_name
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.lint import Finding
from cipsec.pki.lints import Check, Remark, Specimen, findings, specimen
from cipsec.pki.names import show_san
from cipsec.times import show_duration, show_time

_SIZE, _VALIDITY = "cip size", "cip validity"
_PRINTABLE = 0x13
_MIN_RSA_BITS, _LARGE_RSA_BITS = 2048, 3072
_GOOD_HASHES = {"sha256", "sha384"}
_LARGE, _TOO_LARGE = 2048, 10240  # octets; the files of devices are known to end at 10 KiB
_LONG_CHAIN = 3  # certificates, the anchor left out
_BACK_DATED = timedelta(hours=1)
_SHORT = timedelta(days=30)
_NO_END = 9999  # the year (RFC 5280 section 4.1.2.5)
_MAX_TEXT = 255  # octets: devices hold the parts of a subject as SHORT_STRING
_ENROLL = "have one issued by a CA that knows the profile: cipsec enroll"
_P256 = "cipsec enroll --key-type ec-p256"
_UNVERIFIED = "unverified, for Volume 8 is not public"


def certificate(
    parsed: x509.Certificate, others: Sequence[x509.Certificate], at: datetime
) -> list[Finding]:
    """Return all findings on an endpoint's certificate; raise Malformed where it has no parts.

    `others` is what is kept with it, the CAs below the anchor; `at` is when it is to be used.
    """

    def size(_: Specimen) -> Iterator[Remark]:
        yield _size((parsed, *others))

    def validity(_: Specimen) -> Iterator[Remark]:
        yield from _validity(parsed, at)

    checks = {**_CHECKS, _SIZE: size, _VALIDITY: validity}
    return list(findings(checks, specimen(parsed), hint=_ENROLL))


def _version(looked_at: Specimen) -> Iterator[Remark]:
    if looked_at.anatomy.version != 2:
        yield Remark("fail", "it is not of version 3, and can say nothing of its use")


def _key(looked_at: Specimen) -> Iterator[Remark]:
    """EC P-256 first, P-384 for the suites with SHA-384, RSA for older firmware."""
    key = looked_at.key
    shown = keys.type_name(key) if key is not None else "of an unknown kind"
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            yield Remark("ok", f"{shown}, what CIP Security starts with")
        case ec.EllipticCurvePublicKey() if key.curve.name == "secp384r1":
            yield Remark("ok", f"{shown}; {_UNVERIFIED}: older firmware may have P-256 only")
        case rsa.RSAPublicKey() if key.key_size < _MIN_RSA_BITS:
            yield Remark("fail", f"{shown}: so short a key proves nothing", _P256)
        case rsa.RSAPublicKey() if key.key_size <= _LARGE_RSA_BITS:
            yield Remark("warn", f"{shown}: the cipher suites for RSA are optional by now", _P256)
        case rsa.RSAPublicKey():
            yield Remark("warn", f"{shown}: a small device has not the time for it", _P256)
        case _:
            yield Remark("fail", f"{shown}: no cipher suite of CIP Security has such keys", _P256)


def _signature(looked_at: Specimen) -> Iterator[Remark]:
    """ECDSA, or RSA with PKCS#1 v1.5, over SHA-256 or SHA-384."""
    try:
        algorithm = looked_at.parsed.signature_hash_algorithm
    except UNREADABLE:
        algorithm = None
    if algorithm is None:
        yield Remark("fail", "it is signed in a way that no device is known to check")
    elif algorithm.name in _GOOD_HASHES:
        yield Remark("ok", f"over {algorithm.name}")
    elif algorithm.name == "sha512":
        yield Remark("warn", f"over sha512; {_UNVERIFIED}: only SHA-256 and SHA-384 are known")
    else:
        yield Remark("fail", f"over {algorithm.name}, which proves nothing")


def _no_ca(looked_at: Specimen) -> Iterator[Remark]:
    usage = looked_at.value(x509.KeyUsage)
    if looked_at.is_ca:
        yield Remark("fail", "it is a CA's: whoever takes it from the device can make others")
    if usage is not None and (usage.key_cert_sign or usage.crl_sign):
        yield Remark("fail", "its key may sign certificates or revocation lists")


def _key_usage(looked_at: Specimen) -> Iterator[Remark]:
    """digitalSignature for ECDHE; keyEncipherment for the old suites with RSA."""
    usage = looked_at.value(x509.KeyUsage)
    if usage is None:
        yield Remark("warn", f"there is none; {_UNVERIFIED}: some devices want one")
        return
    if not usage.digital_signature:
        yield Remark("fail", "without digitalSignature it cannot be used with ECDHE")
    if isinstance(looked_at.key, rsa.RSAPublicKey) and not usage.key_encipherment:
        yield Remark("warn", "without keyEncipherment it cannot be used with the old RSA suites")


def _purpose(looked_at: Specimen) -> Iterator[Remark]:
    """Both ends: each endpoint is a target, may be an originator, and is a client of EST."""
    usages = looked_at.value(x509.ExtendedKeyUsage)
    if usages is None:
        yield Remark("warn", f"no extended key usage; {_UNVERIFIED}: both ends of TLS are usual")
        return
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return
    both = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    for oid, role in zip(both, ("a target", "an originator"), strict=True):
        if oid not in usages:
            yield Remark("warn", f"without {extended_key_usage(oid)} it cannot be {role}")


def _names(looked_at: Specimen) -> Iterator[Remark]:
    """IP address or DNS name, as the TCP/IP Interface object of the device has them."""
    names = looked_at.value(x509.SubjectAlternativeName) or ()
    useful = [show_san(n) for n in names if isinstance(n, (x509.IPAddress, x509.DNSName))]
    if any("*" in name for name in useful):
        yield Remark("fail", "a wildcard speaks for devices that are not this one")
    elif useful:
        yield Remark("ok", ", ".join(useful))
    else:
        detail = f"neither IP address nor DNS name; {_UNVERIFIED}: some peers compare them"
        yield Remark("warn", detail, "cipsec enroll --san ip:ADDRESS --san dns:NAME")


def _identity(looked_at: Specimen) -> Iterator[Remark]:
    """Vendor ID and serial number, or MAC address; where they stand is not public."""
    reading = identity.of_certificate(looked_at.parsed)
    if reading.conflict:
        yield Remark("fail", f"it {reading.conflict}")
    elif not reading.identity:
        yield Remark("warn", f"no Vendor ID, serial number or MAC address; {_UNVERIFIED}", _DEVICE)
    for one in () if reading.conflict else reading.found:
        proof = "" if one.verified else f"; {_UNVERIFIED}"
        yield Remark("ok", f"{one.identity} in {one.place} (rule {one.rule}){proof}")


_DEVICE = "cipsec enroll --device VENDOR:SERIAL"


def _strings(looked_at: Specimen) -> Iterator[Remark]:
    """What Create_CSR of a device takes: SHORT_STRINGs, a country of two letters."""
    for one in looked_at.anatomy.subject:
        text = der.string(one.tag, one.content)
        if len(one.content) > _MAX_TEXT:
            yield Remark("warn", f"{one.oid} has more than the {_MAX_TEXT} octets of SHORT_STRING")
        if one.oid == NameOID.SERIAL_NUMBER.dotted_string and one.tag != _PRINTABLE:
            yield Remark("fail", "serialNumber is not a PrintableString, as X.520 has it")
        if one.oid == NameOID.COUNTRY_NAME.dotted_string and len(text or "") != 2:
            yield Remark("fail", "the country does not have two letters")


def _size(chain: Sequence[x509.Certificate]) -> Remark:
    """In PEM, as devices keep it with its CAs, and in the handshake."""
    size = len(chain[0].public_bytes(Encoding.DER))
    pem = sum(len(one.public_bytes(Encoding.PEM)) for one in chain)
    told = f"{size} octets, {pem} in PEM with the {len(chain) - 1} others of its file"
    if pem > _TOO_LARGE:
        return Remark("warn", f"{told}: files of devices are known to end at {_TOO_LARGE}", _LESS)
    if size > _LARGE:
        return Remark("warn", f"{told}: large for a small device", _LESS)
    if len(chain) > _LONG_CHAIN:
        return Remark("warn", f"{told}: a long chain for a small device", _LESS)
    return Remark("ok", told)


_LESS = "have it issued with fewer names, an EC key, and by a CA nearer to the root"


def _validity(parsed: x509.Certificate, at: datetime) -> Iterator[Remark]:
    """Long enough, and begun before the clock of a device that has none: some start in 1970."""
    begin, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    if begin <= at < begin + _BACK_DATED:
        since = show_duration(at - begin)
        yield Remark("warn", f"it began only {since} ago: a clock that is behind refuses it", _DATE)
    if end.year == _NO_END:
        yield Remark("ok", "it has no well-defined end")
    elif end - begin < _SHORT:
        lasts = show_duration(end - begin)
        yield Remark("warn", f"it lasts {lasts}: a machine that stands still outlives it", _LONGER)
    else:
        yield Remark("ok", f"from {show_time(begin)} until {show_time(end)}")


_DATE = "set the device's clock, or back-date: backdate in the CA's ca.toml"
_LONGER = "have it issued for longer: validity in the CA's ca.toml"


def _extensions(looked_at: Specimen) -> Iterator[Remark]:
    """Each once, for programs refuse the whole certificate else, and none that is damaged."""
    raw = looked_at.anatomy.extensions or ()
    for oid, count in Counter(one.oid for one in raw).items():
        if count > 1:
            shown = extension_name(x509.ObjectIdentifier(oid))
            yield Remark("fail", f"{shown} is there {count} times")
    for oid, reason in looked_at.unreadable.items():
        shown = extension_name(x509.ObjectIdentifier(oid))
        yield Remark("fail", f"{shown} cannot be read: {reason}")


_CHECKS: dict[str, Check] = {
    "cip version": _version,
    "cip extensions": _extensions,
    "cip key": _key,
    "cip signature": _signature,
    "cip no ca": _no_ca,
    "cip key usage": _key_usage,
    "cip purpose": _purpose,
    "cip names": _names,
    "cip identity": _identity,
    "cip strings": _strings,
}
CHECKS = (*_CHECKS, _SIZE, _VALIDITY)
"""The names of all checks."""
