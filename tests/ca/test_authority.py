"""The CA: which key it takes, its own certificate, its serial numbers, the profiles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.ca import profile
from cipsec.ca.authority import Authority, new_serial, self_signed
from cipsec.errors import Malformed
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.pki.names import parse_subject, show_serial
from tests.support import ca

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LINE_4 = parse_subject("CN=Line 4")
YEAR = timedelta(days=365)


def test_key_and_certificate_belong_together() -> None:
    """A CA folder with another CA's key does not open."""
    one, other = keys.generate(KeyType.EC_P256), keys.generate(KeyType.EC_P256)
    certificate = self_signed(LINE_4, one, now=NOW, validity=YEAR)
    Authority(certificate, one)
    with pytest.raises(Malformed, match="do not belong together"):
        Authority(certificate, other)


@pytest.mark.parametrize("key_type", list(KeyType))
def test_root_certificate(key_type: KeyType) -> None:
    """The root signs end-entity certificates and CRLs, and begins a day ago."""
    key = keys.generate(key_type)
    root = self_signed(LINE_4, key, now=NOW.replace(microsecond=5), validity=YEAR)
    root.verify_directly_issued_by(root)
    assert root.not_valid_before_utc == NOW - timedelta(days=1)
    assert root.not_valid_after_utc == NOW + YEAR
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature


def test_it_knows_its_own_signature() -> None:
    """A certificate is this CA's when its key signed it, not when it says so."""
    mine, lookalike = [keys.generate(KeyType.EC_P256) for _ in range(2)]
    own = Authority(self_signed(LINE_4, mine, now=NOW, validity=YEAR), mine)
    false = Authority(self_signed(LINE_4, lookalike, now=NOW, validity=YEAR), lookalike)
    kind = profile.endpoint(YEAR, timedelta())
    ours = own.issue(ca.request(), kind, now=NOW)
    theirs = false.issue(ca.request(), kind, now=NOW)
    assert own.signed(x509.load_der_x509_certificate(ours.der))
    assert not own.signed(x509.load_der_x509_certificate(theirs.der))


def test_serial_numbers_are_ordered_in_time_and_random() -> None:
    """48 bits of clock, 80 random bits: later is greater, also as text, and none comes twice."""
    moments = [NOW + timedelta(milliseconds=n) for n in range(0, 5000, 5)]
    serials = [new_serial(moment) for moment in moments]
    texts = [show_serial(serial) for serial in serials]
    assert serials == sorted(serials)
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {32}
    assert all(s >> 80 == int(m.timestamp() * 1000) for s, m in zip(serials, moments, strict=True))
    at_once = {new_serial(NOW) for _ in range(5000)}
    assert len(at_once) == 5000
    low = [serial & (1 << 80) - 1 for serial in at_once]
    assert all(0.4 < sum(value >> bit & 1 for value in low) / 5000 < 0.6 for bit in range(80))
    assert all(0 < serial < 1 << 159 for serial in at_once)  # RFC 5280 section 4.1.2.2


def test_endpoints_are_server_and_client() -> None:
    """CIP endpoints are target and originator; the EST server is a server and a CMC RA."""
    endpoint = profile.endpoint(YEAR, timedelta())
    assert endpoint.usages == (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    server = profile.est_server(timedelta(hours=24))
    assert server.usages == (ExtendedKeyUsageOID.SERVER_AUTH, profile.CMC_RA)
    assert profile.CMC_RA.dotted_string == "1.3.6.1.5.5.7.3.28"
    assert server.validity <= timedelta(days=397)
    assert endpoint.kind != server.kind


def test_periods_end_with_time_itself() -> None:
    """A CA until the last second of 9999, which has no well-defined end, breaks no arithmetic."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    form = profile.endpoint(timedelta(days=730), timedelta(hours=24))
    start = datetime(9999, 6, 1, 0, 0, 0, 7, tzinfo=UTC)
    assert form.period(start, last) == (datetime(9999, 5, 31, tzinfo=UTC), last)
    leap = datetime(2028, 2, 29, tzinfo=UTC)
    assert form.period(leap, last)[1] == datetime(2030, 2, 28, tzinfo=UTC)
