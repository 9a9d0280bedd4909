"""What the EST client makes of answers, one peculiarity at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cipsec.errors import (
    BadAnswer,
    Busy,
    CredentialsRefused,
    NotFound,
    Pending,
    Rejected,
    Unreachable,
)
from cipsec.est import wire
from cipsec.est.attributes import CHALLENGE_PASSWORD
from cipsec.est.client import fetch_cacerts_unverified
from tests.est.asking import Start, enroll, make, session
from tests.support.canned import Plant, Reply, certs, reply, text


def _der(plant: Plant) -> bytes:
    return wire.certs_only([plant.certificate])


def _wrapped(data: bytes, columns: int, end: bytes) -> bytes:
    line = base64.b64encode(data)
    return b"".join(line[i : i + columns] + end for i in range(0, len(line), columns))


_KIND = ("Content-Type", "application/pkcs7-mime")
_CTE = ("Content-Transfer-Encoding", "base64")
_LONG = tuple((f"X-Filler-{i}", "x" * 100) for i in range(15))


def _chunked(body: bytes) -> Reply:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:100], body[100:])]
    return Reply([head, *chunks, b"0\r\n\r\n"])


LAYOUTS: dict[str, Callable[[Plant], Reply]] = {
    "wrapped at 64": lambda p: reply(200, _wrapped(_der(p), 64, b"\n"), _KIND, _CTE),
    "wrapped at 76 with CRLF": lambda p: reply(200, _wrapped(_der(p), 76, b"\r\n"), _KIND, _CTE),
    "one line": lambda p: reply(200, base64.b64encode(_der(p)), _KIND, _CTE),
    "one line with LF": lambda p: reply(200, base64.b64encode(_der(p)) + b"\n", _KIND, _CTE),
    "no CTE": lambda p: reply(200, _wrapped(_der(p), 64, b"\n"), _KIND),
    "raw DER": lambda p: reply(200, _der(p), _KIND),
    "CTE that lies": lambda p: reply(200, _der(p), _KIND, _CTE),
    "PEM of PKCS#7": lambda p: reply(
        200, pkcs7.serialize_certificates([p.certificate], Encoding.PEM), _KIND
    ),
    "PEM of the certificate": lambda p: reply(200, p.certificate.public_bytes(Encoding.PEM)),
    "base64 of PEM": lambda p: reply(
        200, base64.b64encode(p.certificate.public_bytes(Encoding.PEM))
    ),
    "bare certificate": lambda p: reply(200, p.certificate.public_bytes(Encoding.DER)),
    "trailing NUL": lambda p: reply(200, _wrapped(_der(p), 64, b"\n") + b"\0", _KIND),
    "lower-case header names": lambda p: reply(
        200, _wrapped(_der(p), 64, b"\n"), ("content-type", "application/pkcs7-mime")
    ),
    "no media type": lambda p: reply(200, _wrapped(_der(p), 64, b"\n")),
    "smime-type": lambda p: reply(
        200, _wrapped(_der(p), 64, b"\n"), ("Content-Type", wire.CERTS_ONLY)
    ),
    "HTTP/1.0": lambda p: reply(
        200, _wrapped(_der(p), 64, b"\n"), _KIND, version="HTTP/1.0", close=True
    ),
    "chunked": lambda p: _chunked(_wrapped(_der(p), 64, b"\n")),
    "no length": lambda p: reply(200, _wrapped(_der(p), 64, b"\n"), _KIND, length=False),
    "1.5 KiB of headers": lambda p: reply(200, _wrapped(_der(p), 64, b"\n"), _KIND, *_LONG),
    "in many writes": lambda p: Reply(
        [bytes([b]) for b in next(iter(reply(200, base64.b64encode(_der(p))).pieces))]
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout_of_cacerts(start: Start, plant: Plant, layout: str) -> None:
    """Each layout that some client of the field could not read is read."""
    server = start({"cacerts": lambda _: LAYOUTS[layout](plant)})
    assert fetch_cacerts_unverified(server.url, timeout=60) == [plant.certificate]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout_of_an_enrollment(start: Start, plant: Plant, layout: str) -> None:
    """Enrolling reads them as well, over whatever connection is left."""
    server = start({"simpleenroll": lambda _: LAYOUTS[layout](plant)})
    assert enroll(server) == [plant.certificate]


@pytest.mark.parametrize("written", [bytes, base64.b64encode], ids=["PEM", "base64 of PEM"])
def test_every_certificate_of_a_pem_file_is_taken(
    start: Start, plant: Plant, written: Callable[[bytes], bytes]
) -> None:
    """A root and what it issued, or the roots of a roll-over: not the first alone."""
    both = [plant.certificate, Plant("Next").certificate]
    body = written(b"".join(one.public_bytes(Encoding.PEM) for one in both))
    server = start({"cacerts": lambda _: reply(200, body)})
    assert fetch_cacerts_unverified(server.url, timeout=60) == both


def test_takes_201_for_a_certificate_and_not_for_cacerts(start: Start, plant: Plant) -> None:
    """Foundries' server answers 201; /cacerts is held to 200 (RFC 7030 section 4.1.3)."""
    server = start({"simpleenroll": lambda _: certs([plant.certificate], status=201)})
    assert enroll(server) == [plant.certificate]
    server.answers["cacerts"] = lambda _: certs([plant.certificate], status=201)
    with pytest.raises(BadAnswer, match="unexpected status 201"):
        fetch_cacerts_unverified(server.url, timeout=60)


