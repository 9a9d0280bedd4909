"""`cipsec cert verify` with a revocation list of half a million entries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cipsec import times
from cipsec.ca import authority
from cipsec.ca.authority import Authority
from cipsec.ca.profile import endpoint
from tests.support import ca, der, upper

from .conftest import Cipsec, Ran

_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_ENTRIES = 520_000  # 18 MB, more than other files may have
_FIRST = 1 << 126


def _long(*serials: int) -> bytes:
    """A list with the serial numbers behind half a million others, signed by the tests' key."""
    when = der.tlv(0x17, b"260101000000Z")
    others = range(_FIRST, _FIRST + _ENTRIES)
    numbers = (der.tlv(0x02, n.to_bytes(16).lstrip(b"\0")) for n in (*others, *serials))
    algorithm = der.sequence(der.oid(_ECDSA_SHA256))
    period = when + der.tlv(0x18, b"20990101000000Z")
    entries = b"".join(der.sequence(number, when) for number in numbers)
    info = der.sequence(b"\x02\x01\x01", algorithm, der.DRIVE, period, der.sequence(entries))
    signature = der.KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    return der.sequence(info, algorithm, der.tlv(0x03, b"\0" + signature))


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A folder with `ca.pem`, whose key is the tests', and the certificate `c.pem` that it made."""
    name, now = x509.Name.from_rfc4514_string("CN=Drive 7"), times.now()
    made = authority.self_signed(name, der.KEY, now=now, validity=timedelta(days=9))
    upper.write(tmp_path / "ca.pem", made)
    profile = endpoint(timedelta(days=5), timedelta())
    issued = Authority(made, der.KEY).issue(ca.request(), profile, now=now)
    upper.write(tmp_path / "c.pem", x509.load_der_x509_certificate(issued.der))
    return tmp_path


def test_a_long_list(cipsec: Cipsec, plant: Path) -> None:
    """It is read whole, also its last entry; shown, it is summed up."""
    serial = x509.load_pem_x509_certificate((plant / "c.pem").read_bytes()).serial_number
    data = _long(serial)
    assert len(data) > 16 * 1024 * 1024
    (plant / "list.pem").write_bytes(der.pem("X509 CRL", data))
    ran = cipsec("cert", "show", plant / "list.pem", "--json")
    [shown] = ran.json["crls"]
    assert (ran.code, shown["revoked"]) == (0, _ENTRIES + 1)
    ran = _verified(cipsec, plant, plant / "list.pem")
    [found] = [one for one in ran.json["findings"] if one["check"] == "revocation"]
    assert (ran.code, found["verdict"]) == (10, "fail")
    assert "is revoked since 2026-01-01T00:00:00Z" in found["detail"]


def _verified(cipsec: Cipsec, plant: Path, lists: Path) -> Ran:
    argv = ("--trust", plant / "ca.pem", "--crl", lists, "--json")
    return cipsec("cert", "verify", plant / "c.pem", *argv)


def test_what_is_longer_is_said_to_be(cipsec: Cipsec, plant: Path) -> None:
    """In one line; a gigabyte by mistake is not read."""
    with (plant / "x").open("wb") as file:
        file.truncate(1 << 30)
    ran = _verified(cipsec, plant, plant / "x")
    assert ran.code == 6
    assert ran.json["error"]["message"] == f"{plant / 'x'} is larger than 100663296 bytes"
