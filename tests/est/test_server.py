"""The EST server as a function: paths, bodies, headers and status codes; nothing makes it raise."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.est import wire
from cipsec.est.wire import Peer, Request, Response
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import parse_subject
from tests.support import ca, der, est, programs
from tests.support.est import PASSWORD, Server, get, header, post, reason

# cryptography warns of names that are longer than X.520 allows; the command line silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LABELS = '[server]\nlabels = ["line-3", "old"]\none_line = ["old"]\n'
HEAD = LABELS + est.RENEWAL + est.USERS + est.ASK
EST = wire.WELL_KNOWN


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
        "/.well-known/est/crls",
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
    mine = ca.request()
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
        in_lines = server.enroll(mine, label="line-3").body
        in_one = server.enroll(mine, label="old").body
    assert len(in_one) > 1024
    assert max(map(len, in_lines.split(b"\n"))) == 64
    assert in_one.count(b"\n") == 1
    assert base64.b64decode(in_lines) == base64.b64decode(in_one)


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
        server.enroll(ca.request(), login=login),
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


# Bodies.


def layouts() -> dict[str, bytes]:
    """Return one CSR as different clients send it."""
    raw = asked().der
    line = base64.b64encode(raw)
    lines = base64.encodebytes(raw)
    return {
        "lines": lines,
        "CRLF": lines.replace(b"\n", b"\r\n"),
        "one line": line,
        "one line, LF": line + b"\n",
        "blanks": line.replace(b"M", b" \tM"),
        "PEM": asked().parsed.public_bytes(Encoding.PEM),
        "PEM as NEW": der.pem("NEW CERTIFICATE REQUEST", raw),
        "DER": raw,
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize(
    "kind", ["application/pkcs10", "Application/PKCS10; charset=us-ascii", "application/pkcs10 ;x"]
)
def test_every_layout_of_a_csr_is_read(layout: str, kind: str, server: Server) -> None:
    """And all of them are the same request."""
    response = server.answer(post(layouts()[layout], content_type=kind))
    assert est.identifier(response) == est.identifier(server.enroll(asked()))


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/pkcs7-mime",
        "text/plain",
        "application/pkcs10x",
        "x; application/pkcs10",
    ],
)
def test_other_media_types(kind: str | None, server: Server) -> None:
    """415, with the one that is taken; also without any."""
    response = server.answer(post(asked().der, content_type=kind))
    said = "send the CSR with Content-Type: application/pkcs10"
    assert (response.status, reason(response)) == (415, said)


def signed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    """Return a CSR for a key that no endpoint should have."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(parse_subject("CN=Drive 7"))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def over_sha1() -> bytes:
    """Return a CSR whose good signature is over SHA-1."""
    info = asked_by_hand()
    signature = der.KEY.sign(info, ec.ECDSA(hashes.SHA1()))
    return der.sequence(
        info, der.sequence(der.oid("1.2.840.10045.4.1")), der.tlv(0x03, b"\0", signature)
    )


def asked_by_hand() -> bytes:
    """Return the signed part of the CSR that tests/support/der.py makes."""
    return x509.load_der_x509_csr(der.request()).tbs_certrequest_bytes