@pytest.mark.parametrize("status", [204, 404, 401, 501])
def test_no_csr_attributes_are_no_opinion(start: Start, status: int) -> None:
    """204 and 404 mean none (RFC 7030 section 4.5.2); asking is optional anyway."""
    server = start({"csrattrs": lambda _: text(status, "none")})
    with session(server) as client:
        assert client.csrattrs() == frozenset()


@pytest.mark.parametrize(
    "answer",
    [
        Reply([], close=True),
        Reply([b"garbage\r\n\r\n"], close=True),
        reply(302, b"", ("Location", "https://elsewhere.example/")),
        reply(200, b"A" * 1_100_000),
    ],
)
def test_csr_attributes_are_not_insisted_on(start: Start, plant: Plant, answer: Reply) -> None:
    """A server that hangs up, or sends anything, at a path it does not know can still enroll."""
    server = start(
        {"csrattrs": lambda _: answer, "simpleenroll": lambda _: certs([plant.certificate])}
    )
    with session(server) as client:
        assert client.cacerts() == [plant.certificate]
        assert client.csrattrs() == frozenset()
        assert client.simpleenroll(make, login=None) == [plant.certificate]


def test_cacerts_that_are_accepted(start: Start) -> None:
    """202 to /cacerts is no request that waits."""
    server = start({"cacerts": lambda _: text(202, "later", ("Retry-After", "1"))})
    with pytest.raises(BadAnswer, match="unexpected status 202"):
        fetch_cacerts_unverified(server.url, timeout=60)


_EXAMPLE = (
    b"MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="
)


@pytest.mark.parametrize(
    ("body", "wished"),
    [
        (base64.b64encode(bytes.fromhex("3000")), set()),
        (b"", set()),
        (b"this is nothing", set()),
        (base64.b64encode(b"\x30\x84\xff\xff\xff\xff"), set()),
        (base64.b64encode(bytes.fromhex("300b06092a864886f70d010907")), {CHALLENGE_PASSWORD}),
        (  # the example of RFC 7030 section 4.5.2, with a NUL at its end
            _EXAMPLE + b"\0",
            {
                CHALLENGE_PASSWORD,
                "1.2.840.10045.2.1",
                "1.2.840.113549.1.9.14",
                "1.2.840.10045.4.3.3",
            },
        ),
    ],
)
def test_reads_csr_attributes(start: Start, body: bytes, wished: set[str]) -> None:
    """Attribute types are read, values are not, and what cannot be read is no opinion."""
    server = start({"csrattrs": lambda _: reply(200, body)})
    with session(server) as client:
        assert client.csrattrs() == wished


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "7")], 7),
        ([("Retry-After", "0")], 0),
        ([("Retry-After", "999999999999999999999")], 366 * 86400),
        ([], 60),
        ([("Retry-After", "soon")], 60),
        ([("Retry-After", "-5")], 60),
        (
            [
                ("Date", "Wed, 21 Oct 2015 07:28:00 GMT"),
                ("Retry-After", "Wed, 21 Oct 2015 07:30:00 GMT"),
            ],
            120,
        ),
        ([("Retry-After", "Wed, 21 Oct 2015 07:30:00 GMT")], 0),
        ([("Retry-After", "Wed, 99 Oct 99999 99:99:99 GMT")], 60),
    ],
)
def test_202_is_pending(start: Start, headers: list[tuple[str, str]], seconds: int) -> None:
    """Retry-After in seconds, as a date, missing, or nonsense."""
    server = start({"simpleenroll": lambda _: text(202, "request 0a1b2c3d4e waits", *headers)})
    with pytest.raises(Pending) as caught:
        enroll(server)
    assert caught.value.retry_after == seconds
    assert caught.value.request == "0a1b2c3d4e"


