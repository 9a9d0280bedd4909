"""The crls-only PKCS#7 of /crls: what openssl makes, in lines and in one line."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import crl
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca.crl import Entry
from cipsec.est import crls
from cipsec.pki import keys, pkcs7
from cipsec.pki.names import parse_subject
from tests.support import programs

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def made(name: str, entries: int) -> bytes:
    """Return a list in DER."""
    key = keys.generate(keys.KeyType.EC_P256)
    own = self_signed(parse_subject(f"CN={name}"), key, now=NOW, validity=timedelta(days=900))
    listed = crl.encoded(Entry(n + 1, NOW, "superseded") for n in range(entries))
    authority = Authority(own, key)
    return authority.revocation_list(
        listed, authority.terms(1, now=NOW, validity=timedelta(days=7))
    )


@pytest.mark.programs
@pytest.mark.parametrize("entries", [0, 1, 5000])
def test_openssl_reads_it(entries: int) -> None:
    """One list, and two; each comes out as it went in."""
    programs.need("openssl")
    lists = [made("Line 4", entries), made("Line 4 before", 3)]
    for chosen in (lists[:1], lists):
        whole = pkcs7.of_lists(chosen)
        shown = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=whole)
        blocks = shown.stdout.split(b"-----END X509 CRL-----\n")[:-1]
        found = {
            x509.load_pem_x509_crl(one + b"-----END X509 CRL-----\n").public_bytes(Encoding.DER)
            for one in blocks
        }
        assert found == set(chosen)


@pytest.mark.programs
def test_bytes_are_openssls(tmp_path: Path) -> None:
    """`openssl crl2pkcs7` makes the same of the same list."""
    programs.need("openssl")
    (tmp_path / "a.crl").write_bytes(made("Line 4", 300))
    done = programs.run("openssl", "crl2pkcs7", "-in", tmp_path / "a.crl", "-inform", "DER",
                        "-outform", "DER")  # fmt: skip
    assert done.stdout == pkcs7.of_lists([(tmp_path / "a.crl").read_bytes()])


@pytest.mark.parametrize("entries", [0, 2, 3000])
def test_layouts(entries: int) -> None:
    """Lines of 64 columns, and one line; both the same octets, with a line feed at the end."""
    lists = [made("Line 4", entries)]
    bodies = crls.bodies(lists)
    assert base64.b64decode(bodies.lines) == base64.b64decode(bodies.one_line)
    assert base64.b64decode(bodies.lines) == pkcs7.of_lists(lists)
    lines = bodies.lines.split(b"\n")
    assert {len(line) for line in lines[:-2]} == {64}
    assert (lines[-1], bodies.one_line.count(b"\n")) == (b"", 1)
    assert bodies.one_line.endswith(b"\n")
