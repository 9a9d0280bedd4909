"""What revocation lists say of a path: fresh, in scope, signed by whom they should be, or not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import Malformed
from cipsec.pki import revocation, verify
from cipsec.pki.lint import Finding
from tests.pki.trees import NOW
from tests.support import vendor
from tests.support.vendor import Extensions, Party

ROOT = vendor.ca("Acme Root")
ISSUING = vendor.ca("Acme Devices", ROOT)
DEVICE = vendor.device(ISSUING)
DAY = timedelta(days=1)
OF_ROOT = vendor.crl(ROOT)


def found(*lists: bytes, others: list[Party] | None = None, leaf: Party = DEVICE) -> list[Finding]:
    """Return what is found on the revocation of the device, and then of its CA."""
    read = [one for n, data in enumerate(lists) for one in revocation.each(data, f"{n}.crl")]
    expected = verify.Expected(
        anchors=[ROOT.certificate],
        intermediates=[one.certificate for one in (ISSUING, *(others or ()))],
        lists=read,
    )
    judged = verify.certificate(leaf.certificate, expected, NOW)
    return [one for one in judged if one.check.startswith("revocation")]


def of_device(*lists: bytes, **options: object) -> tuple[str, str]:
    """Return verdict and detail on the device, where the root's list is good."""
    findings = found(*lists, OF_ROOT, **options)  # type: ignore[arg-type]  # each test gives what fits
    judged = [one for one in findings if one.check == "revocation"]
    assert judged[1].verdict == "ok"
    assert all((one.hint is None) == (one.verdict == "ok") for one in findings)
    return judged[0].verdict, judged[0].detail


def scope(**options: object) -> Extensions:
    """Return an issuingDistributionPoint as an extension of a list."""
    usual = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    point = x509.IssuingDistributionPoint(**usual | options)  # type: ignore[arg-type]  # each test gives what fits
    return [(point, True)]


SOME_REASONS = scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))


def test_not_revoked() -> None:
    """Which list says so, and until when."""
    until = NOW + DAY
    verdict, detail = of_device(vendor.crl(ISSUING, 4711, until=until))
    assert verdict == "ok"
    assert detail.endswith("is not on 0.crl, in force until 2026-11-24T05:00:00Z")


@pytest.mark.parametrize("reason", [None, x509.ReasonFlags.key_compromise])
def test_revoked(reason: x509.ReasonFlags | None) -> None:
    """When, why, and by which list."""
    verdict, detail = of_device(vendor.crl(ISSUING, DEVICE, reason=reason))
    assert verdict == "fail"
    since = "is revoked since 2021-03-01T00:00:00Z"
    why = "reason keyCompromise" if reason else "without a reason"
    assert detail.endswith(f"{since}, {why}, says 0.crl")


def test_a_revoked_ca() -> None:
    """Its device, whose list is good, does not hide it."""
    device, ca = found(vendor.crl(ISSUING), vendor.crl(ROOT, ISSUING))
    assert (device.verdict, ca.verdict) == ("ok", "fail")
    assert "CN=Acme Devices,O=Acme is revoked" in ca.detail


def test_no_list_for_a_ca() -> None:
    """Which one is said."""
    verdict, detail = of_device()
    assert verdict == "warn"
    assert detail.startswith("no list of CN=Acme Devices,O=Acme is given that can be used")


def test_several_lists_in_a_file() -> None:
    """Each counts for its CA."""
    both = found(vendor.crl(ISSUING) + OF_ROOT)
    assert [one.verdict for one in both] == ["ok", "ok"]
    assert "0.crl: list 1" in both[0].detail
    assert "0.crl: list 2" in both[1].detail


def test_freshness() -> None:
    """One that is out of date, or not begun, says nothing good; a newer one beside it does."""
    old = vendor.crl(ISSUING, at=NOW - 9 * DAY, until=NOW - 2 * DAY)
    assert of_device(old) == ("fail", "0.crl is out of date since 2026-11-21T05:00:00Z")
    early = vendor.crl(ISSUING, at=NOW + DAY)
    assert of_device(early) == ("fail", "0.crl begins only at 2026-11-24T05:00:00Z")
    assert of_device(old, vendor.crl(ISSUING, at=NOW - DAY))[0] == "ok"


def test_what_is_on_an_old_list_is_revoked() -> None:
    """Nothing is taken off a list again but what was on hold."""
    old = vendor.crl(ISSUING, DEVICE, at=NOW - 9 * DAY, until=NOW - 2 * DAY)
    assert of_device(old, vendor.crl(ISSUING, at=NOW - DAY))[0] == "fail"


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({"only_contains_user_certs": True}, "ok"),
        ({"only_contains_ca_certs": True}, "warn"),
        ({"full_name": [x509.UniformResourceIdentifier("http://a.invalid/1")]}, "warn"),
    ],
)
def test_scope(limits: dict[str, object], verdict: str) -> None:
    """A list of CAs, or of another distribution point, does not tell of a device."""
    assert of_device(vendor.crl(ISSUING, extensions=scope(**limits)))[0] == verdict


