"""A CA whose key is on a PKCS#11 token: made, served, pulled, imported, its PIN seen nowhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.ca_folder import CaFolder, open_folder
from cipsec.token.module import module
from tests.support import ca, programs, serving, softhsm, upper
from tests.support.serving import Serving
from tests.support.softhsm import PIN, SoftHsm
from tests.support.terminal import at_terminal

from .conftest import Cipsec


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """An empty token."""
    with softhsm.token(tmp_path / "hsm", monkeypatch) as made:
        yield made


@pytest.fixture
def place(cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path) -> Path:
    """The folder of a CA that grants, its key on the token, its PIN to be given."""
    place = tmp_path / "ca"
    argv = ["ca", "init", "--name", "Line 4", "--policy", "lab", "--ca-dir", place]
    ran = cipsec(*argv, "--key", hsm.uri(), "--passphrase-file", hsm.pin_file)
    assert ran.code == 0, ran.err
    assert "cipsec: made the key line-4 on the token plant" in ran.err
    assert PIN not in ran.out + ran.err
    return place


def test_the_folder_has_no_key(cipsec: Cipsec, place: Path, hsm: SoftHsm) -> None:
    """It says where the key is, without the PIN; so do `ca show` and the folder's own functions."""
    assert not (place / "ca.key").exists()
    said = (place / "ca.pkcs11").read_text()
    assert said.startswith("# The CA's key is on this PKCS#11 token, and in no copy of this folder")
    assert PIN not in said
    folder = open_folder(place)
    uri = folder.key_uri()
    assert uri is not None
    assert (uri.token, uri.object, bool(uri.id)) == ("plant", "line-4", True)
    shown = cipsec("ca", "show", "--ca-dir", place, "--json").json["ca"]
    assert (shown["key"], shown["key_type"], shown["key_encrypted"]) == (str(uri), "ec-p256", True)
    again = cipsec("ca", "init", "--name", "X", "--key", hsm.uri(), "--ca-dir", place)
    assert again.code == 6


def test_signing_by_hand(cipsec: Cipsec, place: Path, hsm: SoftHsm, tmp_path: Path) -> None:
    """`ca issue` signs on the token; openssl verifies; the certificate is on record."""
    request = ca.write_pem(tmp_path / "x.csr", ca.request())
    argv = ["ca", "issue", request, "--ca-dir", place, "-o", tmp_path / "x.pem"]
    nobody = cipsec(*argv)
    assert (nobody.code, "PIN of the token plant is needed" in nobody.err) == (2, True)
    ran = cipsec(*argv, "--passphrase-file", hsm.pin_file)
    assert ran.code == 0, ran.err
    done = programs.run("openssl", "verify", "-CAfile", place / "ca.pem", tmp_path / "x.pem")
    assert done.returncode == 0, done
    assert len(cipsec("ca", "list", "--ca-dir", place, "--json").json["certificates"]) == 1


def test_the_pin_at_a_terminal(hsm: SoftHsm, place: Path, tmp_path: Path) -> None:
    """It is asked for and not shown; a wrong one is exit 6 and signs nothing."""
    request = ca.write_pem(tmp_path / "x.csr", ca.request())
    argv = ["ca", "issue", str(request), "--ca-dir", str(place)]
    wrong = at_terminal(argv, ("PIN of the token plant: ", "0000\n"))
    assert (wrong.code, "each wrong one costs a try" in wrong.screen) == (6, True)
    done = at_terminal(argv, ("PIN of the token plant: ", f"{PIN}\n"))
    assert (done.code, PIN in done.screen) == (0, False), done.screen


def test_provisioning(cipsec: Cipsec, place: Path, hsm: SoftHsm, tmp_path: Path) -> None:
    """The issuer of provisioning certificates has its key in a file, not under the PIN."""
    argv = ["ca", "provision", "card-1", "-o", tmp_path / "card", "--ca-dir", place]
    assert cipsec(*argv, "--passphrase-file", hsm.pin_file).code == 0
    key = place / "provisioning.key"
    assert b"ENCRYPTED" not in key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


