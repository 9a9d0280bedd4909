"""curl and openssl as an EST client: every layout of a request that clients were seen to send."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import ca, programs, serving
from tests.support.serving import Serving

pytestmark = pytest.mark.programs

_TLS = {"1.2": ["--tlsv1.2", "--tls-max", "1.2"], "1.3": ["--tlsv1.3"]}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as curl saw it; header names with the case they came in."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that grants to everybody, as a process."""
    programs.need("curl", "openssl")
    folder = tmp_path_factory.mktemp("curl")
    ca.make(folder / "ca", policy="lab")
    with serving.serving(folder / "ca") as running:
        yield running


@pytest.fixture(scope="module")
def csr_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSR made by openssl."""
    programs.need("openssl")
    return openssl_csr(tmp_path_factory.mktemp("csr"), "/CN=Drive 7")


def openssl_csr(folder: Path, subject: str, *options: str) -> Path:
    """Let openssl make a key and a CSR; return the CSR's path."""
    path = folder / "drive.csr"
    done = programs.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "drive.key",
                        "-subj", subject, "-out", path, *options)  # fmt: skip
    assert done.returncode == 0, done
    return path


def curl(server: Serving, path: str, *options: str | Path, body: bytes | None = None) -> Answer:
    """Send one request with curl and return its answer."""
    data = ["--data-binary", "@-"] if body is not None else []
    done = programs.run("curl", "-sS", "-i", "--cacert", server.anchor, *options, *data,
                        f"{server.url}/{path}", stdin=body or b"")  # fmt: skip
    assert done.returncode == 0, done
    return parse(done.stdout)


def parse(output: bytes) -> Answer:
    """Take curl's output apart, after any `100 Continue`."""
    while output.startswith(b"HTTP/1.1 100"):
        output = output.partition(b"\r\n\r\n")[2]
    head, _, body = output.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]), headers, body)


def enroll(server: Serving, body: bytes, *options: str | Path) -> Answer:
    """POST a CSR to /simpleenroll."""
    kind: tuple[str, ...] = ("-H", "Content-Type: application/pkcs10")
    if "-H" in options:
        kind = ()
    return curl(server, "simpleenroll", *kind, *options, body=body)


def subject_of(answer: Answer) -> str:
    """Let openssl read the certificate in an answer and return its subject."""
    der = base64.b64decode(answer.body)
    done = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=der)
    assert done.returncode == 0, done
    return done.stdout.decode()


def _bodies(pem: bytes) -> dict[str, bytes]:
    text = re.sub(rb"-----.*?-----|\s", b"", pem)
    der = base64.b64decode(text)
    return {
        "64 columns": base64.encodebytes(der),
        "one line, no line feed": text,
        "one line and a line feed": text + b"\n",
        "CRLF": b"\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)) + b"\r\n",
        "PEM": pem,
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "DER": der,
        "spaces and tabs": b" \t" + b" \n\t".join(text[i : i + 40] for i in range(0, 400, 40))
        + text[400:],
    }  # fmt: skip


def _last(options: tuple[str, ...]) -> str:
    return options[-1]


_LAYOUTS = ("64 columns", "one line, no line feed", "one line and a line feed", "CRLF", "PEM",
            "PEM with CRLF", "DER", "spaces and tabs")  # fmt: skip


@pytest.mark.parametrize("tls", _TLS)
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_takes_a_csr_in_every_layout(server: Serving, csr_pem: Path, layout: str, tls: str) -> None:
    """Base64 in any lines, PEM armour and DER all get the certificate (interop rule 1)."""
    answer = enroll(server, _bodies(csr_pem.read_bytes())[layout], *_TLS[tls])
    assert answer.status == 200
    assert "Drive 7" in subject_of(answer)


@pytest.mark.parametrize(
    "options",
    [
        ("-H", "Content-Type: application/pkcs10; charset=utf-8"),
        ("-H", "Content-Type: APPLICATION/PKCS10"),
        ("-H", "Content-Type: application/pkcs10", "-H", "Transfer-Encoding: chunked"),
        ("-H", "Content-Type: application/pkcs10", "-H", "Expect: 100-continue"),
        ("-H", "Content-Type: application/pkcs10", "-H", "Content-Transfer-Encoding: base64"),
        ("-H", "Content-Type: application/pkcs10", "-H", "Content-Transfer-Encoding: binary"),
        ("-H", "Content-Type: application/pkcs10", "--http1.0"),
    ],
    ids=_last,
)
def test_takes_every_manner_of_request(
    server: Serving, csr_pem: Path, options: tuple[str, ...]
) -> None:
    """Media-type parameters, chunks, Expect and any transfer encoding header are taken."""
    answer = enroll(server, csr_pem.read_bytes(), *options)
    assert answer.status == 200
    assert "Drive 7" in subject_of(answer)


def test_answers_an_enrollment_as_all_clients_read_it(server: Serving, csr_pem: Path) -> None:
    """Canonical header names, a length, smime-type, one short line of base64, under 1 KiB."""
    answer = enroll(server, csr_pem.read_bytes())
    assert answer.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert answer.headers["Content-Transfer-Encoding"] == "base64"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert "Transfer-Encoding" not in answer.headers
    assert answer.body.count(b"\n") == 1
    assert answer.body.endswith(b"\n")
    assert sum(len(n) + len(v) + 4 for n, v in answer.headers.items()) < 900


