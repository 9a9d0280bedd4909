"""The judgement of what came, on certificates with flipped bytes: kept whole, or a clear no."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec import times
from cipsec.endpoint import receive, trust
from cipsec.errors import BadAnswer, Untrusted
from cipsec.est import answers
from cipsec.pki.names import show_name
from tests.endpoint import killed
from tests.support.canned import LOCALHOST, named

DRAFT = killed.draft()
LEAF = killed.PLANT.issue(DRAFT.key.public_key(), named("Drive 7"), sans=LOCALHOST)
CA = killed.PLANT.certificate

_flips = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.sampled_from([LEAF, CA]), _flips)
def test_flipped_bytes(original: object, flips: list[tuple[int, int]]) -> None:
    """No byte of a certificate, ours or the CA's, leads anywhere but to yes or an error of ours."""
    certificate = LEAF if original is LEAF else CA
    der = bytearray(certificate.public_bytes(Encoding.DER))
    for position, value in flips:
        der[position % len(der)] = value
    try:
        found = answers.certificates(answers.Answer(200, {}, bytes(der)))
        for one in found:
            assert isinstance(show_name(one.subject), str)
            trust.is_ca(one)
        mine, known = (found, [CA]) if certificate is LEAF else ([LEAF], found)
        issued = receive.judge(mine, known, DRAFT, times.now())
        assert list(receive.differences(DRAFT.request, issued.certificate)) == []
    except (BadAnswer, Untrusted):
        return
