"""Which chains prove a vendor's device, and what each other one is refused for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cipsec.errors import Untrusted
from cipsec.pki import path
from cipsec.pki.search import Anchors
from tests.support import programs
from tests.vendors import opinions
from tests.vendors.cases import CASES, NOW, OPENSSL_DIFFERS, VERIFIER_DIFFERS, Case

# cryptography warns of serial numbers that are not positive, and of names that are too long.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def find(case: Case) -> tuple[list[path.DevicePath], str]:
    """Search as the server does."""
    anchors = Anchors(path.anchor(party.certificate) for party in case.anchors)
    try:
        return anchors.find([party.der for party in case.chain])
    except Untrusted as error:
        return [], error.message


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chain(case: Case) -> None:
    """Each chain is a proof, or is refused with a sentence that says why."""
    paths, why = find(case)
    if case.refusal is None:
        assert paths, why
        assert paths[0].leaf == case.chain[0].certificate
        assert paths[0].authority.path[-1] in [party.certificate for party in case.anchors]
    else:
        assert not paths
        assert re.search(case.refusal, why), why


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_refusal_names_an_anchor(case: Case) -> None:
    """Unless it was presented, or is named in what was: the sentence goes to strangers."""
    _, why = find(case)
    for anchor in case.anchors:
        if case.refusal is not None and anchor not in case.chain:
            common_name = anchor.certificate.subject.rfc4514_string()
            assert common_name not in why


@pytest.mark.programs
@pytest.mark.parametrize("case", CASES, ids=str)
def test_openssl_agrees(case: Case, tmp_path: Path) -> None:
    """A second opinion; where it is known to differ, it still does."""
    programs.need("openssl")
    agrees = case.name not in OPENSSL_DIFFERS
    accepted = case.refusal is None
    chain = [party.der for party in case.chain]
    assert opinions.openssl(tmp_path, chain, case.anchors) == (accepted == agrees)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cryptographys_verifier_agrees(case: Case) -> None:
    """A second opinion at a time when the whole path is valid; where it differs, it still does."""
    paths, _ = find(case)
    accepted = case.refusal is None
    at = paths[0].end if accepted else NOW
    chain = [party.der for party in case.chain]
    agrees = case.name not in VERIFIER_DIFFERS
    assert opinions.verifier(chain, case.anchors, at) == (accepted == agrees)


def test_the_table() -> None:
    """Each case has a name of its own, and each difference its case."""
    named = [case.name for case in CASES]
    assert len(set(named)) == len(named)
    assert {*OPENSSL_DIFFERS, *VERIFIER_DIFFERS} <= set(named)