def test_202_says_what_was_shown_in_vain(start: Start) -> None:
    """What is wrong with the credential, harmless and short; nothing where nothing is said."""
    waits = f"request {'0a' * 32} waits for approval; ask again after 60 s"
    said = {"": "", "; ": "", "; card-1 is used up\x1b[1m\n": r": card-1 is used up\x1b[1m"}
    for more, shown in said.items():
        server = start({"simpleenroll": lambda _, more=more: text(202, waits + more)})
        with pytest.raises(Pending) as caught:
            enroll(server)
        assert caught.value.message == f"request 0a0a0a0a0a0a waits for a decision{shown}"
    server = start({"simpleenroll": lambda _: text(202, f"{waits}; {'x' * 5000}")})
    with pytest.raises(Pending) as caught:
        enroll(server)
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (400, Rejected, "refuses the request: no such thing"),
        (403, Rejected, "refuses the request: no such thing"),
        (404, NotFound, "no such EST service or label: no such thing"),
        (405, BadAnswer, "does not do this operation"),
        (429, Busy, "cannot answer now"),
        (500, BadAnswer, r"an error of its own \(500\): no such thing"),
        (501, BadAnswer, "does not do this operation"),
        (503, Busy, "cannot answer now: no such thing"),
        (204, BadAnswer, "unexpected status 204"),
    ],
)
def test_every_status_is_an_error_of_the_tree(
    start: Start, status: int, error: type[Exception], says: str
) -> None:
    """And the reason in a plain-text body reaches people."""
    body = "" if status == 204 else "no such thing\n"
    server = start({"simpleenroll": lambda _: text(status, body, ("Retry-After", "3"))})
    with pytest.raises(error, match=says) as caught:
        enroll(server)
    if isinstance(caught.value, Busy):
        assert caught.value.retry_after == 3
    if isinstance(caught.value, Rejected | CredentialsRefused):
        assert "ask whoever runs the CA; there, by cipsec: cipsec " in str(caught.value.hint)


def test_reasons_are_harmless_and_short(start: Start) -> None:
    """Escapes are made visible, and a novel is cut."""
    server = start({"simpleenroll": lambda _: text(403, "\x1b[2J" + "x" * 5000)})
    with pytest.raises(Rejected) as caught:
        enroll(server)
    assert r"\x1b[2J" in caught.value.message
    assert len(caught.value.message) < 500


def test_a_page_for_browsers_is_not_shown(start: Start) -> None:
    """Reasons are plain text (RFC 8951); a proxy's HTML helps nobody."""
    page = reply(403, b"<html>forbidden</html>", ("Content-Type", "text/html"))
    server = start({"simpleenroll": lambda _: page})
    with pytest.raises(Rejected, match=r"refuses the request \(403\)$"):
        enroll(server)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\0\0\0",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n!!!!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nAAAA",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 Who\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
def test_garbage_is_a_bad_answer(start: Start, garbage: bytes) -> None:
    """Whatever it is, it is said in one sentence."""
    server = start({"cacerts": lambda _: Reply([garbage], close=True)})
    with pytest.raises(BadAnswer):
        fetch_cacerts_unverified(server.url, timeout=60)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Content-Encoding", "GZIP", "it is encoded (gzip), which was not asked for"),
        ("Content-Encoding", "x\x9b2J" + "y" * 90, "it is encoded (x"),
        ("Content-Type", "multipart/mixed; boundary=x", "it is in parts (multipart/mixed) and"),
        ("Content-Type", "text/html", "the body is neither base64 nor DER"),
        ("Content-Encoding", "identity", "the body is neither base64 nor DER"),
    ],
)
def test_what_a_proxy_made_of_it_is_said(start: Start, name: str, value: str, said: str) -> None:
    """Else one looks for the fault in the server."""
    server = start({"cacerts": lambda _: reply(200, b"\x1f\x8b\x08\0", (name, value))})
    with pytest.raises(BadAnswer) as caught:
        fetch_cacerts_unverified(server.url, timeout=60)
    assert f"can be read: {said}" in caught.value.message
    assert caught.value.message.isprintable()
    assert "y" * 50 not in caught.value.message


def test_huge_answers_are_cut_off(start: Start) -> None:
    """While streaming, long before it is all there."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"A" * 2_000_000
    server = start({"cacerts": lambda _: Reply([endless], close=True)})
    with pytest.raises(BadAnswer, match="larger than"):
        fetch_cacerts_unverified(server.url, timeout=60)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_dripping_answers_end_in_time(start: Start, where: str) -> None:
    """The time limit is for the whole exchange, not from byte to byte."""
    first = b"HTTP/1.1 200 OK\r\n"
    if where == "body":
        first += b"Content-Length: 100\r\n\r\n"
    drip = Reply([first, *([b"A"] * 100)], pause=0.1)
    server = start({"cacerts": lambda _: drip})
    with pytest.raises(Unreachable, match="does not answer in time"):
        fetch_cacerts_unverified(server.url, timeout=0.8)


def test_nobody_there(start: Start) -> None:
    """Refused, unresolvable, or not TLS."""
    server = start(plain=True)
    with pytest.raises(BadAnswer, match="does not speak TLS"):
        fetch_cacerts_unverified(server.url, timeout=60)
    with pytest.raises(Unreachable, match="connection refused"):
        fetch_cacerts_unverified("https://127.0.0.1:1/x", timeout=60)
    with pytest.raises(Unreachable, match="cannot be reached"):
        fetch_cacerts_unverified("https://no.such.host.invalid/x", timeout=60)