def test_answers_cacerts_with_the_bare_type(server: Serving) -> None:
    """BouncyCastle before 1.69 compares the whole Content-Type of /cacerts."""
    answer = curl(server, "cacerts")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pkcs7-mime")
    assert "CN = Line 4" in subject_of(answer)


def test_answers_csrattrs_with_an_empty_sequence(server: Serving) -> None:
    """200 with an empty SEQUENCE is what every client reads (RFC 7030 section 4.5.2)."""
    answer = curl(server, "csrattrs")
    assert (answer.status, base64.b64decode(answer.body)) == (200, b"\x30\x00")
    assert answer.headers["Content-Type"] == "application/csrattrs"


def test_certificate_is_accepted_by_openssl(server: Serving, csr_pem: Path, tmp_path: Path) -> None:
    """openssl verifies what was issued, strictly, for both purposes of an endpoint."""
    path = tmp_path / "certificate.pem"
    path.write_text(subject_of(enroll(server, csr_pem.read_bytes())))
    for purpose in ("sslserver", "sslclient"):
        done = programs.run("openssl", "verify", "-x509_strict", "-purpose", purpose,
                            "-CAfile", server.anchor, path)  # fmt: skip
        assert done.returncode == 0, done


@pytest.mark.parametrize("tls", _TLS)
def test_self_signed_client_certificate_gets_an_http_answer(
    server: Serving, csr_pem: Path, tmp_path: Path, tls: str
) -> None:
    """A device that presents its self-signed default certificate is answered, not cut off."""
    certificate, key = tmp_path / "self.pem", tmp_path / "self.key"
    done = programs.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                        "/CN=Default", "-keyout", key, "-out", certificate)  # fmt: skip
    assert done.returncode == 0, done
    options: list[str | Path] = ["--cert", certificate, "--key", key, *_TLS[tls]]
    answer = enroll(server, csr_pem.read_bytes(), *options)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "options", "body", "status"),
    [
        ("simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"", 400),
        ("simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"not a CSR", 400),
        ("simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"\x30\x82\xff\xff" * 9, 400),
        ("simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"A" * 300_000, 413),
        ("simpleenroll", ("-H", "Content-Type: text/html"), b"MIIB", 415),
        ("simpleenroll", (), None, 405),
        ("cacerts", ("-X", "DELETE"), None, 405),
        ("unknown/simpleenroll", ("-H", "Content-Type: application/pkcs10"), b"MIIB", 404),
        ("nothing", (), None, 404),
        ("../../etc/passwd", ("--path-as-is",), None, 404),
        ("fullcmc", ("-H", "Content-Type: application/pkcs7-mime"), b"MIIB", 501),
        ("serverkeygen", ("-H", "Content-Type: application/pkcs10"), b"MIIB", 501),
    ],
)
def test_bad_requests_get_their_status(
    server: Serving, path: str, options: tuple[str, ...], body: bytes | None, status: int
) -> None:
    """What is wrong with a request is answered in HTTP, as plain text with a reason."""
    answer = curl(server, path, *options, body=body)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body.strip()


def test_kept_alive_connection_serves_several_requests(server: Serving, csr_pem: Path) -> None:
    """curl fetches /cacerts and enrolls on one connection."""
    done = programs.run("curl", "-sS", "-v", "--cacert", server.anchor, f"{server.url}/cacerts",
                        "--next", "-sS", "-v", "--cacert", server.anchor,
                        "-H", "Content-Type: application/pkcs10", "--data-binary",
                        f"@{csr_pem}", f"{server.url}/simpleenroll")  # fmt: skip
    assert done.returncode == 0, done
    assert done.stderr.count(b"TLS handshake, Finished") + done.stderr.count(b"Connected to") > 0
    assert b"Re-using existing connection" in done.stderr


def test_password_is_asked_for_and_taken(tmp_path: Path, csr_pem: Path) -> None:
    """curl --anyauth waits for the 401 and its challenge, then logs in with Basic."""
    programs.need("curl", "openssl")
    ca.make(tmp_path / "ca", policy="password")
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    serving.result("user", "add", "alice", "--password-file", password, "--ca-dir", tmp_path / "ca")
    with serving.serving(tmp_path / "ca") as running:
        body = csr_pem.read_bytes()
        refused = enroll(running, body)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        assert enroll(running, body, "-u", "alice:wrong").status == 401
        assert enroll(running, body, "-u", "alice:correct horse battery").status == 200


def test_pending_request_is_approved_and_received(ca_folder: CaFolder, csr_pem: Path) -> None:
    """202 with seconds in Retry-After; after `ca approve` the same CSR gets its certificate."""
    programs.need("curl", "openssl")
    folder = ("--ca-dir", ca_folder.path)
    with serving.serving(ca_folder.path) as running:
        body = csr_pem.read_bytes()
        waiting = enroll(running, body)
        assert waiting.status == 202
        assert waiting.headers["Retry-After"].isdecimal()
        request = serving.result("ca", "pending", *folder)["requests"][0]
        assert request["proved"] == "nothing"
        decided = serving.result("ca", "approve", request["id"], *folder)["decisions"][0]
        assert (decided["outcome"], decided["changed"]) == ("approved", True)
        first, second = enroll(running, body), enroll(running, body)
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert len(serving.result("ca", "list", "--match", "Drive 7", *folder)["certificates"]) == 1
