"""What the EST client sends, where to, and what only once the server is trusted."""

from __future__ import annotations

import base64
import hashlib
import ssl
from pathlib import Path

import pytest

from cipsec.errors import (
    BadAnswer,
    CredentialsRefused,
    Unreachable,
    Untrusted,
    UsageError,
)
from cipsec.est import wire
from cipsec.est.client import Session, fetch_cacerts_unverified
from cipsec.est.login import Login
from cipsec.tls.client import Credential, client_context
from tests.est.asking import TLS12, Start, enroll, make, session
from tests.support.canned import Plant, Reply, Seen, certs, reply, text
from tests.support.waiting import until


def test_sends_what_every_server_reads(start: Start) -> None:
    """64 columns, LF, Content-Length, Content-Transfer-Encoding, no Expect."""
    server = start()
    enroll(server)
    (post,) = server.posts()
    assert post.headers["content-type"] == "application/pkcs10"
    assert post.headers["content-transfer-encoding"] == "base64"
    assert int(post.headers["content-length"]) == len(post.body)
    assert "expect" not in post.headers
    assert "transfer-encoding" not in post.headers
    lines = post.body.split(b"\n")
    assert lines.pop() == b""
    assert {len(line) for line in lines[:-1]} == {64}


def test_binds_the_csr_to_the_connection_under_tls_1_2(start: Start) -> None:
    """challengePassword is tls-unique of the very connection (RFC 7030 section 3.5)."""
    server = start(tls=TLS12)
    enroll(server)
    (post,) = server.posts()
    assert post.binding
    assert post.request.challenge == base64.b64encode(post.binding)
    assert {seen.connection for seen in server.seen} == {1}


def test_binds_nothing_under_tls_1_3(start: Start) -> None:
    """tls-unique is not defined there (RFC 9266), whatever the library returns."""
    server = start(tls=ssl.TLSVersion.TLSv1_3)
    enroll(server)
    assert server.posts()[0].request.challenge is None


def test_sends_no_binding_when_the_server_announces_to_hang_up(start: Start, plant: Plant) -> None:
    """Without keep-alive the POST goes over another connection, and an old binding would lie."""
    answer = reply(
        200,
        wire.encode_body(wire.certs_only([plant.certificate])),
        ("Connection", "close"),
        close=True,
    )
    server = start({"cacerts": lambda _: answer}, tls=TLS12)
    enroll(server)
    (post,) = server.posts()
    assert post.connection == 2
    assert post.request.challenge is None


def test_starts_over_when_the_connection_was_replaced(start: Start, plant: Plant) -> None:
    """A server that hangs up unannounced and checks bindings gets a fresh CSR, rightly bound."""
    hang_up = Reply(certs([plant.certificate]).pieces, close=True)

    def checking(seen: Seen) -> Reply:
        expected = base64.b64encode(seen.binding or b"")
        if seen.request.challenge != expected:
            return text(400, "the channel binding is wrong")
        return certs([plant.certificate])

    def later(binding: bytes | None) -> bytes:
        # Else it may hang up in the moment in which this is sent.
        until(lambda: server.is_idle or server.connections > 1)
        return make(binding)

    server = start({"cacerts": lambda _: hang_up, "simpleenroll": checking}, tls=TLS12)
    with session(server) as client:
        assert client.simpleenroll(later, login=None) == [plant.certificate]
    first, second = server.posts()
    assert first.body != second.body
    assert first.connection == second.connection == 2


@pytest.mark.parametrize("version", [TLS12, ssl.TLSVersion.TLSv1_3])
def test_starts_over_once_when_the_server_hangs_up_meanwhile(
    start: Start, plant: Plant, version: ssl.TLSVersion
) -> None:
    """The connection goes in the moment in which the CSR is sent: another, with its own binding."""

    def second_time(seen: Seen) -> Reply:
        if seen.connection == 1:
            return Reply((), close=True)
        expected = base64.b64encode(seen.binding) if seen.binding else None
        return certs([plant.certificate]) if seen.request.challenge == expected else text(400, "")

    server = start({"simpleenroll": second_time}, tls=version)
    assert enroll(server) == [plant.certificate]
    assert [seen.operation for seen in server.seen] == ["cacerts", "simpleenroll"] * 2