def test_below_a_root(cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path) -> None:
    """Request, certificate, and signing: --intermediate and --key go together."""
    place, root = tmp_path / "sub", upper.root()
    argv = ["ca", "init", "--intermediate", "--ca-dir", place]
    key = ("--key", hsm.uri(pin_source=True), "--key-type", "rsa-2048")
    ran = cipsec(*argv, "--name", "Line 4", "--policy", "lab", *key)
    assert ran.code == 0, ran.err
    own = root.answer(place / "ca.csr")
    given = upper.write(tmp_path / "given.pem", own, root.certificate)
    assert cipsec(*argv, "--certificate", given).code == 0
    folder = open_folder(place)
    assert not folder.is_encrypted()  # its PIN is where the URI says: nobody is asked
    issued = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    issued.verify_directly_issued_by(own)


def test_importing(cipsec: Cipsec, place: Path, hsm: SoftHsm, tmp_path: Path) -> None:
    """A CA whose key is on a token goes on elsewhere; a key that is not there is not made."""
    pin = ("--passphrase-file", hsm.pin_file, "--ca-dir", tmp_path / "again")
    argv = ["ca", "init", "--certificate", place / "ca.pem", *pin]
    missing = cipsec(*argv, "--import", hsm.uri("other"))
    assert (missing.code, "there is no private key other" in missing.err) == (6, True)
    assert "other" not in hsm.tool("--list-objects")
    ran = cipsec(*argv, "--import", hsm.uri())
    assert ran.code == 0, ran.err
    assert "cipsec: found the key line-4" in ran.err
    assert "still holds the key" not in ran.err
    assert open_folder(tmp_path / "again").certificate() == open_folder(place).certificate()
    open_folder(tmp_path / "again").authority(PIN)


def test_mistakes(cipsec: Cipsec, hsm: SoftHsm, tmp_path: Path) -> None:
    """One line and something to type, no folder, and no PIN on any stream."""
    (tmp_path / "wrong").write_text("9999\n")
    pin, wrong = ("--passphrase-file", hsm.pin_file), ("--passphrase-file", tmp_path / "wrong")
    uri = hsm.uri()
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("--key", uri), 2, "add --passphrase-file FILE"),
        (("--key", uri, *wrong), 6, "not the PIN of the token plant"),
        (("--key", f"{uri}&pin-value={PIN}"), 2, "can be read by others"),
        (("--key", "ca.key", *pin), 2, "is not a PKCS#11 URI"),
        (("--key", uri.replace("plant", "none"), *pin), 6, "the token none is not there"),
        (("--key", hsm.uri(module=tmp_path / "no.so"), *pin), 6, "cannot be loaded"),
        (("--key", uri, "--no-passphrase"), 2, "--no-passphrase has no effect"),
        (("--key", uri, "--import", "x", *pin), 2, "imported from a file, or used where"),
        (("--key", uri, "--key-type", "ec-p521", *pin), 2, "is not a key type"),
    ]
    for more, code, said in cases:
        ran = cipsec("ca", "init", "--name", "Line 4", "--ca-dir", tmp_path / "ca", *more)
        assert (ran.code, said in ran.err) == (code, True), (more, ran.err)
        assert "cipsec: hint: " in ran.err
        assert PIN not in ran.out + ran.err
        assert not (tmp_path / "ca").exists()


def test_the_passphrase_of_a_token(cipsec: Cipsec, place: Path, hsm: SoftHsm) -> None:
    """The PIN is changed with the token's own program, as the hint says."""
    ran = cipsec("ca", "passphrase", "--no-passphrase", "--ca-dir", place)
    assert ran.code == 2
    assert f"pkcs11-tool --module {softhsm.MODULE} --login --change-pin" in ran.err


