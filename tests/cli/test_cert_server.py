"""`cipsec cert show HOST:PORT`: servers as they are, seen whole, and nothing sent to them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cipsec.pki import keys
from cipsec.pki.names import parse_san
from tests.support import programs
from tests.support.vendor import SERVER_AUTH, Party, ca, issue

from .conftest import Cipsec

pytestmark = pytest.mark.programs

ROOT = ca("Plant")
SAN = x509.SubjectAlternativeName([parse_san("dns:localhost"), parse_san("ip:127.0.0.1")])
DRIVE = issue("CN=Drive 7", ROOT, extensions=[(SAN, False), (SERVER_AUTH, False)])
SELF_SIGNED = issue("serialNumber=0001:6040C8F2,CN=Drive 8")
CIP = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256")


@contextlib.contextmanager
def serving(*options: str) -> Iterator[str]:
    """Run `openssl s_server`; yield HOST:PORT."""
    programs.need("openssl")
    pipe, silent = subprocess.PIPE, subprocess.DEVNULL  # at the end of its stdin it would end
    command = ("openssl", "s_server", "-accept", "127.0.0.1:0", *options)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=silent) as running:
        try:
            assert running.stdout
            accepting = next((n for n in running.stdout if n.startswith(b"ACCEPT")), None)
            assert accepting, "openssl does not serve"
            yield f"127.0.0.1:{int(accepting.rpartition(b':')[2])}"
        finally:
            running.kill()


@contextlib.contextmanager
def openssl(folder: Path, chain: Sequence[Party], *options: str) -> Iterator[str]:
    """Run `openssl s_server` with that chain; yield HOST:PORT."""
    leaf, rest = folder / "leaf.pem", folder / "rest.pem"
    leaf.write_bytes(chain[0].pem + keys.to_pem(chain[0].key))
    rest.write_bytes(b"".join(party.pem for party in chain[1:]))
    more = ("-cert_chain", str(rest)) if len(chain) > 1 else ()
    with serving("-cert", str(leaf), *more, *options) as server:
        yield server


def _against(document: Any) -> list[tuple[str, str]]:
    return [(f["check"], f["verdict"]) for f in document["findings"] if f["verdict"] != "ok"]


def test_a_good_server_has_nothing_against_it(cipsec: Cipsec, tmp_path: Path) -> None:
    """And --trust says where it leads."""
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    with openssl(tmp_path, [DRIVE, ROOT]) as server:
        ran = cipsec("cert", "show", server)
        assert ran.code == 0
        assert "subject              CN=Drive 7\n" in ran.out
        assert ran.err == (
            "cipsec: 1 more in the chain; add --chain to see it\n"
            "cipsec: nothing is wrong with it; whether to trust it tells --trust FILE\n"
        )
        shown = cipsec("cert", "show", server, "--json", "--chain", "--trust", tmp_path / "ca.pem")
    assert (shown.code, shown.json["tls_version"], _against(shown.json)) == (0, "TLSv1.3", [])
    assert shown.json["findings"][-1]["detail"] == "leads to CN=Plant,O=Acme"
    assert [c["subject"] for c in shown.json["certificates"]] == ["CN=Drive 7", "CN=Plant,O=Acme"]


@pytest.mark.parametrize("version", [CIP, ("-tls1_3",)], ids=["TLS 1.2 with CBC", "TLS 1.3"])
def test_a_device_that_wants_a_certificate_is_seen_all_the_same(
    cipsec: Cipsec, tmp_path: Path, version: tuple[str, ...]
) -> None:
    """As on port 2221; TLS 1.3 refuses after the handshake, TLS 1.2 within it."""
    with openssl(tmp_path, [DRIVE, ROOT], "-Verify", "1", *version) as server:
        ran = cipsec("cert", "show", server, "--json")
    assert ran.code == 0
    assert "cipsec: it asks for a client certificate; none was sent\n" in ran.err
    assert ran.json["client_certificate_asked"] is True
    assert bool(ran.json["handshake_ended"]) is (version == CIP)
    assert (ran.json["certificates"][0]["subject"], _against(ran.json)) == ("CN=Drive 7", [])


def test_what_is_wrong_is_printed_below(cipsec: Cipsec, tmp_path: Path) -> None:
    """A default certificate: self-signed, without a name."""
    with openssl(tmp_path, [SELF_SIGNED]) as server:
        ran = cipsec("cert", "show", server)
    assert ran.code == 0
    told = [row for row in ran.rows if len(row) > 1]
    assert [row[:2] for row in told] == [["name", "warn"], ["chain", "warn"]]
    assert told[1][3] == "compare its sha256 with what the device or its paper says"


def test_a_server_that_leads_elsewhere_is_exit_10(cipsec: Cipsec, tmp_path: Path) -> None:
    """The question was whether it is of this CA."""
    (tmp_path / "ca.pem").write_bytes(ca("Other").pem)
    with openssl(tmp_path, [DRIVE, ROOT]) as server:
        ran = cipsec("cert", "show", server, "--trust", tmp_path / "ca.pem", "--json")
    assert (ran.code, _against(ran.json)) == (10, [("path", "fail")])


@pytest.mark.parametrize("options", [("-tls1_1",), ("-tls1",), (*CIP[:1], "-cipher", "eNULL")])
def test_old_servers_are_seen(cipsec: Cipsec, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Old versions, and suites that only protect against change; nothing is sent to them."""
    suites = "ALL:@SECLEVEL=0" if "-cipher" not in options else "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"
    with openssl(tmp_path, [DRIVE], *options, "-cipher", suites) as server:
        ran = cipsec("cert", "show", server, "--json")
    assert (ran.code, len(ran.json["certificates"])) == (0, 1)