def stolen_key() -> bytes:
    """Return a CSR for somebody else's key: signed, but not with it."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    return der.request().replace(keys.spki(der.KEY.public_key()), keys.spki(other))


BAD_BODIES = {
    "empty": (b"", "the body is empty"),
    "blank": (b" \r\n", "the body is empty"),
    "text": (b"please", "this is not a certificate signing request: its DER does not decode"),
    "not base64": (b"%%%%", "the body is neither base64 nor DER"),
    "HTML": (b"<html></html>", "the body is neither base64 nor DER"),
    "UTF-8": ("ж".encode() * 8, "the body is neither base64 nor DER"),
    "cut": (asked().der[:-1], "this is not a certificate signing request: its DER does not"),
    "more": (asked().der + b"\0", "this is not a certificate signing request: its DER does not"),
    "certificate": (der.certificate(), "this is not a certificate signing request"),
    "version": (der.request(version=1), "this is not a certificate signing request: 1 is not a"),
    "oversized": (
        der.sequence(b"\0" * 70_000),
        "a CSR of 70005 bytes is too large",
    ),
    "signature": (
        asked().der[:-1] + bytes([asked().der[-1] ^ 1]),
        "the CSR's signature is not made with its own key",
    ),
    "stolen key": (stolen_key(), "the CSR's signature is not made with its own key"),
    "SHA-1": (over_sha1(), "the CSR is signed with a hash that is not served; use SHA-256"),
    "P-521": (
        signed(ec.generate_private_key(ec.SECP521R1())),
        "keys on the curve secp521r1 are not served; use P-256",
    ),
    "secp256k1": (
        signed(ec.generate_private_key(ec.SECP256K1())),
        "keys on the curve secp256k1 are not served; use P-256",
    ),
    "RSA-1024": (
        signed(rsa.generate_private_key(65537, 1024)),
        "an RSA key of 1024 bits is not served; use 2048 or more",
    ),
    "Ed25519": (
        signed(ed25519.Ed25519PrivateKey.generate()),
        "keys of the kind ed25519 are not served; use EC P-256",
    ),
    "attributes twice": (
        der.request(der.attribute(der.CHALLENGE, b"\x0c\x01a", b"\x0c\x01b")),
        "this is not a certificate signing request",
    ),
    "extensions twice": (
        der.request(der.requested(*[der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")] * 2)),
        "this is not a certificate signing request",
    ),
    "name": (
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff"))),
        "this is not a certificate signing request",
    ),
}


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize("encode", [bytes, base64.encodebytes], ids=["raw", "base64"])
def test_what_is_no_good_csr(body: str, encode: type[bytes], server: Server) -> None:
    """400 with the reason in one line, whatever is wrong with it; nothing is recorded."""
    content, expected = BAD_BODIES[body]
    if encode is not bytes and body in ("empty", "blank", "text", "not base64", "HTML", "UTF-8"):
        expected = "the body is empty" if not content else "this is not a certificate signing"
    before = len(server.requests()), len(server.events())
    response = server.answer(post(encode(content)))
    assert response.status == 400
    assert reason(response).startswith(expected)
    assert (len(server.requests()), len(server.events())) == before


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
        "Basic " + base64.b64encode(b"a:" + b"x" * 3000).decode(),
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


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_has_no_case(scheme: str, server: Server) -> None:
    """RFC 9110 section 11.1."""
    value = f"{scheme} {base64.b64encode(f'anna:{PASSWORD}'.encode()).decode()}"
    mine = ca.request()
    headers = {"content-type": wire.PKCS10, "authorization": value}
    request = Request("POST", f"{EST}/simpleenroll", headers, mine.der, Peer("192.0.2.7"))
    assert est.certificate(server.answer(request)).public_key() == mine.public_key


def test_a_password_may_hold_colons_and_any_letter(server: Server) -> None:
    """The first colon ends the name (RFC 7617 section 2); the rest is UTF-8."""
    server.add_user("berta", "a:b:Ü😀 ")
    assert server.enroll(ca.request(), login=("berta", "a:b:Ü😀 ")).status == 200


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
        server.enroll(ca.request(), login=("anna", PASSWORD)),
    ]
    assert [answer.status for answer in answers] == [401, 401, 403, 200]
    shown = [repr(answers), caplog.text, *map(repr, server.events())]
    shown[2:] = [text for text in shown[2:] if f"user {secret}" not in text]  # as a name it is one
    for text in (secret, PASSWORD, binding.decode(), "binding-binding"):
        assert not any(text in where for where in shown)
    assert secret not in repr(post(b"", login=("anna", secret)))


# Anything at all.


def check(server: Server, request: Request) -> Response:
    """Answer, and check that it is an answer: no exception, no status of 500 or more."""
    response = server.answer(request)
    assert response.status in (200, 202, 400, 401, 403, 404, 405, 415, 501)
    assert response.status != 501 or request.path.endswith(("fullcmc", "serverkeygen"))
    for name, value in response.headers:
        assert "\r" not in name + value
        assert "\n" not in name + value
    if (
        header(
            response,
            "Content-Type",
        )
        == "text/plain; charset=utf-8"
    ):
        assert response.body.count(b"\n") == 1
        assert response.body[:-1].decode().isprintable()
    return response


texts = st.text(max_size=40)
paths = st.one_of(
    texts,
    st.lists(
        st.sampled_from(["", ".well-known", "est", "line-3", "cacerts", "simpleenroll", "fullcmc"])
        | texts
    ).map("/".join),
)
field_names = st.sampled_from(["content-type", "authorization", "host", "expect"]) | texts
field_values = (
    st.sampled_from([wire.PKCS10, est.basic("a", "b" * 8), "Basic", "Basic " * 9]) | texts
)


@settings(deadline=None)
@given(
    where=st.tuples(st.sampled_from(["GET", "POST", "HEAD"]) | texts, paths),
    headers=st.dictionaries(field_names, field_values, max_size=4),
    body=st.binary(max_size=200),
    chain=st.lists(st.binary(max_size=50), max_size=2),
)
def test_any_request_is_answered(
    where: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    chain: list[bytes],
    server: Server,
) -> None:
    """Whatever method, path, headers, body and client certificate."""
    check(server, Request(*where, headers, body, Peer("192.0.2.7", tuple(chain))))


bodies = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=300).map(base64.encodebytes),
    st.text(alphabet="-BEGIN CERTIFICATE REQUEST\nMII=+/ ", max_size=200).map(str.encode),
)


@settings(deadline=None)
@given(body=bodies)
def test_any_body_is_answered(body: bytes, server: Server) -> None:
    """Whatever is sent as a CSR and is none: 400."""
    assert check(server, post(body)).status == 400


RICH = der.request(
    der.attribute(der.CHALLENGE, b"\x0c\x04YWJj"),
    der.requested(
        der.extension(der.BASIC_CONSTRAINTS, b"\x30\x00", critical=True),
        der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80", critical=True),
        der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"drive-7.plant"))),
        der.extension("2.5.29.9", bytes.fromhex("3000")),
    ),
    subject=der.name(
        (der.COUNTRY, der.PRINTABLE, b"DE"),
        (der.COMMON_NAME, der.UTF8, b"Drive 7"),
        (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
    ),
)


@settings(deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=5
    )
)
def test_a_damaged_csr_is_answered(changes: list[tuple[int, int]], server: Server) -> None:
    """However a good CSR is changed, by chance or on purpose, its signature being what it is."""
    damaged = bytearray(RICH)
    for place, value in changes:
        damaged[place] = value
    check(server, post(bytes(damaged)))


INFO = x509.load_der_x509_csr(RICH).tbs_certrequest_bytes


@settings(deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(INFO) - 1), st.integers(0, 255)), min_size=1, max_size=3
    )
)
def test_a_strange_csr_with_a_good_signature_is_answered(
    changes: list[tuple[int, int]], lab: Server
) -> None:
    """What was signed as it is reaches the rules, the certificate and the record: no exception."""
    strange = bytearray(INFO)
    for place, value in changes:
        strange[place] = value
    response = check(lab, post(der._signed(bytes(strange))))
    if response.status == 200:
        est.certificate(response)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that grants to everybody, and does not mind the channel binding."""
    text = '[server]\nchallenge_password = "ignore"\n' + est.LAB
    with est.serving(tmp_path_factory.mktemp("lab"), text) as server:
        yield server
