"""The profile `cip`: what is said of an endpoint's certificate, and what is marked unverified."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import cip
from cipsec.pki.keys import spki
from tests.pki import specimens
from tests.pki.specimens import (
    BOTH_ENDS,
    CA,
    EXTENDED_KEY_USAGE,
    NAMED,
    NO_CA,
    SIGNS,
    SIGNS_ALL,
    USUAL,
    make,
    without,
)
from tests.pki.specimens import (
    UTC as UTC_TIME,
)
from tests.support import der

# cryptography warns of names that are too long.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DRIVE = der.name(
    (der.COMMON_NAME, der.UTF8, b"x"), (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2")
)
RSA = rsa.generate_private_key(65537, 2048)


def wrong(
    certificate: x509.Certificate, others: tuple[x509.Certificate, ...] = (), at: datetime = NOW
) -> dict[str, str]:
    """Return what is not ok, each check with its verdict and detail."""
    found = cip.certificate(certificate, others, at)
    assert tuple(dict.fromkeys(one.check for one in found)) == cip.CHECKS
    assert all(bool(one.hint) == (one.verdict != "ok") for one in found)
    return {one.check: f"{one.verdict}: {one.detail}" for one in found if one.verdict != "ok"}


def said(certificate: x509.Certificate, check: str) -> list[str]:
    """Return all that one check says."""
    return [one.detail for one in cip.certificate(certificate, (), NOW) if one.check == check]


def test_what_a_ca_of_ours_issues() -> None:
    """Nothing is said against it."""
    made = make(subject=DRIVE)
    assert wrong(made) == {}
    assert said(made, "cip key") == ["ec-p256, what CIP Security starts with"]
    assert said(made, "cip names") == ["dns:drive-7"]


def test_the_identity_and_where_it_stands() -> None:
    """With the rule, which nobody answers for."""
    [detail] = said(make(subject=DRIVE), "cip identity")
    assert detail == (
        "0001:6040C8F2 in subject:serialNumber (rule canonical-serialnumber);"
        " unverified, for Volume 8 is not public"
    )


def key(made: object) -> bytes:
    """Return a public key in DER."""
    return spki(made.public_key())  # type: ignore[attr-defined]  # keys of any kind


CASES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "P-384": ({"key": key(ec.generate_private_key(ec.SECP384R1()))}, "cip key", None),
    "P-521": ({"key": key(ec.generate_private_key(ec.SECP521R1()))}, "cip key", "fail: "),
    "Ed25519": ({"key": key(ed25519.Ed25519PrivateKey.generate())}, "cip key", "fail: ed25519"),
    "RSA": ({"key": key(RSA)}, "cip key", "warn: rsa-2048"),
    "a short RSA key": (
        {"key": key(rsa.generate_private_key(65537, 1024))},
        "cip key",
        "fail: rsa-1024: so short",
    ),
    "SHA-1": (
        {"inner": der.sequence(der.oid("1.2.840.113549.1.1.5"), b"\x05\x00")},
        "cip signature",
        "fail: over sha1",
    ),
    "SHA-512": (
        {"inner": der.sequence(der.oid("1.2.840.10045.4.3.4"))},
        "cip signature",
        "warn: over sha512; unverified",
    ),
    "an unknown signature": (
        {"inner": der.sequence(der.oid("1.2.3"))},
        "cip signature",
        "fail: it is signed in a way",
    ),
    "a CA": ({"extensions": without(NO_CA, put=[CA])}, "cip no ca", "fail: it is a CA's"),
    "may sign": ({"extensions": without(SIGNS, put=[SIGNS_ALL])}, "cip no ca", "fail: its key may"),
    "no key usage": ({"extensions": without(SIGNS)}, "cip key usage", "warn: .*unverified"),
    "no signing": (
        {"extensions": without(SIGNS, put=[der.extension(der.KEY_USAGE, b"\x03\x02\x03\x08")])},
        "cip key usage",
        "fail: without digitalSignature",
    ),
    "RSA without enciphering": (
        {"key": key(RSA)},
        "cip key usage",
        "warn: without keyEncipherment",
    ),
    "no EKU": ({"extensions": without(BOTH_ENDS)}, "cip purpose", "warn: .*unverified"),
    "one end": (
        {
            "extensions": without(
                BOTH_ENDS,
                put=[der.extension(EXTENDED_KEY_USAGE, der.sequence(der.oid("1.3.6.1.5.5.7.3.1")))],
            )
        },
        "cip purpose",
        "warn: without clientAuth it cannot be an originator",
    ),
    "no names": ({"extensions": without(NAMED)}, "cip names", "warn: neither IP address"),
    "a wildcard": (
        {
            "extensions": without(
                NAMED,
                put=[der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"*.x.org")))],
            )
        },
        "cip names",
        "fail: a wildcard",
    ),
    "unreadable": (
        {"extensions": without(NAMED, put=[der.extension(der.SUBJECT_ALT_NAME, b"junk")])},
        "cip extensions",
        "fail: subjectAltName cannot be read",
    ),
    "nobody": ({"subject": der.DRIVE}, "cip identity", "warn: no Vendor ID.*unverified"),
    "two devices": (
        {
            "subject": der.name(
                (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
                (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F3"),
            )
        },
        "cip identity",
        "fail: it names",
    ),
    "UTF-8 as serialNumber": (
        {"subject": der.name((der.SERIAL_NUMBER, der.UTF8, b"0001:6040C8F2"))},
        "cip strings",
        "fail: serialNumber is not a PrintableString",
    ),
    "a long name": (
        {"subject": der.name((der.COMMON_NAME, der.UTF8, b"a" * 256))},
        "cip strings",
        "warn: 2.5.4.3 has more than the 255 octets",
    ),
    "an extension twice": (
        {"extensions": (*USUAL, NAMED)},
        "cip extensions",
        "fail: subjectAltName is there 2 times",
    ),
    "version 1": ({"extensions": None, "version": b""}, "cip version", "fail: "),
}


@pytest.mark.parametrize(("parts", "check", "expected"), CASES.values(), ids=CASES)
def test_cases(parts: dict[str, Any], check: str, expected: str | None) -> None:
    """One part differs from the usual."""
    found = wrong(make(**{"subject": DRIVE} | parts))
    assert (check in found) == (expected is not None)
    assert expected is None or re.match(expected, found[check])


def test_unverified_is_never_more_than_a_warning() -> None:
    """What nobody can read up is nothing to fail for."""
    for parts, _, _ in CASES.values():
        for one in cip.certificate(make(**{"subject": DRIVE} | parts), (), NOW):
            assert one.verdict != "fail" or "unverified" not in one.detail


def test_size() -> None:
    """Of the certificate, and of what is kept with it."""
    many = der.sequence(*(der.tlv(0x82, b"drive-%d.plant.local" % n) for n in range(100)))
    large = make(without(NAMED, put=[der.extension(der.SUBJECT_ALT_NAME, many)]), subject=DRIVE)
    assert "large for a small device" in wrong(large)["cip size"]
    assert "known to end at 10240" in wrong(large, (large, large, large))["cip size"]
    made = make(subject=DRIVE)
    assert "cip size" not in wrong(made, (made, made))
    assert "a long chain" in wrong(made, (made, made, made))["cip size"]


def test_the_size_of_pem_is_right() -> None:
    """As openssl writes it."""
    made = make(subject=DRIVE)
    [told] = said(made, "cip size")
    assert f" {len(made.public_bytes(Encoding.PEM))} in PEM" in told


def valid(begin: bytes, end: bytes) -> x509.Certificate:
    """Return a certificate of that time."""
    return make(subject=DRIVE, validity=der.tlv(UTC_TIME, begin) + der.tlv(UTC_TIME, end))


def test_validity() -> None:
    """Back-dated, long enough, or without an end."""
    fresh = valid(b"261123043000Z", b"281123043000Z")
    assert "began only 30m ago" in wrong(fresh)["cip validity"]
    assert "cip validity" not in wrong(fresh, at=NOW + timedelta(days=1))
    short = valid(b"261101000000Z", b"261120000000Z")
    assert "lasts 19d" in wrong(short)["cip validity"]
    endless = make(
        subject=DRIVE,
        validity=der.tlv(UTC_TIME, b"261101000000Z")
        + der.tlv(specimens.GENERALIZED, b"99991231235959Z"),
    )
    assert said(endless, "cip validity") == ["it has no well-defined end"]
