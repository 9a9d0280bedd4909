"""The server as a process: start, signals, crash, workers, and what it tells."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca_folder import CaFolder
from cipsec.est import wire
from cipsec.serve import listen
from cipsec.serve.listen import Listen
from tests.bench import load
from tests.support import ca, programs, serving
from tests.support.serving import Serving
from tests.support.waiting import children, is_dead, until


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A CA folder that grants to everybody."""
    ca.make(tmp_path / "ca", policy="lab")
    return tmp_path / "ca"


def test_a_port_is_a_servers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows by an option that is not there; the usual one would let others take it as well."""
    monkeypatch.setattr(listen, "_ALONE", socket.SO_KEEPALIVE)
    [bound] = listen.bind(Listen("127.0.0.1", 0))
    with bound:
        options = [bound.getsockopt(socket.SOL_SOCKET, one) for one in
                   (socket.SO_KEEPALIVE, socket.SO_REUSEADDR)]  # fmt: skip
    assert options == [1, 0]


def _context(server: Serving) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.anchor)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _connect(server: Serving) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    return _context(server).wrap_socket(raw, server_hostname="localhost")


def _certificate(connection: ssl.SSLSocket, request: bytes) -> x509.Certificate:
    connection.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"\n"):
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return wire.parse_certs_only(base64.b64decode(body))[0]


def _recorded(folder: Path) -> set[bytes]:
    with sqlite3.connect(folder / "store.sqlite3") as db:
        rows = db.execute("SELECT der FROM certificates WHERE kind = 'endpoint'").fetchall()
    db.close()
    return {row[0] for row in rows}


def test_own_certificate_fits_the_names_it_is_reached_by(lab: Path) -> None:
    """The server's certificate is the CA's, names localhost and 127.0.0.1, and carries cmcRA."""
    with serving.serving(lab) as server, _connect(server) as connection:
        der = connection.getpeercert(binary_form=True)
    assert der
    certificate = x509.load_der_x509_certificate(der)
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert "1.3.6.1.5.5.7.3.28" in [oid.dotted_string for oid in usages]
    with serving.serving(lab) as server, _connect(server) as connection:
        assert connection.getpeercert(binary_form=True) == der, "kept over a restart"


def test_ready_says_what_is_served(lab: Path) -> None:
    """The ready file and the first JSON line are the same object, with the fingerprint."""
    log = lab.parent / "log"
    server = serving.start(lab, "--json", log=log)
    assert server.stop() == 0
    first = json.loads(next(x for x in log.read_text().splitlines() if x.startswith("{")))
    assert first == server.ready
    assert first["event"] == "ready"
    assert first["ca_sha256"] == serving.result("ca", "show", "--ca-dir", lab)["ca"]["sha256"]


def test_the_head_of_the_log_is_said_at_the_start_and_at_the_end(lab: Path) -> None:
    """Whatever keeps what the server says keeps heads that the log can be held against."""
    log = lab.parent / "log"
    server = serving.start(lab, "--json", log=log)
    with _connect(server) as connection:
        connection.sendall(load.requests(1)[0])
        assert connection.recv(1)
    assert server.stop() == 0
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [one["event"] for one in told] == ["ready", "granted", "ended"]
    begun, ended = told[0]["chain_head"], told[-1]["chain_head"]
    assert int(ended.partition(":")[0]) > int(begun.partition(":")[0])
    shown = serving.result("ca", "log", "verify", "--ca-dir", lab, "--heads", log)["log"]
    assert (shown["intact"], shown["head"], shown["heads_compared"]) == (True, ended, 2)
    again = serving.start(lab, log=log)
    assert again.stop() == 0
    assert f"log head {ended}" in log.read_text()


def test_global_grant_is_said_at_the_start(lab: Path) -> None:
    """A rule that grants to everybody is warned of whenever the server starts."""
    log = lab.parent / "log"
    serving.start(lab, "-q", log=log).stop()
    assert "grants a certificate to everybody" in log.read_text()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)]
)
def test_signal_ends_it_in_order(lab: Path, number: int, status: int) -> None:
    """SIGTERM, SIGINT and SIGHUP end the server at once although connections are open and idle."""
    server = serving.start(lab)
    with _connect(server) as idle, socket.create_connection(("127.0.0.1", server.port)):
        assert server.stop(number) == status
        assert idle.recv(1) == b"", "closed in order"


def test_a_server_under_nohup_outlives_its_terminal(lab: Path) -> None:
    """Where SIGHUP is ignored it stays so, for the server and for its workers."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it to who is started
    try:
        server = serving.start(lab, "--workers", "2")
    finally:
        signal.signal(signal.SIGHUP, before)
    for process in (server.process.pid, *children(server.process.pid)):
        os.kill(process, signal.SIGHUP)
    with _connect(server) as connection:
        assert load.exchange(connection, load.requests(1)[0]) == 200
    assert server.stop() == 0