def test_the_distribution_point_of_the_certificate() -> None:
    """The list that it points to is the one."""
    name = [x509.UniformResourceIdentifier("http://a.invalid/1")]
    points = x509.CRLDistributionPoints([x509.DistributionPoint(name, None, None, None)])
    device = vendor.device(ISSUING, extensions=[(points, False)])
    there = vendor.crl(ISSUING, extensions=scope(full_name=name))
    assert of_device(there, leaf=device)[0] == "ok"
    elsewhere = [x509.UniformResourceIdentifier("http://a.invalid/2")]
    assert (
        of_device(vendor.crl(ISSUING, extensions=scope(full_name=elsewhere)), leaf=device)[0]
        == "warn"
    )


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        (scope(indirect_crl=True), "certificates of other CAs"),
        (scope(only_contains_attribute_certs=True), "only attribute certificates"),
        (SOME_REASONS, "only some of what is revoked"),
        ([(x509.DeltaCRLIndicator(1), True)], "only lists what changed"),
        ([(vendor.UNKNOWN, True)], "critical extension"),
    ],
)
def test_lists_that_are_not_used(extensions: Extensions, why: str) -> None:
    """Each says why, and what is then not known is a warning, not a "not revoked"."""
    findings = found(vendor.crl(ISSUING, extensions=extensions), OF_ROOT)
    assert [(one.check, one.verdict) for one in findings] == [
        ("revocation list", "warn"),
        ("revocation", "warn"),
        ("revocation", "ok"),
    ]
    assert why in findings[0].detail


@pytest.mark.parametrize("extensions", [SOME_REASONS, [(x509.DeltaCRLIndicator(1), True)]])
def test_what_stands_on_a_list_that_is_not_complete(extensions: Extensions) -> None:
    """It is revoked, whatever the complete list beside it does not say yet."""
    listed = vendor.crl(ISSUING, DEVICE, extensions=extensions)
    complete = vendor.crl(ISSUING)
    verdict, detail = of_device(listed, complete)
    assert verdict == "fail"
    assert "is revoked since" in detail
    assert of_device(vendor.crl(ISSUING, extensions=extensions), complete)[0] == "ok"
    forged = vendor.crl(vendor.look_alike(ISSUING), DEVICE, extensions=extensions)
    assert of_device(forged, complete)[0] == "ok"


@pytest.mark.parametrize(("changes", "verdict"), [(True, "ok"), (False, "fail")])
def test_a_certificate_that_is_let_go(changes: bool, verdict: str) -> None:
    """By a list of changes; in a complete one that is no reason to be there, and it is revoked."""
    extensions: Extensions = [(x509.DeltaCRLIndicator(1), True)] if changes else []
    reason = x509.ReasonFlags.remove_from_crl
    listed = vendor.crl(ISSUING, DEVICE, reason=reason, extensions=extensions)
    assert of_device(listed, vendor.crl(ISSUING))[0] == verdict


@pytest.mark.parametrize("extensions", [SOME_REASONS, [(x509.DeltaCRLIndicator(1), True)]])
def test_where_a_complete_list_is_needed(extensions: Extensions) -> None:
    """A vendor's lists clear devices: one that cannot is refused."""
    with pytest.raises(Malformed, match="x is no revocation list that can be used: it "):
        revocation.read(vendor.crl(ISSUING, extensions=extensions), "x")


def test_a_forged_list() -> None:
    """The CA's name on another key."""
    alike = vendor.look_alike(ISSUING)
    verdict, detail = of_device(vendor.crl(alike))
    assert verdict == "fail"
    assert detail == "0.crl is not signed by CN=Acme Devices,O=Acme, the CA it says it is of"
    assert of_device(vendor.crl(alike, DEVICE))[0] == "fail"
    assert of_device(vendor.crl(alike), vendor.crl(ISSUING))[0] == "ok"


def test_a_key_for_lists() -> None:
    """The CA may have another certificate of its name for them, under the same anchor."""
    signer = vendor.ca("Acme Devices", ROOT, usage=vendor.signs(certificates=False))
    lists = vendor.crl(signer)
    assert of_device(lists)[0] == "fail"
    assert of_device(lists, others=[signer])[0] == "ok"
    stranger = vendor.ca("Acme Devices", vendor.ca("Bolt Root"))
    assert of_device(vendor.crl(stranger), others=[stranger])[0] == "fail"


def test_a_key_for_lists_under_another_anchor() -> None:
    """Trusted as well, it is another CA of that name, and speaks for its own."""
    bolt = vendor.ca("Bolt Root")
    signer = vendor.ca("Acme Devices", bolt)
    expected = verify.Expected(
        anchors=[ROOT.certificate, bolt.certificate],
        intermediates=[ISSUING.certificate, signer.certificate],
        lists=revocation.each(vendor.crl(signer) + OF_ROOT, "x.crl"),
    )
    found_ = verify.certificate(DEVICE.certificate, expected, NOW)
    assert [one.verdict for one in found_ if one.check == "revocation"] == ["fail", "ok"]


def test_a_revoked_key_for_lists() -> None:
    """What it signed says nothing any more."""
    signer = vendor.ca("Acme Devices", ROOT, usage=vendor.signs(certificates=False))
    device, _ = found(vendor.crl(signer), vendor.crl(ROOT, signer), others=[signer])
    assert device.verdict == "fail"


def test_without_a_path_nothing_is_known() -> None:
    """Whose lists count is then open."""
    [finding] = found(vendor.crl(ISSUING), leaf=vendor.device(vendor.ca("Bolt Root")))
    assert finding.verdict == "fail"
    assert "not judged" in finding.detail


def test_a_signature_with_unused_bits() -> None:
    """How many there are is not signed: such a list is not used."""
    while True:
        whole = bytearray(vendor.crl(ISSUING, encoding=Encoding.DER))
        if not whole[-1] & 1:
            break
    signature = x509.load_der_x509_crl(bytes(whole)).signature
    whole[-len(signature) - 1] = 1
    [unused] = revocation.each(bytes(whole), "x.crl")
    assert isinstance(unused, Malformed)
    assert "ends within an octet" in unused.message


@pytest.mark.parametrize("data", [b"", b"hello", ROOT.pem])
def test_what_holds_no_list(data: bytes) -> None:
    """An error that names the file."""
    with pytest.raises(Malformed, match=r"x\.crl"):
        revocation.each(data, "x.crl")
