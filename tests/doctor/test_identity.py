"""An endpoint's identity: a real one, enrolled on loopback, and each way of being not so."""

from __future__ import annotations

import ipaddress
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.doctor import identity
from cipsec.doctor.finding import examine
from cipsec.endpoint.folder import Folder
from cipsec.errors import Pending
from cipsec.pki import keys
from tests.endpoint.acting import WAIT, get, wish
from tests.support import vendor
from tests.support.canned import EstServer

from .looking import FAIL, OK, WARN, at_identity, brief

_CHECKS = list(identity.CHECKS)


def test_whole(folder: Folder, server: EstServer) -> None:
    """Of a new identity nothing is wrong, and looking leaves it as it was."""
    get(folder, wish(server))
    before = sorted(str(path) for path in folder.path.rglob("*"))
    found = [one for check in _CHECKS for one in at_identity(folder, check)]
    assert [one.check for one in found] == _CHECKS
    assert {one.verdict for one in found} == {OK}, found
    assert sorted(str(path) for path in folder.path.rglob("*")) == before


def test_no_certificate_yet(folder: Folder, server: EstServer) -> None:
    """A request that waits is there, and nothing else."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False)
    [found] = at_identity(folder, "identity")
    assert (found.verdict, found.hint) == (WARN, "cipsec enroll")
    [found] = at_identity(folder, "identity request")
    assert found.verdict is OK
    assert found.detail.startswith("request 0123456789ab at ")
    assert found.hint == "cipsec enroll"
    [found] = at_identity(folder, "identity request", later=timedelta(days=2))
    assert found.verdict is WARN
    assert "waits since 2d" in found.detail
    for check in ("identity certificate", "identity trust", "identity addresses"):
        assert at_identity(folder, check) == []
    (folder.path / "next" / "key.pem").chmod(0o644)
    assert [one.verdict for one in at_identity(folder, "identity files")] == [FAIL]


def test_interrupted(folder: Folder, server: EstServer) -> None:
    """A request that no server has accepted goes on with the same command."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False)
    state = folder.path / "next" / "state.json"
    text = state.read_text().replace('"retry_after": 1', '"retry_after": null')
    state.write_text(text)
    [found] = at_identity(folder, "identity request")
    assert found.verdict is WARN
    assert found.detail.endswith("was interrupted")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_files(folder: Folder, server: EstServer) -> None:
    """A key that others read, a folder that others change."""
    got = get(folder, wish(server))
    got.key_file.chmod(0o640)
    folder.path.chmod(0o777)
    found = at_identity(folder, "identity files")
    assert [one.verdict for one in found] == [FAIL, FAIL]
    assert [one.hint for one in found] == [f"chmod 700 {folder.path}", f"chmod 600 {got.key_file}"]


def test_validity(folder: Folder, server: EstServer) -> None:
    """Young, due, over, and not yet valid where the clock is behind."""
    held = get(folder, wish(server)).issued.certificate
    begin, end = held.not_valid_before_utc, held.not_valid_after_utc
    for now, verdict, hint in (
        (begin + (end - begin) * 0.5, OK, None),
        (begin + (end - begin) * 0.9, WARN, "cipsec renew"),
        (end + timedelta(seconds=1), FAIL, f"cipsec enroll -f --identity {folder.path}"),
        (begin - timedelta(seconds=1), FAIL, "date -u"),
        (datetime(1970, 1, 1, tzinfo=UTC), FAIL, "date -u"),
    ):
        [found] = at_identity(folder, "identity certificate", now=now)
        assert (found.verdict, found.hint) == (verdict, hint)


def test_trust(folder: Folder, server: EstServer) -> None:
    """Another CA in trust.pem; that the certificate is over is not said twice."""
    got = get(folder, wish(server))
    end = got.issued.certificate.not_valid_after_utc
    after = at_identity(folder, "identity trust", now=end + timedelta(days=1))
    assert [one.verdict for one in after] == [OK]
    got.trust_file.resolve().write_bytes(vendor.ca("Another").pem)
    [found] = at_identity(folder, "identity trust")
    assert (found.verdict, found.hint) == (FAIL, f"cipsec enroll -f --identity {folder.path}")
    assert "no trusted CA issued" in found.detail


def test_key_of_another(folder: Folder, server: EstServer) -> None:
    """A key that somebody put in place of the right one."""
    got = get(folder, wish(server))
    other = keys.generate(keys.KeyType.EC_P256)
    got.key_file.resolve().write_bytes(keys.to_pem(other))
    [found] = at_identity(folder, "identity")
    assert found.verdict is FAIL
    assert "do not match" in found.detail
    assert [one.verdict for one in at_identity(folder, "identity request")] == [OK]


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "trust.pem", "state.json"])
def test_damage(folder: Folder, server: EstServer, name: str) -> None:
    """Noise in any of the files, or none of them, ends no other check."""
    get(folder, wish(server))
    path = folder.path / "1" / name
    for damage in (lambda: path.write_bytes(b"\xff\x1b[2K"), path.unlink):
        damage()
        found = [one for check in _CHECKS for one in at_identity(folder, check)]
        assert found[0].verdict is FAIL
        assert {one.verdict for one in found[1:]} == {OK}


def test_addresses(folder: Folder, server: EstServer) -> None:
    """An address that this machine had: a PLC would refuse its certificate."""
    got = get(folder, wish(server))
    assert [one.verdict for one in at_identity(folder, "identity addresses")] == [OK]
    lost = x509.SubjectAlternativeName(
        [
            x509.IPAddress(ipaddress.ip_address("198.51.100.77")),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_network("198.51.100.0/24")),
        ]
    )
    made = vendor.issue("CN=PC", key=got.draft.key, extensions=[(lost, False)])
    pem = made.certificate.public_bytes(Encoding.PEM)
    got.certificate_file.resolve().write_bytes(pem)
    [found] = at_identity(folder, "identity addresses")
    assert found.verdict is WARN
    assert found.detail == "the certificate names ip:198.51.100.77, which this machine has not"
    here = frozenset({ipaddress.ip_address("198.51.100.77")})
    endpoint = identity.at(folder, times.now())
    endpoint = identity.Endpoint(folder, endpoint.now, endpoint.identity, here)
    [found] = examine({"a": identity.addresses}, endpoint)
    assert brief([found]) == [(OK, "this machine has the addresses that the certificate names")]


def test_current_leads_nowhere(folder: Folder, server: EstServer) -> None:
    """The folder in use is gone: said with what to type."""
    get(folder, wish(server))
    shutil.rmtree(folder.path / "1")
    [found] = at_identity(folder, "identity")
    anew = f"for a new identity: cipsec enroll -f --identity {folder.path}"
    assert (found.verdict, found.hint) == (FAIL, anew)
