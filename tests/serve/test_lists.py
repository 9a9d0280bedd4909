"""The revocation list of a running server: signed within seconds, handed out by EST and by HTTP."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.ca_folder import CaFolder, fingerprint
from tests.support import ca, listed, programs, serving
from tests.support.listed import NOW, WEEK
from tests.support.ports import free_port
from tests.support.serving import Serving
from tests.support.waiting import until

pytestmark = pytest.mark.programs

_RULE = """
name = "Line 4"
[server]
labels = ["line-3", "old"]
one_line = ["old"]
[[rule]]
name = "renewal"
when = { own = true }
then = "grant"
"""


@pytest.fixture
def folder(tmp_path: Path) -> CaFolder:
    """A CA with labels, one of which wants bodies in one line."""
    programs.need("curl", "openssl")
    made = ca.make(tmp_path / "ca")
    made.config_file.write_text(_RULE)
    return made


@pytest.fixture
def server(folder: CaFolder) -> Iterator[Serving]:
    """Its server."""
    with serving.serving(folder.path) as running:
        yield running


def curl(*arguments: str | Path) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of what curl is answered."""
    done = programs.run("curl", "-sS", "-i", *arguments)
    assert done.returncode == 0, done
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def crls(server: Serving, path: str = "crls") -> tuple[int, dict[str, str], bytes]:
    """Ask EST for the lists, without any authentication."""
    return curl("--cacert", server.anchor, f"{server.url}/{path}")


def listed_by_est(server: Serving) -> set[str]:
    """Return the serial numbers on the list that EST hands out, as openssl reads them."""
    return serials(base64.b64decode(crls(server)[2]), "pkcs7", "-print_certs")


def serials(der: bytes, command: str, *options: str) -> set[str]:
    """Return the serial numbers of the entries that openssl shows."""
    text = programs.run("openssl", command, "-inform", "DER", *options, stdin=der).stdout
    if command == "pkcs7":  # it prints PEM
        text = programs.run("openssl", "crl", "-noout", "-text", stdin=text).stdout
    return {one.decode().lower() for one in re.findall(rb"Serial Number: ([0-9A-F]+)", text)}


def issue(folder: CaFolder, number: int = 7) -> str:
    """Let the operator sign a certificate; return its serial number."""
    asked = ca.write_pem(folder.path.parent / "csr", ca.request(f"CN=Drive {number}"))
    made = serving.result("ca", "issue", asked, "--ca-dir", folder.path)
    return str(made["certificate"]["serial"])


def revoke(folder: CaFolder, *chosen: str) -> None:
    """Revoke at the command line."""
    serving.result("ca", "revoke", *chosen, "-y", "--ca-dir", folder.path)


def test_crls(server: Serving, folder: CaFolder) -> None:
    """As /cacerts answers (RFC 8295 section 4.2), with and without label; openssl reads it."""
    status, headers, body = crls(server)
    assert status == 200
    assert headers["Content-Type"] == "application/pkcs7-mime"
    assert headers["Content-Transfer-Encoding"] == "base64"
    der = base64.b64decode(body)
    shown = programs.run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", stdin=der)
    assert shown.returncode == 0
    assert b"issuer: CN=Line 4" in shown.stdout
    assert shown.stdout.count(b"<ABSENT>") >= 2
    pem = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=der).stdout
    verified = programs.run("openssl", "crl", "-noout", "-CAfile", server.anchor, stdin=pem)
    assert b"verify OK" in verified.stderr
    assert crls(server, "line-3/crls")[2] == body
    assert base64.b64decode(crls(server, "old/crls")[2]) == der
    assert crls(server, "old/crls")[2].count(b"\n") == 1 < body.count(b"\n")
    assert x509.load_pem_x509_crl(pem) == x509.load_der_x509_crl(folder.crl_file.read_bytes())


def test_crls_is_a_get_and_knows_its_labels(server: Serving) -> None:
    """405 for what is no GET, 404 for a label that is none."""
    status, headers, _ = curl("--cacert", server.anchor, "-d", "x", f"{server.url}/crls")
    assert (status, headers["Allow"]) == (405, "GET")
    assert crls(server, "line-9/crls")[0] == 404
    assert crls(server, "crls/")[0] == 404


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_revoked_at_the_command_line(folder: CaFolder, workers: tuple[str, ...]) -> None:
    """Every worker hands out the list that names it; several at once come with few lists."""
    wanted = [issue(folder, number) for number in range(4)]
    with serving.serving(folder.path, *workers) as server:
        assert listed_by_est(server) == set()
        for serial in wanted[:3]:
            revoke(folder, serial)
        for _ in range(8):
            until(lambda: listed_by_est(server) == set(wanted[:3]))
        revoke(folder, wanted[3])
        until(lambda: listed_by_est(server) == set(wanted))
        shown = serving.result("ca", "show", "--ca-dir", folder.path)["ca"]["crl"]
    assert (shown["entries"], shown["due"]) == (4, None)


