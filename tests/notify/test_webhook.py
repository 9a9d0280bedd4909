"""Webhooks to a real receiver, over TLS, which checks the signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cipsec.errors import LocalState, Malformed, Unreachable
from cipsec.ra.notify import deliver
from cipsec.ra.notify.webhook import signature, signing_key
from tests.support.ports import HOST, free_port

from .happening import REQUEST, send, told
from .receivers import Identity, hook, identity, misbehaving, silent

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def text(url: str, more: str = 'ca_file = "receiver-ca.pem"') -> str:
    """Return a channel of type webhook."""
    return f'type = "webhook"\nurl = "{url}"\n{more}\n'


def test_signed(folder: Path, tls: Identity) -> None:
    """The receiver can tell who sent it, that it is whole, and when."""
    (folder / "hook.secret").write_text(SECRET)
    with hook(tls) as received:
        more = 'ca_file = "receiver-ca.pem"\nsecret_file = "hook.secret"'
        send(text(f"{received.url}/in?to=plant", more), folder)
    [(path, headers, body)] = received.got
    assert path == "/in?to=plant"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == received.url.removeprefix("https://")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_the_schemes_own_example() -> None:
    """The vector in the libraries of standardwebhooks.com."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_document(folder: Path, tls: Identity) -> None:
    """It holds the event as the log has it, and the request's details, but not its CSR."""
    with hook(tls) as received:
        send(text(received.url), folder, told(subject="CN=\x1b[2K\u202ex"))
    [document] = received.documents
    assert document["schema"] == "cipsec.notification.v1"
    assert (document["ca"], document["counts"], document["left_out"]) == (
        "Line 4",
        {"pending": 1},
        0,
    )
    [event] = document["events"]
    assert event["number"] == 1
    assert event["at"] == "2027-01-15T08:00:00Z"
    assert event["reason"] == "holds for everyone"
    assert event["subject"] == "CN=\\x1b[2K\\u202ex"
    details = event["request_details"]
    assert details["id"] == event["request"] == REQUEST
    assert {"device", "mac", "proved", "claimed", "address", "label", "rule", "reason"} <= set(
        details
    )
    assert {"replaces", "spki_sha256"} <= set(details)
    assert "csr" not in details


def test_the_same_events_have_the_same_id(folder: Path, tls: Identity) -> None:
    """A receiver that took them and whose answer was lost can tell; other events have another."""
    with hook(tls) as received:
        send(text(received.url), folder, told())
        send(text(received.url), folder, told())
        send(text(received.url), folder, told(), told(number=2))
    first, again, other = [headers["webhook-id"] for _, headers, _ in received.got]
    assert first == again != other


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 429, 500, 503])
def test_other_answers(folder: Path, tls: Identity, status: int) -> None:
    """Only 2xx counts; redirects, which could lead the message elsewhere, are not followed."""
    with (
        hook(tls, status=status) as received,
        pytest.raises(Unreachable, match=f"answers {status}"),
    ):
        send(text(received.url), folder)
    assert len(received.got) == 1


def test_another_ca(folder: Path, tls: Identity, tmp_path: Path) -> None:
    """A receiver of another CA gets nothing; without ca_file this machine's CAs count."""
    with hook(identity(tmp_path)) as received:
        for more in ('ca_file = "receiver-ca.pem"', ""):
            with pytest.raises(Unreachable, match="certificate is not accepted"):
                send(text(received.url, more), folder)
    assert received.got == []


def test_another_name(folder: Path) -> None:
    """A certificate for another host does not do."""
    with (
        hook(identity(folder, name="hook.example")) as received,
        pytest.raises(Unreachable, match="certificate is not accepted"),
    ):
        send(text(received.url), folder)


def test_localhost_by_name(folder: Path) -> None:
    """A name is looked up, and the certificate must be for the name."""
    with hook(identity(folder, name="localhost")) as received:
        send(text(received.url.replace(HOST, "localhost")), folder)
    [(_, headers, _)] = received.got
    assert headers["host"].startswith("localhost:")


def test_proxies_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They play no part."""
    dead = f"http://{HOST}:{free_port()}"
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, dead)
    with hook() as received:
        send(text(received.url, ""), folder)
    assert len(received.got) == 1


def test_a_url_that_is_a_secret(
    folder: Path, tls: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes from a file, and appears in no log and no error."""
    caplog.set_level(logging.DEBUG)
    channel = 'type = "webhook"\nurl_file = "hook.url"\nca_file = "receiver-ca.pem"\n'
    with hook(tls, status=500) as received:
        (folder / "hook.url").write_text(f"{received.url}/T0K3N\n")
        with pytest.raises(Unreachable) as caught:
            send(channel, folder)
    [(path, _, _)] = received.got
    assert path == "/T0K3N"
    assert "T0K3N" not in f"{caught.value.message}{caught.value.hint}"
    shown = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    assert not any("T0K3N" in line for line in shown)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/T0K3N", "ftp://x/T0K3N", "T0K3N", "https://u:T0K3N@h/"]
)
def test_a_secret_url_that_is_wrong(folder: Path, url: str) -> None:
    """It is refused without being shown."""
    (folder / "hook.url").write_text(url)
    with pytest.raises(Malformed) as caught:
        send('type = "webhook"\nurl_file = "hook.url"\n', folder)
    assert "T0K3N" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    "secret", [None, "", "whsec_", "whsec_short", "not base64 §", "whsec_AAAA"]
)
def test_secret_files(folder: Path, tls: Identity, secret: str | None) -> None:
    """A missing or odd one stops the delivery: nothing goes out unsigned instead."""
    if secret is not None:
        (folder / "hook.secret").write_text(secret)
    more = 'ca_file = "receiver-ca.pem"\nsecret_file = "hook.secret"'
    with hook(tls) as received, pytest.raises(LocalState, match=r"hook\.secret"):
        send(text(received.url, more), folder)
    assert received.got == []


def test_a_secret_is_made_as_the_hint_says(tmp_path: Path) -> None:
    """Also where there is a space in the folder's name."""
    path = tmp_path / "line 4" / "hook.secret"
    path.parent.mkdir()
    path.write_text("none")
    with pytest.raises(Malformed) as caught:
        signing_key(path)
    subprocess.run(["sh", "-c", str(caught.value.hint).partition(": ")[2]], check=True)
    assert len(signing_key(path)) == 32


def test_closed_port(folder: Path) -> None:
    """Nobody listens."""
    port = free_port()
    with pytest.raises(Unreachable) as caught:
        send(text(f"http://{HOST}:{port}", ""), folder)
    assert caught.value.message == f"{HOST} port {port} cannot be reached: connection refused"


def test_not_http(folder: Path) -> None:
    """Something else answers."""

    def greet(connection: socket.socket) -> None:
        connection.sendall(b"220 \x1b[2K\r\n\r\n")
        silent(connection)

    with misbehaving(greet) as port, pytest.raises(Unreachable, match="does not speak HTTP"):
        send(text(f"http://{HOST}:{port}", ""), folder)


def test_never_an_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs is left after some seconds, connections and all."""
    monkeypatch.setattr(deliver, "SECONDS", 1.0)
    with misbehaving(silent) as port, pytest.raises(Unreachable, match="not done within 1 seconds"):
        send(text(f"http://{HOST}:{port}", ""), folder)
