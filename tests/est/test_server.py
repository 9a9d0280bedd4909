"""The EST server as a function: paths, headers, logins and status codes."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.est import wire
from cipsec.est.wire import Peer, Request
from cipsec.pki.csr import CertificateRequest
from tests.support import ca, est, programs
from tests.support.est import PASSWORD, Server, get, header, post, reason

LABELS = '[server]\nlabels = ["line-3", "old"]\none_line = ["old"]\n'
HEAD = LABELS + est.RENEWAL + est.USERS + est.ASK
EST = wire.WELL_KNOWN
PC = "CN=engineering-pc"  # a password proves no device


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two labels that asks about everybody but users and its own devices."""
    with est.serving(tmp_path_factory.mktemp("est"), HEAD) as server:
        server.add_user("anna")
        yield server


@functools.cache
def asked() -> CertificateRequest:
    """One device's CSR; making keys takes time."""
    return ca.request()


# Paths and methods.


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/.well-known/est",
        "/.well-known/est/",
        "/.well-known/est/other",
        "/.well-known/est/CACERTS",
        "/.well-known/est/cacerts/",
        "/.well-known/est/line-3",
        "/.well-known/est/line-3/",
        "/.well-known/acme/cacerts",
        "/est/cacerts",
        "//.well-known/est/cacerts",
        "https://plant.local/.well-known/est/cacerts",
        "/.well-known/est/simple%65nroll",
        "/.well-known/est/../est/cacerts/../x",
        "/.well-known/est/cacerts?",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_found(method: str, path: str, server: Server) -> None:
    """Whatever is no operation of RFC 7030 is 404, and the text says where they are."""
    response = server.answer(get(path, method))
    assert response.status == 404
    assert reason(response) == "this is an EST server; its paths begin with /.well-known/est/"


@pytest.mark.parametrize("label", ["line-4", "LINE-3", "line-3/line-3", "cacerts", "..", "é", " "])
@pytest.mark.parametrize("operation", ["cacerts", "csrattrs", "simpleenroll", "simplereenroll"])
def test_unknown_labels_are_not_found(operation: str, label: str, server: Server) -> None:
    """A label that ca.toml does not name is 404, before anything else is looked at."""
    response = server.answer(get(f"{EST}/{label}/{operation}", "DELETE"))
    assert (response.status, reason(response)) == (404, "this label is not known here")


