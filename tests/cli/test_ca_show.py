"""`cipsec ca show`: the CA, a request, a certificate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from cipsec import times
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.pki import csr, load
from tests.support import ca

from .conftest import Cipsec


def test_the_ca(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Without ID the CA itself, with what it holds."""
    ca.ask(ca_folder)
    shown = on_ca("ca", "show", "--json").json["ca"]
    assert shown["directory"] == str(ca_folder.path)
    assert shown["subject"] == "CN=Line 4"
    assert shown["sha256"] == fingerprint(ca_folder.certificate())
    assert shown["key_encrypted"] is False
    assert (shown["certificates"], shown["pending"]) == (0, 1)
    people = on_ca("ca", "show")
    assert people.code == 0
    assert people.out.split("sha256")[1].split()[0] == shown["sha256"]


def test_a_request(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Everything that is asked for, what is proved, what is only claimed, and the CSR."""
    asked = ca.request(sans=["dns:drive7.local", "ip:192.0.2.7", "uri:urn:x"])
    identifier = ca.ask(ca_folder, asked)
    ran = on_ca("ca", "show", identifier[:8], "--json")
    assert ran.code == 0
    shown = ran.json["request"]
    assert shown["id"] == identifier
    assert shown["san"] == ["dns:drive7.local", "ip:192.0.2.7", "uri:urn:x"]
    assert shown["key_type"] == "ec-p256"
    assert shown["proved"] == "nothing"
    assert shown["claimed"] == "device 0001:6040C8F2"
    assert shown["decided_by"] is None
    assert csr.parse(load.request(shown["csr"].encode(), "csr")).spki == asked.spki
    on_ca("ca", "reject", identifier, "--note", "not ours")
    shown = on_ca("ca", "show", identifier, "--json").json["request"]
    assert (shown["state"], shown["decided_by"], shown["note"]) == (
        "rejected",
        "operator",
        "not ours",
    )
    people = on_ca("ca", "show", identifier)
    assert people.code == 0
    assert "dns:drive7.local" in people.out
    assert "BEGIN" not in people.out


def test_a_certificate(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """What it says and why it was granted; by serial number, prefix, or as openssl prints it."""
    asked = ca.request(sans=["dns:drive7.local"])
    identifier = ca.ask(ca_folder, asked)
    on_ca("ca", "approve", identifier, "--note", "seen on site")
    issued = x509.load_der_x509_certificate(ca.receive(ca_folder, asked))
    serial = f"{issued.serial_number:032x}"
    shown = on_ca("ca", "show", serial, "--json").json["certificate"]
    assert shown["serial"] == serial
    assert shown["san"] == ["dns:drive7.local"]
    assert shown["extended_key_usage"] == ["serverAuth", "clientAuth"]
    assert (shown["status"], shown["rule"]) == ("valid", "everyone else")
    assert shown["reason"] == "approved by operator: seen on site"
    assert shown["enrollment"] == identifier
    assert shown["device"] == "0001:6040C8F2"
    assert load.certificates(shown["pem"].encode(), "pem") == [issued]
    with_colons = ":".join(serial[i : i + 2] for i in range(0, 32, 2)).upper()
    for given in (serial[:16], with_colons):
        assert on_ca("ca", "show", given, "--json").json["certificate"]["serial"] == serial
    people = on_ca("ca", "show", serial)
    assert "reason               approved by operator: seen on site\n" in people.out
    granted = on_ca("ca", "show", identifier, "--json").json["request"]
    assert (granted["state"], granted["certificate"]) == ("granted", serial)


def test_an_expired_certificate(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The end is in the past, and it is said so."""
    now = times.now() - timedelta(days=1000)
    asked = ca.request()
    on_ca("ca", "approve", ca.ask(ca_folder, asked, now=now))
    ca.receive(ca_folder, asked, now=now)
    [[serial, *_]] = on_ca("ca", "list").rows
    ran = on_ca("ca", "show", serial)
    assert "(expired)\n" in ran.out
    assert on_ca("ca", "show", serial, "--json").json["certificate"]["status"] == "expired"


@pytest.mark.parametrize(
    ("given", "code"),
    [("0123456789abcdef", 3), ("short", 2), ("0123456", 2), ("Drive 7 at the wall", 2), ("", 2)],
)
def test_not_there(on_ca: Cipsec, given: str, code: int) -> None:
    """Unknown is exit 3, what cannot be an id is exit 2; both with a hint."""
    ran = on_ca("ca", "show", given)
    assert (ran.code, ran.out) == (code, "")
    assert "cipsec: hint: " in ran.err


def test_ambiguous(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Digits that begin two ids are refused: more are needed."""
    asked = [ca.ask(ca_folder), ca.ask(ca_folder)]
    database = ca_folder.store()
    for number, identifier in enumerate(asked):
        pair = (f"abcdef01{number:056x}", identifier)
        database.connection().execute("UPDATE requests SET id = ? WHERE id = ?", pair)
    database.close()
    for verb in ("show", "approve", "reject"):
        ran = on_ca("ca", verb, "abcdef01")
        assert ran.code == 2
        assert ran.err.startswith("cipsec: error: abcdef01 begins more than one id")