def test_a_server_that_always_hangs_up(start: Start) -> None:
    """It is asked a second time, and no more."""
    server = start({"simpleenroll": lambda _: Reply((), close=True)})
    with pytest.raises(BadAnswer, match="disconnected without sending a response"):
        enroll(server)
    assert len(server.posts()) == 2


def test_basic_credentials_are_sent_at_once(start: Start) -> None:
    """With the enrollment alone, and only once."""
    server = start()
    enroll(server, Login("ada", "gehëim:1"))
    given = {s.operation: s.headers.get("authorization") for s in server.seen}
    expected = "Basic " + base64.b64encode("ada:gehëim:1".encode()).decode()
    assert given == {"cacerts": None, "simpleenroll": expected}


def test_refused_credentials(start: Start) -> None:
    """401 is said with the reason; nothing is repeated."""
    challenge = ("WWW-Authenticate", 'Basic realm="EST"')
    server = start({"simpleenroll": lambda _: text(401, "wrong password", challenge)})
    with pytest.raises(CredentialsRefused, match="wrong password"):
        enroll(server, Login("ada", "nope"))
    with pytest.raises(CredentialsRefused):
        enroll(server)
    assert len(server.posts()) == 2


def _digest(seen: Seen, user: str, password: str) -> bool:
    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    given = dict(
        part.strip().replace('"', "").split("=", 1)
        for part in seen.headers["authorization"].removeprefix("Digest ").split(",")
    )
    secret = md5(user, "EST", password), md5("POST", seen.path)
    middle = given["nonce"], given["nc"], given["cnonce"], given["qop"]
    return given["uri"] == seen.path and given["response"] == md5(secret[0], *middle, secret[1])


@pytest.mark.parametrize(
    "challenges",
    [
        ['Digest realm="EST", qop="auth", nonce="n0nce", algorithm=MD5'],
        ['Basic realm="EST"', 'Digest realm="EST", qop="auth", nonce="n0nce"'],
    ],
)
def test_digest_is_answered(start: Start, plant: Plant, challenges: list[str]) -> None:
    """Some servers of the field, libest's above all, offer Digest."""

    def demanding(seen: Seen) -> Reply:
        if seen.headers["authorization"].startswith("Digest ") and _digest(seen, "ada", "secret"):
            return certs([plant.certificate])
        return text(401, "who?", *(("WWW-Authenticate", c) for c in challenges))

    server = start({"simpleenroll": demanding})
    assert enroll(server, Login("ada", "secret")) == [plant.certificate]
    with pytest.raises(CredentialsRefused):
        enroll(server, Login("ada", "wrong"))


@pytest.mark.parametrize(
    "challenge",
    ["Digest ", "Digest realm", 'Digest realm="x"', 'Digest realm="x", nonce="y", algorithm=ROT13',
     'Digest realm="x", nonce="y", qop="auth-int"'],
)  # fmt: skip
def test_digest_that_makes_no_sense(start: Start, challenge: str) -> None:
    """A broken challenge is the server's fault, and said so."""
    server = start({"simpleenroll": lambda _: text(401, "who?", ("WWW-Authenticate", challenge))})
    with pytest.raises((BadAnswer, CredentialsRefused)):
        enroll(server, Login("ada", "secret"))


def test_login_forbids_what_basic_cannot_carry() -> None:
    """A colon would move into the password (RFC 7617 section 2)."""
    with pytest.raises(UsageError):
        Login("a:b", "c")
    assert "secret" not in repr(Login("ada", "secret"))


def test_redirects_within_the_server_are_followed(start: Start, plant: Plant) -> None:
    """RFC 7030 section 3.2.1: same origin, the POST stays a POST."""
    away = ("Location", "/other/est/simpleenroll")

    def moved(seen: Seen) -> Reply:
        return text(307, "", away) if "well-known" in seen.path else certs([plant.certificate])

    server = start({"simpleenroll": moved})
    assert enroll(server) == [plant.certificate]
    assert [s.path for s in server.posts()][1] == "/other/est/simpleenroll"


