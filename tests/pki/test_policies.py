"""Certificate policies where PKITS does not look: at anchors, and at what a device itself wants."""

from __future__ import annotations

import pytest
from cryptography import x509

from tests.pki.trees import path, refusal, short
from tests.support import vendor
from tests.support.vendor import Extensions

DEMANDED: Extensions = [(x509.PolicyConstraints(0, None), True)]
NONE_HOLDS = "a CA of the path demands a certificate policy, and none holds for all"


def policy(*oids: str) -> Extensions:
    """Return certificate policies."""
    held = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return [(x509.CertificatePolicies(held), False)]


def test_a_device_that_demands_one_itself() -> None:
    """It counts for its own path (section 6.1.5 (b))."""
    root = vendor.ca("Root")
    without, with_ = vendor.ca("A", root), vendor.ca("B", root, extensions=policy("1.2.3"))
    demanding = vendor.device(without, extensions=[*DEMANDED, *policy("1.2.3")])
    assert refusal(demanding, [without], [root]) == NONE_HOLDS
    fitting = vendor.device(with_, extensions=[*DEMANDED, *policy("1.2.3")])
    assert path(fitting, [with_], [root])[0] == short(fitting)


@pytest.mark.parametrize(("held", "good"), [("1.2.3", True), ("1.2.4", False)])
def test_an_anchor_that_another_ca_issued(held: str, good: bool) -> None:
    """Its issuer made its limits for a reason: they hold though the issuer is not looked at."""
    limited = vendor.ca("A", vendor.ca("Root"), extensions=[*DEMANDED, *policy("1.2.3")])
    device = vendor.device(limited, extensions=policy(held))
    if good:
        assert path(device, [], [limited]) == [short(device), short(limited)]
    else:
        assert refusal(device, [], [limited]) == NONE_HOLDS


def test_a_root_that_limits_policies() -> None:
    """There is nothing above it that these could limit: it is no anchor."""
    root = vendor.ca("Root", extensions=DEMANDED)
    assert "limits policies, and is a root" in refusal(vendor.device(root), [], [root])
