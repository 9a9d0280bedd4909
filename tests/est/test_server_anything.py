"""Anything at all is answered: no request makes the EST server raise, or blame itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cipsec.est import wire
from cipsec.est.wire import Peer, Request, Response
from tests.support import der, est
from tests.support.est import Server, header, post

# cryptography warns of names that are longer than X.520 allows; the command line silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a label, a user, and an answer of its own for each kind of applicant."""
    text = '[server]\nlabels = ["line-3"]\n' + est.RENEWAL + est.USERS + est.ASK
    with est.serving(tmp_path_factory.mktemp("anything"), text) as server:
        yield server


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
