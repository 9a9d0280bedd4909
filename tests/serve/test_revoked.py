"""Revoked while the server runs: no enrollment more, on no connection, kept, resumed or new.

`ca revoke` runs as a process of its own beside the server, as an operator has it.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.est import wire
from cipsec.pki import csr, keys
from cipsec.pki.names import parse_subject
from tests.support import ca, programs, serving
from tests.support.serving import Serving

_RULES = """
name = "Line 4"
[[rule]]
name = "renewal"
when = { own = true }
then = "grant"
[[rule]]
name = "card"
when = { provisioning = true }
then = "grant"
"""
_DEVICE = "0001:00000007"


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a certificate, and the connections that it is shown on."""

    server: Serving
    certificate: Path
    key: Path
    subject: str

    def connect(self) -> http.client.HTTPSConnection:
        """Connect, and show the certificate."""
        context = ssl.create_default_context(cafile=self.server.anchor)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(self.certificate, self.key)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, timeout=60, context=context
        )

    def request(self) -> bytes:
        """Return the CSR for another certificate of the same name, in base64."""
        own = keys.from_pem(self.key.read_bytes())
        built = csr.build(own, parse_subject(self.subject))
        return base64.encodebytes(built.public_bytes(Encoding.DER))

    def ask(self, connection: http.client.HTTPSConnection, operation: str) -> tuple[int, bytes]:
        """Ask once, on a connection that stays open."""
        headers = {"Content-Type": "application/pkcs10"}
        connection.request("POST", f"{wire.WELL_KNOWN}/{operation}", self.request(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """A server that renews, and grants to cards."""
    made = ca.make(tmp_path / "ca", policy="provisioning")
    made.config_file.write_text(_RULES)
    with serving.serving(made.path) as running:
        yield running


def _issued(server: Serving, folder: Path, subject: str) -> tuple[Holder, str]:
    """Let the operator sign a device's certificate; return its holder and the serial number."""
    own = keys.generate(keys.KeyType.EC_P256)
    (folder / "device.key").write_bytes(keys.to_pem(own))
    asked = csr.build(own, parse_subject(subject)).public_bytes(Encoding.PEM)
    (folder / "device.csr").write_bytes(asked)
    target = folder / "device.pem"
    made = serving.result("ca", "issue", folder / "device.csr", "--ca-dir", server.ca, "-o", target)
    holder = Holder(server, target, folder / "device.key", subject)
    return holder, made["certificate"]["serial"]


def _by_serial(server: Serving, folder: Path) -> tuple[Holder, str, list[str]]:
    holder, serial = _issued(server, folder, "CN=Drive 7")
    return holder, "simplereenroll", [serial]


def _by_device(server: Serving, folder: Path) -> tuple[Holder, str, list[str]]:
    holder, _ = _issued(server, folder, f"CN=Drive 7,serialNumber={_DEVICE}")
    return holder, "simplereenroll", ["--device", _DEVICE]


def _by_credential(server: Serving, folder: Path) -> tuple[Holder, str, list[str]]:
    card = folder / "card"
    serving.result("ca", "provision", "card", "--uses", "9", "--ca-dir", server.ca, "-o", card)
    holder = Holder(server, card / "certificate.pem", card / "key.pem", "CN=PC 1")
    return holder, "simpleenroll", ["--credential", "card"]


def _what_it_enrolled(server: Serving, folder: Path) -> tuple[Holder, str, list[str]]:
    card, operation, chosen = _by_credential(server, folder)
    own = keys.generate(keys.KeyType.EC_P256)
    (folder / "pc.key").write_bytes(keys.to_pem(own))
    asking = Holder(server, card.certificate, card.key, card.subject)
    connection = asking.connect()
    body = base64.encodebytes(csr.build(own, parse_subject("CN=PC 1")).public_bytes(Encoding.DER))
    headers = {"Content-Type": "application/pkcs10"}
    connection.request("POST", f"{wire.WELL_KNOWN}/{operation}", body, headers)
    [made] = wire.parse_certs_only(base64.b64decode(connection.getresponse().read()))
    connection.close()
    (folder / "pc.pem").write_bytes(made.public_bytes(Encoding.PEM))
    holder = Holder(server, folder / "pc.pem", folder / "pc.key", "CN=PC 1")
    return holder, "simplereenroll", [*chosen, "--with-enrolled"]


Way = Callable[[Serving, Path], tuple[Holder, str, list[str]]]
_WAYS = [_by_serial, _by_device, _by_credential, _what_it_enrolled]
ways = pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.__name__.strip("_"))


def _revoke(server: Serving, chosen: list[str]) -> None:
    found = serving.result("ca", "revoke", *chosen, "-y", "--ca-dir", server.ca)["revoked"]
    assert any(one["changed"] for one in found)


@ways
def test_on_a_kept_connection(way: Way, server: Serving, tmp_path: Path) -> None:
    """Granted before, refused from the next request on, on the same connection and on others."""
    holder, operation, chosen = way(server, tmp_path)
    kept, idle = holder.connect(), holder.connect()
    assert holder.ask(kept, operation)[0] == 200
    kept.request("GET", f"{wire.WELL_KNOWN}/cacerts")
    assert kept.getresponse().read()
    before = kept.sock
    idle.connect()  # it shook hands with what was good then
    _revoke(server, chosen)
    connections = (kept, idle, holder.connect())
    for connection in connections:
        for asked in dict.fromkeys((operation, "simpleenroll")):
            status, body = holder.ask(connection, asked)
            assert status == 403, body
    assert kept.sock is before, "one connection all the time"
    for connection in connections:
        connection.close()


def _by_openssl(holder: Holder, operation: str, *options: str | Path) -> bytes:
    """Ask once with `openssl s_client`; return what it says and what the server answers."""
    body = holder.request()
    head = (
        f"POST {wire.WELL_KNOWN}/{operation} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{holder.server.port}",
                        "-cert", holder.certificate, "-key", holder.key, "-ign_eof",
                        *options, stdin=head.encode() + body)  # fmt: skip
    return done.stdout


@pytest.mark.programs
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@ways
def test_in_a_resumed_session(way: Way, version: str, server: Serving, tmp_path: Path) -> None:
    """What a client keeps of a session buys it nothing: the handshake is whole, the answer no."""
    programs.need("openssl")
    holder, operation, chosen = way(server, tmp_path)
    session = tmp_path / "session"
    granted = _by_openssl(holder, operation, version, "-sess_out", session)
    assert b"HTTP/1.1 200 OK" in granted
    resuming = (version, "-sess_in", session) if session.exists() else (version,)
    _revoke(server, chosen)
    refused = _by_openssl(holder, operation, *resuming)
    assert b"HTTP/1.1 403 " in refused, refused
    assert b"\nNew, TLSv1." in refused
    assert b"\nReused, " not in refused