@pytest.mark.parametrize(
    ("challenge", "hint"),
    [
        ('Basic realm="x"', "add --user NAME, or --cert FILE --key FILE"),
        ('Negotiate, digest nonce="x"', "add --user NAME, or --cert FILE --key FILE"),
        ("", "add --user NAME, or --cert FILE --key FILE"),
        ("Negotiate", "add --cert FILE --key FILE: it knows neither Basic nor Digest"),
    ],
)
def test_who_showed_nothing_is_told_what_to_show(start: Start, challenge: str, hint: str) -> None:
    """No credentials were refused where there were none."""
    headers = [("WWW-Authenticate", challenge)] if challenge else []
    server = start({"simpleenroll": lambda _: text(401, "no rule applies", *headers)})
    with pytest.raises(CredentialsRefused, match="wants to know who asks: no rule") as caught:
        enroll(server)
    assert caught.value.hint == hint
    refused = pytest.raises(CredentialsRefused, match="does not accept the credentials")
    with session(server, credential=True) as client, refused:
        client.simpleenroll(make, login=None)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/.well-known/est/cacerts",
        "http://127.0.0.1/x",
        "//other:1/x",
        "https://[/",
        "ftp://x",
    ],
)
def test_redirects_elsewhere_are_not(start: Start, target: str) -> None:
    """Another origin would need all checks anew, and nobody agreed to send the CSR there."""
    server = start({"cacerts": lambda _: text(302, "", ("Location", target))})
    with pytest.raises(BadAnswer, match="redirects to"):
        fetch_cacerts_unverified(server.url, timeout=60)


@pytest.mark.parametrize(
    ("target", "hint"),
    [("https://other.example/x", "--server other.example:443"), ("http://other.example/x", "None")],
)
def test_where_redirects_lead_is_to_be_named(start: Start, target: str, hint: str) -> None:
    """But for a place without TLS: as --server it would be taken for one with."""
    server = start({"cacerts": lambda _: text(302, "", ("Location", target))})
    with pytest.raises(BadAnswer) as caught:
        fetch_cacerts_unverified(server.url, timeout=60)
    assert str(caught.value.hint).startswith(hint)


def test_redirects_in_circles_end(start: Start) -> None:
    """After a few."""
    server = start({"cacerts": lambda s: text(302, "", ("Location", s.path))})
    with pytest.raises(BadAnswer, match="in circles"):
        fetch_cacerts_unverified(server.url, timeout=60)
    assert len(server.seen) == 3


@pytest.mark.parametrize("tls", [TLS12, ssl.TLSVersion.TLSv1_3])
def test_a_missing_client_certificate_is_said(start: Start, tls: ssl.TLSVersion) -> None:
    """Under TLS 1.3 the alert comes only after the handshake, at the first read."""
    server = start(demand_client=True, tls=tls)
    with session(server) as client, pytest.raises((CredentialsRefused, Unreachable)) as caught:
        client.cacerts()
    if tls is not TLS12:
        assert isinstance(caught.value, CredentialsRefused)
        assert "wants a client certificate" in caught.value.message


@pytest.mark.parametrize("tls", [TLS12, ssl.TLSVersion.TLSv1_3])
def test_a_refused_client_certificate_is_said(
    start: Start, tmp_path: Path, tls: ssl.TLSVersion
) -> None:
    """A certificate of a CA the server does not know ends in an alert."""
    server = start(demand_client=True, tls=tls)
    stranger = Credential(*Plant("Other CA").credential(tmp_path, "stranger"))
    context = client_context([server.plant.certificate], by_name=True, credential=stranger)
    with (
        Session(server.url, context, credential=True) as client,
        pytest.raises(CredentialsRefused, match="refuses the client certificate"),
    ):
        client.cacerts()


def test_the_environment_plays_no_part(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxies nor CA bundles of the environment are used."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    assert enroll(start())


def test_another_ca_is_not_trusted(start: Start) -> None:
    """And nothing is sent to its server."""
    server = start()
    context = client_context([Plant("Another").certificate], by_name=True)
    with Session(server.url, context) as client, pytest.raises(Untrusted, match="is not trusted"):
        client.simpleenroll(make, login=Login("ada", "secret"))
    assert server.seen == []