@pytest.mark.parametrize("number", [150, 900])
def test_chains_without_end(cipsec: Cipsec, tmp_path: Path, number: int) -> None:
    """Hundreds are counted; what OpenSSL does not take is refused in words."""
    with openssl(tmp_path, [DRIVE, *[ROOT] * number]) as server:
        ran = cipsec("cert", "show", server, "--json")
    if number == 150:
        assert (ran.code, ran.json["presented"]) == (0, 151)
    else:
        assert ran.code == 4
        assert "it sends more certificates than are read" in ran.err


@pytest.mark.parametrize("kind", ["ed25519", "dsa", "rsa-1024"])
def test_odd_keys_are_seen(cipsec: Cipsec, tmp_path: Path, kind: str) -> None:
    """Of kinds and sizes that no certificate is made for here."""
    programs.need("openssl")
    key, certificate = tmp_path / "k", tmp_path / "c"
    make: dict[str, tuple[str, ...]] = {
        "ed25519": ("genpkey", "-out", str(key), "-algorithm", "ed25519"),
        "dsa": ("dsaparam", "-genkey", "-out", str(key), "2048"),
        "rsa-1024": ("genrsa", "-out", str(key), "1024"),
    }
    programs.run("openssl", *make[kind])
    programs.run(
        "openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=a", "-out", certificate
    )
    options = ("-cert", str(certificate), "-key", str(key), "-cipher", "ALL:@SECLEVEL=0")
    tls = ("-tls1_2",) if kind == "dsa" else ()
    with serving(*options, *tls) as server:
        ran = cipsec("cert", "show", server, "--json")
    assert (ran.code, ran.json["certificates"][0]["key_type"]) == (0, kind)
    assert "key" in dict(_against(ran.json))


def test_trust_of_a_file_is_another_command(cipsec: Cipsec, tmp_path: Path) -> None:
    """And the hint is that command."""
    (tmp_path / "x.pem").write_bytes(DRIVE.pem)
    ran = cipsec("cert", "show", tmp_path / "x.pem", "--trust", "our ca.pem")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[1] == (
        f"cipsec: hint: cipsec cert verify {tmp_path}/x.pem --trust 'our ca.pem'"
    )
