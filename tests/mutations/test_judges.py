"""Everything that judges certificates, on spoilt ones: a verdict, never an error of a parser."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.endpoint import receive
from cipsec.errors import Untrusted
from cipsec.pki import chain, identity, names, path, revocation, verify
from cipsec.pki.faults import UNREADABLE
from cipsec.ra.presented import look_at
from cipsec.tls import judged
from tests.endpoint import killed
from tests.support import est, vendor
from tests.support.canned import LOCALHOST, named

from .mutating import CA, CONSTRAINED, CRL, LEAF, NOW, ROOT, flipped, survives

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ANCHORS = [ROOT.certificate]
DRAFT = killed.draft()
MINE = killed.PLANT.issue(DRAFT.key.public_key(), named("Drive 7"), sans=LOCALHOST)
PLANT = killed.PLANT.certificate


def _parsed(der: bytes) -> x509.Certificate | None:
    """Return what the readers would hand on; None for what none of them reads."""
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        return None


def _as_leaf(one: x509.Certificate) -> None:
    expected = verify.Expected(
        anchors=ANCHORS,
        intermediates=[CA.certificate],
        key=LEAF.key.public_key(),
        name=names.host_name("drive7.plant.local"),
        purpose="server",
    )
    assert verify.certificate(one, expected, NOW)


def _as_issuer(one: x509.Certificate) -> None:
    for anchors, others in (([one], [one]), (ANCHORS, [one, CA.certificate])):
        expected = verify.Expected(anchors=anchors, intermediates=others, purpose="client")
        assert verify.certificate(LEAF.certificate, expected, NOW)


def _in_chain(one: x509.Certificate) -> None:
    for leaf, others in ((one, [CA.certificate]), (LEAF.certificate, [one])):
        chain.verify_chain(leaf, others, ANCHORS, NOW)


def _presented(one: x509.Certificate) -> None:
    for shown in ([one, CA.certificate], [LEAF.certificate, one, ROOT.certificate]):
        assert judged.findings(shown, "drive7.plant.local", "TLSv1.3", ANCHORS, NOW)


def _grown(one: x509.Certificate) -> None:
    """As the paths of devices are grown: an anchor, a CA below it, a device."""
    root = path.anchor(ROOT.certificate)
    middle = path.subordinate(root, CA.certificate)
    for step in (
        lambda: path.anchor(one),
        lambda: path.subordinate(root, one),
        lambda: path.device(middle, one),
    ):
        try:
            step()
        except (Untrusted, *UNREADABLE):  # as its documentation says: `search` catches them
            continue


def _named(one: x509.Certificate) -> None:
    identity.of_certificate(one)


def _received(one: x509.Certificate) -> None:
    for answer, known in (([MINE], [one, PLANT]), ([MINE, one], [PLANT])):
        receive.judge(answer, known, DRAFT, NOW)


JUDGES: tuple[Callable[[x509.Certificate], None], ...] = (
    _as_leaf,
    _as_issuer,
    _in_chain,
    _presented,
    _grown,
    _named,
    _received,
)


PATH = path.device(
    path.subordinate(path.anchor(ROOT.certificate), CA.certificate), LEAF.certificate
)


def test_lists_held_against_a_path() -> None:
    """A spoilt list is refused as it is read, or as it is not signed by the CA it names."""
    with pytest.raises(Untrusted, match="is revoked"):
        _held_against(CRL)
    for changed in flipped(CRL):
        survives(_covers_nothing, changed)


def _held_against(crl: bytes) -> revocation.Covered | None:
    return revocation.Revocations(revocation.read(crl, "x")).check(PATH)


def _covers_nothing(crl: bytes) -> None:
    assert _held_against(crl) is None


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__.strip("_"))
@pytest.mark.parametrize("original", [LEAF, CA, CONSTRAINED], ids=["leaf", "CA", "constrained"])
def test_every_bit_flipped(
    judge: Callable[[x509.Certificate], None], original: vendor.Party
) -> None:
    """One in three where it parses at all."""
    for changed in flipped(original.der, step=3):
        one = _parsed(changed)
        if one is not None:
            survives(functools.partial(_judged, judge, one), changed)


def _judged(judge: Callable[[x509.Certificate], None], one: x509.Certificate, _: bytes) -> None:
    judge(one)


def test_what_devices_present(tmp_path: Path) -> None:
    """To a server that knows the vendor: proved, or a reason in words, bit by bit."""
    with est.serving(tmp_path, est.ASK) as server:
        vendor.install(server.folder.path / "vendors", "acme", ROOT)
        for original, place in ((LEAF.der, 0), (CA.der, 1)):
            for changed in flipped(original, step=5):
                shown = [LEAF.der, CA.der]
                shown[place] = changed
                found = look_at(shown, identity.DEFAULT, server.sources, NOW)
                assert found.kind
