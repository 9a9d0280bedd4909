"""The id under which people decide: what keeps it, what changes it, what is never shown."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.pki.names import parse_subject
from cipsec.ra import enrollment as ra_enrollment
from cipsec.ra.enrollment import Enrollment, Login
from tests.support import ca
from tests.support.evidence import enrollment

KEY = keys.generate(keys.KeyType.EC_P256)
SUBJECT = "CN=Drive 7,O=Plant"
NAMES = ("dns:drive-7", "ip:192.0.2.7")


def enrollment_id(
    asked: CertificateRequest,
    applicant: str,
    *,
    label: str = "",
    identity: Identity | None = None,
) -> str:
    """Return the id; `identity` is what rules of its own in ca.toml read, if there are any."""
    sent = enrollment(asked, label=label)
    return ra_enrollment.enrollment_id(sent, applicant, identity or asked.identity)


def with_mac(mac: str | None) -> CertificateRequest:
    """Return a CSR that gives a MAC address outside its subject."""
    parsed = Mac.parse(mac) if mac else None
    built = csr.build(KEY, parse_subject(SUBJECT), mac=parsed)
    return csr.parse(built.public_bytes(Encoding.DER))


def test_a_newly_signed_csr_keeps_its_id() -> None:
    """ECDSA signs differently each time, a channel binding is another on each connection."""
    ids, bodies = set(), set()
    for number in range(5):
        challenge = base64.b64encode(bytes([number]) * 12) if number else None
        asked = ca.request(SUBJECT, sans=NAMES, key=KEY, challenge=challenge)
        bodies.add(asked.der)
        ids.add(enrollment_id(asked, "no user"))
    assert len(bodies) == 5
    assert len(ids) == 1


def test_the_order_of_alternative_names_does_not_matter() -> None:
    """Names are a set."""
    one = ca.request(SUBJECT, sans=NAMES, key=KEY)
    other = ca.request(SUBJECT, sans=NAMES[::-1], key=KEY)
    assert enrollment_id(one, "x") == enrollment_id(other, "x")


def test_everything_that_was_shown_changes_the_id() -> None:
    """Key, subject, names, MAC address, who was authenticated, label: each by itself."""
    base = ca.request(SUBJECT, sans=NAMES, key=KEY)
    others = [
        ca.request(SUBJECT, sans=NAMES),
        ca.request("CN=Drive 8,O=Plant", sans=NAMES, key=KEY),
        ca.request("O=Plant,CN=Drive 7", sans=NAMES, key=KEY),
        ca.request("CN=Drive 7+O=Plant", sans=NAMES, key=KEY),
        ca.request(SUBJECT, sans=NAMES[:1], key=KEY),
        ca.request(SUBJECT, sans=[*NAMES, "dns:drive-8"], key=KEY),
        ca.request(SUBJECT, sans=[*NAMES, "uri:urn:x"], key=KEY),
        ca.request(SUBJECT, key=KEY),
    ]
    ids = {enrollment_id(asked, "no user") for asked in [base, *others]}
    ids |= {enrollment_id(base, who) for who in ("user:anna", "user:berta", "")}
    ids |= {enrollment_id(base, "no user", label=label) for label in ("line-3", "line-4")}
    assert len(ids) == 1 + len(others) + 3 + 2
    macs = {enrollment_id(with_mac(m), "x") for m in (None, "00:00:bc:00:00:01", "0000bc000002")}
    assert len(macs) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a\ndns:b"], ["a", "b"]),
        (["a", "b\ndns:c"], ["a\ndns:b", "c"]),
        (["a"], ["a", "a"]),
    ],
)
def test_no_name_can_pose_as_several(one: list[str], other: list[str]) -> None:
    """Approved for a strange name, a request is not good for two plain ones."""

    def asked(names: list[str]) -> CertificateRequest:
        sans = [x509.DNSName(name) for name in names]
        built = csr.build(KEY, parse_subject(SUBJECT), sans=sans)
        return csr.parse(built.public_bytes(Encoding.DER))

    assert enrollment_id(asked(one), "x") != enrollment_id(asked(other), "x")


def test_no_applicant_can_pose_as_names() -> None:
    """Where one part ends and the next begins is part of the hash."""
    plain = ca.request(SUBJECT, key=KEY)
    named = ca.request(SUBJECT, sans=["dns:None"], key=KEY)
    # Joined without lengths both would be the same text, "None" being the MAC address of neither.
    assert enrollment_id(plain, "xNonedns:") != enrollment_id(named, "x")


def test_a_device_that_only_special_rules_find_is_part_of_the_id() -> None:
    """It goes into the record; what the usual rules find stands in the subject anyway."""
    asked = ca.request(SUBJECT, key=KEY)
    devices = (None, DeviceId(1, 7), DeviceId(1, 8))
    ids = {enrollment_id(asked, "x", identity=Identity(device)) for device in devices}
    assert len(ids) == 3
    named = ca.request("CN=a,serialNumber=0001:00000007", key=KEY)
    usual = enrollment_id(named, "x", identity=Identity(DeviceId(1, 7)))
    assert usual == enrollment_id(named, "x")


def test_no_label_can_pose_as_a_name() -> None:
    """What was approved at one label is not approved for that text as a device's number."""
    asked = ca.request(SUBJECT, key=KEY)
    named = ca.request(SUBJECT, sans=["dns:x"], key=KEY)
    ids = {
        enrollment_id(asked, "x", label="dns:x"),
        enrollment_id(named, "x"),
        enrollment_id(asked, "x", label="x"),
        enrollment_id(asked, "x", identity=Identity(DeviceId(1, 7))),
        enrollment_id(asked, "x", label="0001:00000007"),
    }
    assert len(ids) == 5


def test_secrets_are_not_shown() -> None:
    """Neither password nor challengePassword is in what ends up in a log or a traceback."""
    asked = ca.request(challenge=b"c2VjcmV0LWJpbmRpbmc=")
    login = Login("anna", "secret-password")
    sent = Enrollment(
        request=asked,
        chain=(),
        login=login,
        label="",
        renewal=False,
        address="192.0.2.7",
        bindings=tuple,
    )
    for shown in (repr(sent), str(sent), f"{login}"):
        assert "secret" not in shown
        assert "c2VjcmV0" not in shown.replace("\\", "")
    assert "anna" in repr(login)