def test_a_list_that_is_lost_comes_back(server: Serving, folder: CaFolder) -> None:
    """Removed or damaged while the server runs: signed anew, with a higher number."""
    for damage in (folder.crl_file.unlink, lambda: folder.crl_file.write_bytes(b"x")):
        before = folder.crl_file.read_bytes()
        damage()
        until(lambda: folder.crl_file.exists() and folder.crl_file.read_bytes()[:1] == b"0")
        assert folder.crl_file.read_bytes() != before
        until(lambda: folder.crl_file.read_bytes() in base64.b64decode(crls(server)[2]))


def test_a_list_that_is_nearly_over_is_renewed_at_the_start(folder: CaFolder) -> None:
    """Signed long ago, by another server of the same CA."""
    with listed.opened(folder) as plant:
        plant.publish(NOW, WEEK)
        plant.store.write(lambda db: db.execute("UPDATE crls SET signed_at = signed_at - 4e5"))
        number = plant.number()
        with serving.serving(folder.path):
            assert plant.number() > number


def configure(folder: CaFolder, **values: str) -> None:
    """Write the table [crl]."""
    table = "".join(f'{key} = "{value}"\n' for key, value in values.items())
    folder.config_file.write_text(f"{_RULE}\n[crl]\n{table}")


@pytest.fixture
def point(folder: CaFolder) -> Iterator[str]:
    """The URL of a distribution point, at which a server answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/line/4.crl"
    configure(folder, url=url, listen=f"127.0.0.1:{port}")
    with serving.serving(folder.path):
        yield url


def test_distribution_point(point: str, folder: CaFolder) -> None:
    """The list in DER, with what caches need; certificates name the place; doctor is content."""
    serial = issue(folder)
    issued = serving.result("ca", "show", serial, "--ca-dir", folder.path)["certificate"]["pem"]
    text = programs.run("openssl", "x509", "-noout", "-text", stdin=issued.encode()).stdout
    assert f"URI:{point}\n".encode() in text
    revoke(folder, serial)
    until(lambda: serials(curl(point)[2], "crl", "-noout", "-text") == {serial})
    status, headers, body = curl(point)
    assert (status, body) == (200, folder.crl_file.read_bytes())
    assert headers["Content-Type"] == "application/pkix-crl"
    assert re.fullmatch(r"max-age=\d+", headers["Cache-Control"])
    assert headers["Last-Modified"].endswith(" GMT")
    for tags in (headers["ETag"], f'"x", W/{headers["ETag"]}', "*"):  # a cache may weaken it
        same = curl("-H", f"If-None-Match: {tags}", point)
        assert (same[0], same[2]) == (304, b"")
    assert curl("-H", 'If-None-Match: "another"', point)[0] == 200
    assert curl("--http2", point)[::2] == (200, body)
    head = curl("-I", point)
    assert (head[0], head[1]["Content-Length"], head[2]) == (200, str(len(body)), b"")
    found = serving.cipsec("doctor", "--ca-dir", folder.path).stdout.decode()
    assert re.search(rf"distribution point\s+ok\s+{point} hands out list \d+", found), found


def verified(folder: CaFolder, serial: str, anchor: Path) -> subprocess.CompletedProcess[bytes]:
    """Let openssl verify a certificate, with the list that it fetches where that says."""
    pem = serving.result("ca", "show", serial, "--ca-dir", folder.path)["certificate"]["pem"]
    return programs.run("openssl", "verify", "-crl_check", "-crl_download", "-CAfile", anchor,
                        stdin=pem.encode())  # fmt: skip


def test_openssl_fetches_it_itself(point: str, folder: CaFolder) -> None:
    """`openssl verify -crl_download` follows the extension to the distribution point."""
    serial, other = issue(folder, 1), issue(folder, 2)
    revoke(folder, serial)
    until(lambda: serials(curl(point)[2], "crl", "-noout", "-text") == {serial})
    assert verified(folder, other, folder.certificate_file).returncode == 0
    refused = verified(folder, serial, folder.certificate_file)
    assert refused.returncode != 0
    assert b"certificate revoked" in refused.stderr


def test_after_a_roll_over(point: str, folder: CaFolder) -> None:
    """What each root issued names the list that its own key signs; openssl follows both."""
    old = issue(folder, 1), issue(folder, 2)
    for step in (("--days", "9000"), ("--activate", "-y")):
        serving.result("ca", "rollover", *step, "--ca-dir", folder.path)
    new = issue(folder, 3), issue(folder, 4)
    [former] = folder.previous()
    own = f"{point.removesuffix('.crl')}-{fingerprint(folder.certificate())[:16]}.crl"
    until(lambda: curl(own)[0] == 200)
    revoke(folder, old[0], new[0])
    for url in (point, own):
        until(lambda url=url: serials(curl(url)[2], "crl", "-noout", "-text") == {old[0], new[0]})  # type: ignore[misc]  # bound now
    for revoked, other, anchor in (
        (*old, former.certificate_file),
        (*new, folder.certificate_file),
    ):
        assert b"certificate revoked" in verified(folder, revoked, anchor).stderr
        assert verified(folder, other, anchor).returncode == 0
    found = serving.cipsec("doctor", "--ca-dir", folder.path).stdout.decode()
    assert re.search(rf"distribution point\s+ok\s+{own} hands out list \d+", found), found
    assert serving.result("ca", "crl", "--ca-dir", folder.path)["crl"]["url"] == own


@pytest.mark.parametrize(
    ("options", "path", "status"),
    [
        ([], "/", 404),
        ([], "/.well-known/est/cacerts", 404),
        ([], "/line/4.crl/", 404),
        (["--path-as-is"], "/../ca.crl", 404),
        ([], "/ca.crl", 200),
        ([], "/line/4.crl?x=1", 200),
        (["-d", "x"], "/ca.crl", 405),
        (["-X", "DELETE"], "/line/4.crl", 405),
        (["-H", f"X: {'x' * 5000}"], "/ca.crl", 431),
        (["-d", "x" * 5000], "/ca.crl", 413),
    ],
)
def test_what_else_is_asked(point: str, options: list[str], path: str, status: int) -> None:
    """Nothing but the list is there; what is too long or of another kind is refused."""
    assert curl(*options, point.replace("/line/4.crl", path))[0] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\0\x01", b"400"),
        (b"\0\0\0\0", b"400"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET /ca.crl\r\n\r\n", b"505"),
    ],
)
def test_what_is_no_http(point: str, sent: bytes, status: bytes) -> None:
    """TLS, noise and HTTP/0.9 are refused and cut; the next one is served."""
    port = int(point.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as strange:
        strange.sendall(sent)
        answer = b""
        while piece := strange.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 %s " % status)
    assert curl(point)[0] == 200


def test_slow_clients_keep_nobody_from_it(point: str) -> None:
    """Two hundred that send half a request, more than there are places."""
    port = int(point.split(":")[2].partition("/")[0])
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for one in slow:
            one.sendall(b"GET /ca.crl HTTP/1.1\r\nHost: x\r\nX: ")
        assert curl("--max-time", "60", point)[0] == 200
    finally:
        for one in slow:
            one.close()


def test_one_connection_serves_several_requests(point: str) -> None:
    """Kept alive, and ended after a while without a request."""
    port = int(point.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as asking:
        asking.sendall(b"GET /ca.crl HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        answer = b""
        while piece := asking.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3


def test_it_follows_ca_toml(folder: CaFolder) -> None:
    """Opened, moved and closed by an edit; a port that is taken is said, and EST goes on."""
    first, second = free_port(), free_port()
    log = folder.path.parent / "ca-serve.log"

    def answers(port: int) -> bool:
        return programs.run("curl", "-s", f"http://127.0.0.1:{port}/ca.crl").returncode == 0

    with serving.serving(folder.path) as server:
        assert not answers(first)
        configure(folder, listen=f"127.0.0.1:{first}")
        until(lambda: answers(first))
        configure(folder, listen=f"127.0.0.1:{second}")
        until(lambda: answers(second))
        assert not answers(first)
        folder.config_file.write_text("broken")
        time.sleep(2.5)
        assert answers(second), "a broken ca.toml takes nothing away"
        configure(folder, listen=f"127.0.0.1:{server.port}")
        until(lambda: "is not handed out by HTTP: port" in log.read_text())
        assert crls(server)[0] == 200
        assert not answers(second)


def test_revoking_goes_on_while_ca_toml_is_broken(server: Serving, folder: CaFolder) -> None:
    """The list is signed as the table [crl] was before."""
    serial = issue(folder)
    folder.config_file.write_text("broken")
    revoke(folder, serial)
    with listed.opened(folder) as plant:
        until(lambda: plant.listed() == {serial})
    assert server.process.poll() is None