def test_running_request_is_answered_when_the_server_ends(lab: Path) -> None:
    """SIGTERM in the middle of a request: the request is answered, then the server ends."""
    server = serving.start(lab)
    request = load.requests(1)[0]
    with _connect(server) as connection:
        connection.sendall(request[:-10])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        certificate = _certificate(connection, request[-10:])
    assert server.process.wait(timeout=120) == 0
    assert certificate.public_bytes(Encoding.DER) in _recorded(lab)


def test_ends_by_itself(lab: Path) -> None:
    """`--for` ends the server with success."""
    assert serving.start(lab, "--for", "1s").process.wait(timeout=120) == 0


def test_second_server_on_the_folder_is_refused(lab: Path) -> None:
    """One server uses the key; a second one says so and exits 6."""
    with serving.serving(lab):
        done = serving.cipsec("ca", "serve", "--ca-dir", lab, "--listen", "127.0.0.1:0",
                              "--no-announce", "--for", "1s")  # fmt: skip
    assert done.returncode == 6
    assert b"a server is running" in done.stderr


def test_taken_port_is_said(lab: Path) -> None:
    """A port that another program has is a clear error, exit 6."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        done = serving.cipsec("ca", "serve", "--ca-dir", lab, "--listen", listen, "--no-announce")
    assert done.returncode == 6
    assert b"cannot be listened on" in done.stderr
    assert b"hint:" in done.stderr


def test_broken_configuration_is_said_before_it_serves(lab: Path) -> None:
    """A broken ca.toml keeps the server from starting, with the place of the error."""
    (lab / "ca.toml").write_text('[[rule]]\nname = "x"\nwhen = { nobody = true }\nthen = "grant"\n')
    done = serving.cipsec("ca", "serve", "--ca-dir", lab, "--listen", "127.0.0.1:0")
    assert done.returncode == 6
    assert b"'nobody' is not known" in done.stderr


def test_rules_take_effect_while_it_runs(ca_folder: CaFolder) -> None:
    """Editing ca.toml changes the next answer: broken gets 503, mended is in force again."""
    config = ca_folder.config_file
    good = config.read_text()
    with serving.serving(ca_folder.path) as server:
        for text, expected in ((good, 202), ("[[rule]]\n", 503), (good, 202)):
            config.write_text(text)
            with _connect(server) as connection:
                assert load.exchange(connection, load.requests(1)[0]) == expected
        events = serving.result("ca", "log", "--ca-dir", ca_folder.path)["events"]
    trouble = [event["reason"] for event in events if event["event"] == "policy-error"]
    assert len(trouble) == 1
    assert trouble[0].startswith("ca.toml: rule 1 has no name")


def _takes_cbc(server: Serving) -> bool:
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2",
                        "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")  # fmt: skip
    return b"Cipher    : ECDHE-ECDSA-AES128-SHA256" in done.stdout


@pytest.mark.programs
def test_tls_profile_takes_effect_while_it_runs(ca_folder: CaFolder) -> None:
    """Old firmware is let in, and shut out again, by an edit of ca.toml."""
    programs.need("openssl")
    config = ca_folder.config_file
    default = config.read_text()
    legacy = default.replace('tls = "default"', 'tls = "legacy"')
    with serving.serving(ca_folder.path) as server:
        assert not _takes_cbc(server)
        for text, taken in ((legacy, True), (default, False)):
            config.write_text(text)
            until = time.monotonic() + 120
            while _takes_cbc(server) is not taken:
                assert time.monotonic() < until, "the profile is not taken over"


def test_workers_share_the_port_and_the_record(lab: Path) -> None:
    """Two workers serve one port; every certificate is recorded, none twice; both end."""
    requests = load.requests(60)
    with serving.serving(lab, "--workers", "2") as server:
        issued: set[bytes] = set()

        def ask(part: list[bytes]) -> None:
            for request in part:
                with _connect(server) as connection:
                    certificate = _certificate(connection, request)
                issued.add(certificate.public_bytes(Encoding.DER))

        load.in_parallel([lambda part=requests[n::4]: ask(part) for n in range(4)])  # type: ignore[misc]  # mypy cannot infer the default
        workers = children(server.process.pid)
        assert len(workers) == 2
    assert issued == _recorded(lab)
    assert len(issued) == 60
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_lost_worker_ends_the_server(lab: Path) -> None:
    """A worker that is killed ends the server, so that whoever watches it starts it anew."""
    server = serving.start(lab, "--workers", "2")
    os.kill(children(server.process.pid)[0], signal.SIGKILL)
    assert server.process.wait(timeout=120) == 1


def test_workers_end_with_a_parent_that_is_killed(lab: Path) -> None:
    """The port is free for whoever starts the server anew: nobody serves on without its upkeep."""
    server = serving.start(lab, "--workers", "2")
    workers = children(server.process.pid)
    assert len(workers) == 2
    with _connect(server):
        server.process.kill()
        server.process.wait()
        until(lambda: all(is_dead(worker) for worker in workers))
    with socket.create_server(("127.0.0.1", server.port)):
        pass


# wrap_socket leaves its socket open where the peer is gone before the handshake begins.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("seed", range(6))
def test_kill_9_loses_no_certificate(lab: Path, seed: int) -> None:
    """Killed at any moment: what was handed out is recorded, and asking again gives one each."""
    requests = load.requests(40, f"Drive {seed}")
    server = serving.start(lab)
    handed_out: dict[int, bytes] = {}

    def ask(part: list[int]) -> None:
        for number in part:
            try:
                with _connect(server) as connection:
                    certificate = _certificate(connection, requests[number])
            except (OSError, AssertionError):
                continue  # killed meanwhile: no answer, as a device would see it
            handed_out[number] = certificate.public_bytes(Encoding.DER)

    delay = random.Random(seed).uniform(0.02, 0.4)
    killer = threading.Timer(delay, server.process.kill)
    killer.start()
    load.in_parallel([lambda p=list(range(n, 40, 4)): ask(p) for n in range(4)])  # type: ignore[misc]  # mypy cannot infer the default
    killer.join()
    server.process.wait()
    assert set(handed_out.values()) <= _recorded(lab)
    before = dict(handed_out)
    with serving.serving(lab) as server:
        ask(list(range(40)))
    assert len(handed_out) == 40
    assert all(handed_out[number] == der for number, der in before.items())
    assert _recorded(lab) == set(handed_out.values()), "one certificate for each request"


def test_damaged_server_certificate_is_made_anew(lab: Path) -> None:
    """What lies in server.pem is no reason not to serve: the CA issues another."""
    (lab / "server.pem").write_text("garbage")
    with serving.serving(lab) as server, _connect(server) as connection:
        assert connection.getpeercert(binary_form=True)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":0", "all:0"])
def test_listening_everywhere_has_an_address_to_tell(listen: str) -> None:
    """However "everywhere" is written, it is the same."""
    assert Listen.parse(listen) == Listen(None, 0)


@pytest.mark.parametrize("listen", ["", "host:1", "1.2.3.4:x", "1.2.3.4:70000", "[::1:1"])
def test_bad_address_is_wrong_usage(lab: Path, listen: str) -> None:
    """An address that is none is exit 2 and a hint."""
    done = serving.cipsec("ca", "serve", "--ca-dir", lab, "--listen", listen, "--for", "1s")
    assert done.returncode == 2
    assert b"cipsec: hint: write e.g." in done.stderr