def test_doctor(cipsec: Cipsec, place: Path, hsm: SoftHsm) -> None:
    """It sees the token, whether it is there, and a PIN that others can read."""

    def found() -> list[tuple[str, str]]:
        checks = cipsec("doctor", "--ca-dir", place, "--json").json["checks"]
        return [(c["verdict"], c["detail"]) for c in checks if c["check"] == "ca key"]

    said = "the token plant is there; that line-4 is ca.pem's key is not seen"
    assert found() == [("ok", said)]
    (place / "ca.pkcs11").write_text(hsm.uri(pin_source=True))
    hsm.pin_file.chmod(0o644)
    assert [verdict for verdict, _ in found()] == ["ok", "fail"]
    hsm.pull()
    (hsm.folder / "tokens").mkdir()
    module(softhsm.MODULE).restart()
    assert found() == [("fail", "the token plant is not there")]
    (place / "ca.pkcs11").write_text("nonsense\n")
    [(verdict, detail)] = found()
    assert (verdict, "does not say where the key is" in detail) == ("fail", True)


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def server(request: pytest.FixtureRequest, place: Path, hsm: SoftHsm) -> Iterator[Serving]:
    """A server of that CA, alone or with workers that were forked with the token open."""
    words = ("--passphrase-file", str(hsm.pin_file), "--workers", str(request.param))
    with serving.serving(place, *words) as running:
        yield running


def ask(server: Serving, number: int) -> tuple[int, bytes]:
    """Let curl ask for a certificate; return status and body."""
    done = programs.run("curl", "-sS", "--cacert", server.anchor, "-H",
                        "Content-Type: application/pkcs10", "-w", "\n%{http_code}",
                        "--data-binary", "@-", f"{server.url}/simpleenroll",
                        stdin=ca.request(f"CN=Drive {number}").der)  # fmt: skip
    assert done.returncode == 0, done
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def recorded(folder: Path, what: str) -> list[str]:
    """Return a column of the store."""
    with sqlite3.connect(CaFolder(folder).store_file) as store:
        rows = [str(row[0]) for row in store.execute(what)]
    store.close()
    return rows


_ISSUED = "SELECT subject FROM certificates WHERE kind = 'endpoint'"


def test_served_pulled_and_put_back(server: Serving, hsm: SoftHsm) -> None:
    """Without its token the server answers 503, says why, and issues nothing; then it goes on."""
    programs.need("curl")
    for number in range(6):
        assert ask(server, number)[0] == 200
    hsm.pull()
    for number in range(6, 10):
        status, body = ask(server, number)
        assert (status, body) == (503, b"the server cannot decide now; ask again\n")
    assert len(recorded(server.ca, _ISSUED)) == 6
    events = recorded(server.ca, "SELECT reason FROM events WHERE event = 'policy-error'")
    assert events
    assert all("token" in reason or "PKCS#11 module" in reason for reason in events)
    hsm.put_back()
    for number in range(6, 10):
        assert ask(server, number)[0] == 200
    assert len(recorded(server.ca, _ISSUED)) == 10
    assert server.stop() == 0
    log = (server.ca.parent / f"{server.ca.name}-serve.log").read_text()
    assert PIN not in log
    assert "Traceback" not in log


def test_a_server_needs_its_token(cipsec: Cipsec, place: Path, hsm: SoftHsm) -> None:
    """It does not start without, nor with a wrong PIN: exit 6 and what to type."""
    argv = ["ca", "serve", "--ca-dir", place, "--listen", "127.0.0.1:0", "--no-announce"]
    (hsm.folder / "wrong").write_text("9999\n")
    module(softhsm.MODULE).restart()  # who is logged in is not asked again
    wrong = cipsec(*argv, "--passphrase-file", hsm.folder / "wrong")
    assert (wrong.code, "not the PIN of the token" in wrong.err) == (6, True)
    hsm.pull()
    (hsm.folder / "tokens").mkdir()
    module(softhsm.MODULE).restart()
    missing = cipsec(*argv, "--passphrase-file", hsm.pin_file)
    assert missing.code == 6
    assert missing.err == (
        "cipsec: error: the token plant is not there\n"
        f"cipsec: hint: see what is there: pkcs11-tool --module {softhsm.MODULE} -L\n"
    )