@pytest.mark.parametrize("label", ["", "/line-3"])
@pytest.mark.parametrize("operation", ["fullcmc", "serverkeygen"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_offered(method: str, operation: str, label: str, server: Server) -> None:
    """Operations of RFC 7030 that are not implemented are 501, and said to be."""
    response = server.answer(get(f"{EST}{label}/{operation}", method))
    assert (response.status, reason(response)) == (501, f"{operation} is not offered")


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("cacerts", "GET"),
        ("csrattrs", "GET"),
        ("simpleenroll", "POST"),
        ("simplereenroll", "POST"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW", "get"])
def test_other_methods_are_told_the_right_one(
    method: str, operation: str, allowed: str, server: Server
) -> None:
    """405 with Allow (RFC 9110 section 15.5.6)."""
    response = server.answer(get(f"{EST}/line-3/{operation}", method))
    if method == allowed:
        assert response.status != 405
    else:
        assert (response.status, header(response, "Allow")) == (405, allowed)
        assert reason(response) == f"{operation} takes {allowed}"


# What is handed out to everybody.


@pytest.mark.parametrize("label", ["", "/line-3", "/old"])
def test_cacerts(label: str, server: Server) -> None:
    """The CA's certificate, certs-only, base64; the media type bare, for old BouncyCastle."""
    response = server.answer(get(f"{EST}{label}/cacerts"))
    assert response.status == 200
    assert header(response, "Content-Type") == "application/pkcs7-mime"
    assert header(response, "Content-Transfer-Encoding") == "base64"
    found = wire.parse_certs_only(base64.b64decode(response.body))
    assert found == [server.authority.certificate]


@pytest.mark.programs
def test_openssl_reads_cacerts(server: Server) -> None:
    """`openssl pkcs7` prints the certificate; OpenSSL's base64 decoder takes the layout."""
    programs.need("openssl")
    body = server.answer(get(f"{EST}/cacerts")).body
    decoded = programs.run("openssl", "base64", "-d", stdin=body)
    shown = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=decoded.stdout)
    assert shown.returncode == 0, shown.stderr
    pem = shown.stdout[shown.stdout.index(b"-----BEGIN") :]
    assert x509.load_pem_x509_certificate(pem) == server.authority.certificate


def test_csrattrs(server: Server) -> None:
    """An empty SEQUENCE with 200: nothing is wanted, in the words that every client reads."""
    response = server.answer(get(f"{EST}/csrattrs"))
    assert response.status == 200
    assert header(response, "Content-Type") == "application/csrattrs"
    assert base64.b64decode(response.body) == b"\x30\x00"


def test_an_issued_certificate(server: Server) -> None:
    """The answer to an enrollment: only the certificate, and smime-type for libest."""
    mine = ca.request(PC)
    response = server.enroll(mine, login=("anna", PASSWORD))
    assert header(response, "Content-Type") == "application/pkcs7-mime; smime-type=certs-only"
    assert header(response, "Content-Transfer-Encoding") == "base64"
    certificate = est.certificate(response)
    assert certificate.public_key() == mine.public_key
    certificate.verify_directly_issued_by(server.authority.certificate)
    assert response.body.endswith(b"\n")


def test_long_answers_are_in_lines_but_for_old_clients(tmp_path: Path) -> None:
    """Beyond 1 KiB base64 is in lines of 64, for libest; the labels of `one_line` get one."""
    with est.serving(tmp_path, LABELS + est.LAB) as server:
        mine = ca.request(sans=[f"dns:drive-7-{n}.plant.example" for n in range(30)])
        in_lines = server.enroll(mine, label="line-3")
        in_one = server.enroll(mine, label="old")
    assert len(in_one.body) > 1024
    assert max(map(len, in_lines.body.split(b"\n"))) == 64
    assert in_one.body.count(b"\n") == 1
    for response in (in_lines, in_one):
        assert est.certificate(response).public_key() == mine.public_key
    # Each label is an enrollment of its own: they may be there for different rules.
    assert est.certificate(in_lines) != est.certificate(in_one)


def test_headers_are_few_and_spelled_as_clients_expect(server: Server) -> None:
    """strongSwan reads at most 1 KiB of headers, libest compares their names with case."""
    login = ("anna", PASSWORD)
    responses = [
        server.answer(get(f"{EST}/cacerts")),
        server.answer(get(f"{EST}/csrattrs")),
        server.answer(get(f"{EST}/nothing")),
        server.answer(get(f"{EST}/cacerts", "POST")),
        server.answer(get(f"{EST}/fullcmc", "POST")),
        server.answer(post(b"")),
        server.answer(post(b"", content_type=None)),
        server.enroll(asked()),
        server.enroll(ca.request(PC), login=login),
        server.enroll(ca.request(), login=("anna", "wrong"), address="192.0.2.99"),
        server.enroll(ca.request(sans=["dns:plant.local"])),
    ]
    assert [r.status for r in responses] == [
        200, 200, 404, 405, 501, 400, 415, 202, 200, 401, 403,
    ]  # fmt: skip
    for response in responses:
        block = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
        assert len(block) < 300
        assert all(re.fullmatch(r"[!-~][ -~]*", value) for _, value in response.headers)
        assert {name for name, _ in response.headers} <= {
            "Content-Type",
            "Content-Transfer-Encoding",
            "Allow",
            "Retry-After",
            "WWW-Authenticate",
        }


# Logins.


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic YW5uYQ==",  # no colon
        "Basic /////w==",  # no UTF-8
        "Basic %%%",
        "Basic YW5uYTp4 eA==",
        "Basic \u00e9",
        "Bearer abc",
        'Digest username="anna"',
        "Negotiate YII=",
        "anna:password",
    ],
)
def test_credentials_that_cannot_be_read(value: str, server: Server) -> None:
    """401 with a challenge, and nothing of what was sent comes back."""
    request = post(asked().der)
    response = server.answer(
        Request("POST", request.path, {**request.headers, "authorization": value}, asked().der,
                request.peer)
    )  # fmt: skip
    assert response.status == 401
    assert header(response, "WWW-Authenticate") == 'Basic realm="EST"'
    assert value.partition(" ")[2] not in reason(response) or not value.partition(" ")[2]


def test_endless_credentials_are_not_looked_at(server: Server) -> None:
    """Names are remembered after failures: how long they are is bounded."""
    before = len(server.events())
    response = server.enroll(asked(), login=("x" * 1600, "x" * 30))
    assert (response.status, reason(response)) == (401, "the Basic credentials are too long")
    assert len(server.events()) == before


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_has_no_case(scheme: str, server: Server) -> None:
    """RFC 9110 section 11.1."""
    value = f"{scheme} {base64.b64encode(f'anna:{PASSWORD}'.encode()).decode()}"
    mine = ca.request(PC)
    headers = {"content-type": wire.PKCS10, "authorization": value}
    request = Request("POST", f"{EST}/simpleenroll", headers, mine.der, Peer("192.0.2.7"))
    assert est.certificate(server.answer(request)).public_key() == mine.public_key


def test_a_password_may_hold_colons_and_any_letter(server: Server) -> None:
    """The first colon ends the name (RFC 7617 section 2); the rest is UTF-8."""
    server.add_user("berta", "a:b:Ü😀 ")
    assert server.enroll(ca.request("CN=berta-pc"), login=("berta", "a:b:Ü😀 ")).status == 200


def test_nothing_secret_is_in_answers_events_or_logs(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a wrong password nor a right one, nor a channel binding."""
    caplog.set_level("DEBUG")
    secret, binding = "hunter2-hunter2", base64.b64encode(b"binding-binding")
    answers = [
        server.enroll(ca.request(), login=("anna", secret), address="192.0.2.77"),
        server.enroll(ca.request(), login=(secret, secret), address="192.0.2.78"),
        server.enroll(ca.request(challenge=binding)),
        server.enroll(ca.request(PC), login=("anna", PASSWORD)),
    ]
    assert [answer.status for answer in answers] == [401, 401, 403, 200]
    shown = [repr(answers), caplog.text, *map(repr, server.events())]
    shown[2:] = [text for text in shown[2:] if f"user {secret}" not in text]  # as a name it is one
    for text in (secret, PASSWORD, binding.decode(), "binding-binding"):
        assert not any(text in where for where in shown)
    assert secret not in repr(post(b"", login=("anna", secret)))
