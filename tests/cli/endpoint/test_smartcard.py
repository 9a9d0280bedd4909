"""`cipsec enroll --smartcard` through real PC/SC at a real `cipsec ca serve`, as transcripts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files, times
from cipsec.ca_folder import CaFolder
from cipsec.card import journal, keys, pcsc
from cipsec.card.pins import Pin
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.errors import Rejected
from cipsec.est.client import Session
from cipsec.pki.fingerprint import sha256
from cipsec.pki.keys import KeyType
from cipsec.tls.client import SignerCredential, client_context
from tests.cli.conftest import Cipsec, Ran
from tests.support import ca as authorities
from tests.support import provisioned, vpcd
from tests.support.pivcard import PIN, PivCard
from tests.support.provisioned import certificate_on, of_ca, pins_shown
from tests.support.serving import Serving, serving
from tests.support.serving import cipsec as process
from tests.support.terminal import at_terminal
from tests.support.vpcd import READERS, Pcscd
from tests.support.waiting import LONG

pytestmark = pytest.mark.programs
_LIMITED = """
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = limits
[limits]
MaxProtocol = """


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's data folder, of this test alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    """PC/SC with two empty readers; skips loudly where there can be none."""
    with vpcd.pcscd() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> CaFolder:
    """A CA that grants to provisioning certificates."""
    return authorities.make(
        tmp_path / "ca", policy="provisioning", now=times.now() - timedelta(days=30)
    )


@dataclass
class Engineer:
    """At a PC with a reader: knows the CA's fingerprint, and has the PIN in a file."""

    cipsec: Cipsec
    ca: Serving
    home: Path
    pin: Path
    shown: list[Ran] = field(default_factory=list)

    def words(self, *more: object) -> list[str]:
        """Return the words of an enrollment with the card."""
        known = ["--server", f"127.0.0.1:{self.ca.port}", "--fingerprint"]
        words = ["enroll", *known, self.ca.ready["ca_sha256"], "--identity", self.home]
        return [str(word) for word in (*words, "--smartcard", *more)]

    def enrolls(self, *more: object) -> Ran:
        """Enroll; whatever comes of it, the PIN is on no stream and nothing is unexpected."""
        return self.runs(*self.words("--no-wait", "--pin-file", self.pin, *more))

    def runs(self, *words: object) -> Ran:
        """Run a command, with the same care."""
        ran = self.cipsec(*words, "-vv")
        assert provisioned.PIN not in ran.out + ran.err
        assert "unexpected" not in ran.err
        assert "Traceback" not in ran.err
        return ran


@pytest.fixture
def engineer(cipsec: Cipsec, folder: CaFolder, tmp_path: Path) -> Iterator[Engineer]:
    """Somebody at a PC, and the server of the CA."""
    pin = tmp_path / "pin"
    pin.write_text(f"{provisioned.PIN}\n")
    with serving(folder.path) as running:
        yield Engineer(cipsec, running, tmp_path / "drive", pin)


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the OpenSSL of servers speaks at most; this process has read its own settings."""
    file = tmp_path / "openssl.cnf"
    file.write_text(_LIMITED + str(request.param))
    monkeypatch.setenv("OPENSSL_CONF", str(file))
    return str(request.param)


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_provision_enroll_certificate(
    version: str, engineer: Engineer, folder: CaFolder, daemon: Pcscd, key_type: KeyType
) -> None:
    """The card proves itself, the certificate comes, a use is spent, the journal has it."""
    card = of_ca(folder, key_type=key_type)
    daemon.insert(card)
    assert _version(engineer.ca) == version
    ran = engineer.enrolls("--json", "--device", "0001:6040C8F2")
    assert ran.code == 0, ran
    identity = ran.json["identity"]
    [row] = engineer.cipsec("ca", "credentials", "--ca-dir", folder.path).rows
    assert (row[0], row[3], row[4]) == ("card-1", "1", "spent")
    [entry] = journal.entries(files.default_card_journal())
    own = certificate_on(card)
    assert (entry.card_sha256, entry.card_subject) == (sha256(own), "CN=card-1")
    assert (entry.serial, entry.sha256) == (identity["serial"], identity["sha256"])
    assert (entry.reader, entry.server) == (READERS[0], engineer.ca.url)
    assert files.default_card_journal().stat().st_mode & 0o777 == 0o600
    assert pins_shown(card) == 1


def _version(running: Serving) -> str:
    """Return the TLS version that a client gets."""
    anchors = [x509.load_pem_x509_certificate(running.anchor.read_bytes())]
    with Session(running.url, client_context(anchors, by_name=True)) as session:
        session.cacerts()
        return session.tls_version


def test_in_words(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """What a person reads: one line of the tries left, a warning near the end, the identity."""
    card = of_ca(folder, days=7)
    end = f"{certificate_on(card).not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    daemon.insert(card)
    ran = engineer.cipsec(*engineer.words("--pin-file", engineer.pin))
    assert (ran.code, ran.err.splitlines()) == (
        0,
        [
            f"cipsec: warning: the certificate on the card ends at {end}",
            "cipsec: the PIN has 3 tries left",
        ],
    )
    assert ran.out.startswith("directory")


def test_the_pin_from_stdin(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """By a process of its own, as a script does."""
    daemon.insert(of_ca(folder))
    done = process(*engineer.words("--pin-file", "-"), stdin=f"{provisioned.PIN}\n".encode())
    assert done.returncode == 0, done
    assert provisioned.PIN.encode() not in done.stdout + done.stderr


def test_dry_run(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """The card is looked at, its PIN not asked for."""
    card = of_ca(folder)
    daemon.insert(card)
    ran = engineer.runs(*engineer.words("-n"))
    assert ran.code == 0, ran
    assert (pins_shown(card), engineer.home.exists()) == (0, False)


def _otherwise(folder: CaFolder, outcome: str) -> None:
    """Change what the last rule, that for everyone else, says."""
    text = folder.config_file.read_text()
    before, ask, after = text.rpartition('then = "ask"')
    assert ask
    folder.config_file.write_text(f'{before}then = "{outcome}"{after}')


@pytest.mark.parametrize(("otherwise", "code"), [("ask", 11), ("reject", 12)])
def test_a_spent_card(
    folder: CaFolder, engineer: Engineer, daemon: Pcscd, otherwise: str, code: int
) -> None:
    """The second enrollment gets what the rules say; the operator reads why, and so does it."""
    _otherwise(folder, otherwise)
    daemon.insert(of_ca(folder))
    assert engineer.enrolls().code == 0
    engineer.home = engineer.home.with_name("other")
    refused = engineer.enrolls()
    assert refused.code == code, refused
    assert "provisioning certificate card-1 is used up: 1 of 1" in refused.err
    assert "certificate card-1 is used up: 1 of 1" in _asked(engineer, folder)
    assert len(list(journal.entries(files.default_card_journal()))) == 1
    assert not (engineer.home / "key.pem").exists()


@pytest.mark.parametrize(("otherwise", "code"), [("ask", 11), ("reject", 12)])
def test_a_revoked_card(
    folder: CaFolder, engineer: Engineer, daemon: Pcscd, otherwise: str, code: int
) -> None:
    """It proves nothing, and both sides read why."""
    _otherwise(folder, otherwise)
    daemon.insert(of_ca(folder))
    _revoke(engineer, folder)
    refused = engineer.enrolls()
    assert refused.code == code, refused
    assert "provisioning certificate card-1 is revoked" in refused.err
    assert "certificate card-1 is revoked" in _asked(engineer, folder)
    assert not (engineer.home / "key.pem").exists()


def _asked(engineer: Engineer, folder: CaFolder) -> str:
    """Return all that the CA tells of the requests, and of what it did."""
    at = ["--ca-dir", folder.path, "--json"]
    pending = engineer.cipsec("ca", "pending", "--state", "all", *at).out
    return pending + engineer.cipsec("ca", "log", *at).out


def _revoke(engineer: Engineer, folder: CaFolder) -> None:
    words = ["ca", "revoke", "--credential", "card-1", "-y", "--ca-dir", folder.path]
    assert engineer.cipsec(*words).code == 0


@pytest.mark.parametrize("tls12", [False, True], ids=["tls13", "tls12"])
def test_revoked_on_a_kept_alive_connection(
    engineer: Engineer, folder: CaFolder, daemon: Pcscd, *, tls12: bool
) -> None:
    """What the handshake proved before does not count any more."""
    _otherwise(folder, "reject")
    daemon.insert(of_ca(folder, uses=5))
    anchors = [x509.load_pem_x509_certificate(engineer.ca.anchor.read_bytes())]
    asked = authorities.request("CN=Drive 7").parsed
    with pcsc.connected() as transport:
        piv = Piv.select(transport)
        own = piv.certificate(AUTHENTICATION)
        assert own is not None
        piv.verify(Pin(provisioned.PIN))
        key = keys.on_card(piv, AUTHENTICATION, own.public_key())
        context = client_context(
            anchors, by_name=True, credential=SignerCredential(own, key), tls12=tls12
        )
        with Session(engineer.ca.url, context, credential=True) as session:
            session.cacerts()
            _revoke(engineer, folder)
            with pytest.raises(Rejected):
                session.simpleenroll(lambda _: _der(asked), login=None)
    assert "certificate card-1 is revoked" in _asked(engineer, folder)


def _der(asked: x509.CertificateSigningRequest) -> bytes:
    return asked.public_bytes(Encoding.DER)


def test_renew(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """The card authenticates a renewal too; a new key for a device is the operator's to allow."""
    daemon.insert(of_ca(folder, uses=2))
    assert engineer.enrolls().code == 0
    words = ["renew", "--identity", engineer.home, "--smartcard", "--pin-file", engineer.pin]
    asked = engineer.runs(*words, "--no-wait")
    assert asked.code == 11, asked
    assert f"cipsec renew --identity {engineer.home} --smartcard" in asked.err
    bare = engineer.runs("renew", "--identity", engineer.home)
    assert (bare.code, "was made with the smartcard CN=card-1" in bare.err) == (7, True)
    _approve(engineer, folder, "--replace")
    ran = engineer.runs(*words)
    assert ran.code == 0, (ran, _asked(engineer, folder))
    assert len(list(journal.entries(files.default_card_journal()))) == 2


def test_a_wrong_pin(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """Exit 7, the tries left, one spent; at one left it is refused, then blocked."""
    card = of_ca(folder)
    daemon.insert(card)
    engineer.pin.write_text("654321\n")
    wrong = engineer.enrolls()
    assert (wrong.code, card.secrets[PIN].tries) == (7, 2)
    assert "cipsec: error: the PIN is wrong; 2 tries are left" in wrong.err
    assert engineer.enrolls().code == 7
    spared = engineer.enrolls()
    assert (spared.code, card.secrets[PIN].tries) == (7, 1)
    assert "one try of the PIN is left" in spared.err
    assert "hint: add --force" in spared.err
    forced = engineer.enrolls("--force")
    assert (forced.code, card.secrets[PIN].tries) == (7, 0)
    blocked = engineer.enrolls("--json")
    assert blocked.code == 7
    assert blocked.json["error"]["kind"] == "pin_blocked"
    assert "654321" not in wrong.err + spared.err + forced.err + blocked.err
    assert pins_shown(card) == 3
    assert not (engineer.home / "key.pem").exists()


@pytest.mark.parametrize("text", ["", "12345", "123456789", "secret", "12345\x00"])
def test_what_is_no_pin(engineer: Engineer, folder: CaFolder, daemon: Pcscd, text: str) -> None:
    """Exit 2, not repeated, and not shown to the card."""
    card = of_ca(folder)
    daemon.insert(card)
    engineer.pin.write_text(f"{text}\n")
    ran = engineer.enrolls()
    assert (ran.code, pins_shown(card)) == (2, 0)
    assert not text or text not in ran.err
    assert not (engineer.home / "next").exists()


def test_nobody_to_ask(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """The hint names the option."""
    card = of_ca(folder)
    daemon.insert(card)
    ran = engineer.runs(*engineer.words("--no-input"))
    assert ran.code == 2
    assert "--pin-file" in ran.err
    assert pins_shown(card) == 0


def test_no_card(engineer: Engineer, daemon: Pcscd) -> None:
    """Exit 7, nothing made."""
    ran = engineer.enrolls()
    assert (ran.code, ran.err.splitlines()) == (
        7,
        [
            f"cipsec: error: there is no card in {READERS[0]}, {READERS[1]}",
            "cipsec: hint: put the card in",
        ],
    )
    assert not (engineer.home / "next").exists()


def test_no_reader(engineer: Engineer) -> None:
    """Neither without any, nor by a name that none has."""
    with vpcd.pcscd(readers=False):
        ran = engineer.enrolls()
    assert (ran.code, "no smartcard reader" in ran.err) == (7, True)
    with vpcd.pcscd():
        ran = engineer.enrolls("--reader", "acme")
    assert (ran.code, "'acme'" in ran.err) == (7, True)


def test_no_daemon(engineer: Engineer) -> None:
    """Exit 7, and how it is started."""
    vpcd.need()
    ran = engineer.enrolls()
    assert ran.code == 7
    assert "the PC/SC service does not run" in ran.err
    assert "hint: " in ran.err


def test_wrong_slot(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """An empty one, and the right one by name."""
    card = of_ca(folder, slot=Slot(0x9D))
    daemon.insert(card)
    ran = engineer.enrolls()
    assert (ran.code, "slot 9a of the card holds no certificate" in ran.err) == (7, True)
    assert pins_shown(card) == 0
    assert engineer.enrolls("--slot", "9d").code == 0


def test_an_expired_certificate(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """Said before the PIN is asked for."""
    card = of_ca(folder, days=1, now=times.now() - timedelta(days=3))
    daemon.insert(card)
    ran = engineer.enrolls()
    assert (ran.code, "the certificate on the card ended at" in ran.err) == (7, True)
    assert pins_shown(card) == 0


def test_two_cards(engineer: Engineer, folder: CaFolder, daemon: Pcscd) -> None:
    """They are listed, one is named; the other is left alone."""
    first, second = of_ca(folder), of_ca(folder, "card-2")
    daemon.insert(first)
    daemon.insert(second, reader=1)
    ran = engineer.enrolls()
    assert ran.code == 2
    for name in READERS:
        assert name in ran.err
    assert engineer.enrolls("--reader", "00 01").code == 0
    assert (first.log, pins_shown(second)) == ([], 1)


@pytest.mark.parametrize("answered", [0, 3, 8, 12, 13])
def test_pulled_in_the_middle(
    engineer: Engineer, folder: CaFolder, daemon: Pcscd, answered: int
) -> None:
    """Exit 7, no try spent; put in again, the same command ends well."""
    card = of_ca(folder)
    daemon.insert(card)
    card.faults.pulled_after = answered
    ran = engineer.enrolls()
    assert ran.code == 7, ran
    assert card.secrets[PIN].tries == 3
    assert not (engineer.home / "key.pem").exists()
    card.faults.pulled_after = None
    daemon.wait_until_empty()
    daemon.insert(card)
    assert engineer.enrolls().code == 0


def test_a_request_that_waits(
    engineer: Engineer, folder: CaFolder, daemon: Pcscd, tmp_path: Path
) -> None:
    """A later run without `--smartcard` says what is missing; status and hint tell it as well."""
    folder.config_file.write_text(_by_approval(tmp_path))
    card = of_ca(folder)
    inserted = daemon.insert(card)
    asked = engineer.enrolls()
    assert asked.code == 11, asked
    again = f"cipsec enroll --identity {engineer.home} --smartcard"
    assert f"hint: ask again, with the same key: {again}" in asked.err
    status = engineer.cipsec("status", "--identity", engineer.home, "--json")
    assert status.json["identity"]["pending"]["card"] == "CN=card-1"
    _approve(engineer, folder)
    bare = engineer.runs("enroll", "--identity", engineer.home)
    assert bare.code == 7
    assert "was made with the smartcard CN=card-1" in bare.err
    assert f"hint: put it in, and: {again}" in bare.err
    inserted.pull()
    daemon.wait_until_empty()
    words = ["enroll", "--identity", engineer.home, "--smartcard", "--pin-file", engineer.pin]
    assert engineer.runs(*words).code == 7
    daemon.insert(card)
    assert engineer.runs(*words).code == 0


def _by_approval(tmp_path: Path) -> str:
    """Return the configuration of a CA that asks its administrator."""
    text = authorities.make(tmp_path / "model").config_file.read_text()
    assert 'retry_after = "5s"' in text
    return text.replace('retry_after = "5s"', 'retry_after = "1s"')


def _approve(engineer: Engineer, folder: CaFolder, *more: str) -> None:
    request = _waits(engineer, folder)
    words = ["ca", "approve", request, "--ca-dir", folder.path, "-y", *more]
    assert engineer.cipsec(*words).code == 0


def _waits(engineer: Engineer, folder: CaFolder) -> str:
    """Return the id of the one request that waits, once it is there."""
    until = time.monotonic() + LONG
    while True:
        listed = engineer.cipsec("ca", "pending", "--ca-dir", folder.path, "--json")
        if requests := listed.json["requests"]:
            return str(requests[0]["id"])
        assert time.monotonic() < until, "no request comes"
        time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal")
def test_at_a_terminal(engineer: Engineer, folder: CaFolder, daemon: Pcscd, tmp_path: Path) -> None:
    """The PIN typed once and not shown; the card pulled while waiting, and asked for again."""
    folder.config_file.write_text(_by_approval(tmp_path))
    card = of_ca(folder)
    inserted = daemon.insert(card)

    def pull() -> str:
        _waits(engineer, folder)
        inserted.pull()
        daemon.wait_until_empty()
        return ""

    def put_in() -> str:
        _approve(engineer, folder)
        daemon.insert(card)
        return ""

    done = at_terminal(
        engineer.words(),
        ("PIN of the card:", f"{provisioned.PIN}\n"),
        ("waits for a decision", pull),
        ("is needed again", put_in),
    )
    assert done.code == 0, done.screen
    assert done.restored
    assert "the card CN=card-1 is needed again" in done.screen
    assert provisioned.PIN not in done.screen
    assert done.screen.count("PIN of the card") == 1


def test_the_daemon_killed_while_waiting(
    engineer: Engineer, folder: CaFolder, daemon: Pcscd, tmp_path: Path
) -> None:
    """Exit 7 with its own message; the request stays."""
    folder.config_file.write_text(_by_approval(tmp_path))
    daemon.insert(of_ca(folder))
    assert engineer.enrolls().code == 11
    daemon.kill()
    words = ["enroll", "--identity", engineer.home, "--smartcard", "--pin-file", engineer.pin]
    ran = engineer.runs(*words)
    assert (ran.code, "PC/SC service" in ran.err) == (7, True)
    assert json.loads((engineer.home / "next" / "state.json").read_text())["request"]


def test_an_unprovisioned_card(engineer: Engineer, daemon: Pcscd) -> None:
    """A new one has nothing to enroll with."""
    daemon.insert(PivCard())
    ran = engineer.enrolls()
    assert (ran.code, "holds no certificate" in ran.err) == (7, True)
