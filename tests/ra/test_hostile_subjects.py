"""Hostile names, wherever a name can come from, in every output that people or programs read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cipsec.est.wire import Peer, Response
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.ra.notify import mail, message, syslog, words
from cipsec.ra.notify.channels import Email
from cipsec.ra.notify.config import parse_channels
from cipsec.store import events, users
from cipsec.store.requests import State
from tests.support import ca, est, vendor
from tests.support.est import NOW, Server

from .harmless import HOSTILE, TOO_LONG, Command, check, check_answer, check_text, live

NAMED = '[[rule]]\nname = "named"\nwhen = { names = "plc-*", anyone = true }\nthen = "ask"\n'
LISTED = '[[rule]]\nname = "l"\nwhen = { serial = "default" }\nunproved = true\nthen = "grant"\n'
MAIL = {"name": "m", "type": "email", "server": "mx", "from": "ca@plant", "to": ["me@plant"]}
each_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def named(text: str) -> x509.Name:
    """Return a subject whose common name is that text, as long as common names may be."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def look_everywhere(command: Command, server: Server) -> None:
    """Show all that is on record, for people, as JSON, and as every kind of notification."""
    for argv in (
        ("ca", "pending", "--state", "all"),
        ("ca", "log"),
        ("ca", "list"),
        ("ca", "credentials"),
        ("user", "list"),
        ("vendor", "list"),
        ("allowlist", "list"),
        ("policy", "show"),
        *(("ca", "show", row.id) for row in server.requests()),
        *(("ca", "show", row.serial) for row in server.certificates()),
    ):
        check(command(*argv), 0, 6)
        check(command(*argv, "--json"), 0, 6)
    look_at_notifications(server)


def look_at_notifications(server: Server) -> None:
    """Tell all events, one by one and as a digest, over every kind of channel."""
    [channel] = parse_channels([MAIL])
    found = server.database.read(lambda db: list(events.after(db, 0)))
    told = server.database.read(lambda db: message.with_requests(db, found))
    counts: dict[str, int] = {event.event: 1 for _, event in found}
    for some in ([one] for one in told), [told]:
        for those in some:
            made = message.message("Line 4", "test", those, counts, upto=len(found))
            check_text(words.subject(made))
            check_text(words.text(made))
            assert "://" not in words.subject(made) + words.text(made)
            strings = json.dumps(message.document(made), ensure_ascii=False)
            assert not live(strings)
            assert isinstance(channel.target, Email)
            whole = mail.compose(channel.target, made, NOW)
            check_text(whole.get_content())
            check_text("\n".join(value for _, value in whole.items()))
            assert "X-Owned" not in whole
    for one in told:
        entry = syslog.entry(one, 4, "plant")
        assert len(entry) <= 2048
        assert not live(entry.decode().replace("\ufeff", ""))


def asked_by(server: Server, asked: CertificateRequest, chain: Sequence[bytes] = ()) -> Response:
    """Ask, and check the words of the answer."""
    response = server.enroll(asked, chain=chain)
    check_answer(response)
    return response


@each_text
def test_in_a_csr(text: str, command: Command, server: Server) -> None:
    """From the queue over the decision to the certificate and its end."""
    for name in (named(text), ca.unchecked_name(text)):
        asked = ca.request(name)
        identifier = est.identifier(asked_by(server, asked))
        check(command("ca", "pending"), 0)
        check(command("policy", "check", ca.write_pem(server.folder.path / "csr", asked)), 11, 12)
        note = text.replace("\0", "")
        check(command("ca", "approve", identifier, "--note", note), 0)
        granted = est.certificate(asked_by(server, asked))
        check(command("ca", "revoke", f"{granted.serial_number:032x}", "-y"), 0)
    look_everywhere(command, server)


@each_text
def test_in_a_refusal(text: str, command: Command, server: Server) -> None:
    """A reason that quotes the name, and a note that an administrator pasted."""
    waiting = ca.request("CN=Drive 7")
    server.decide(est.identifier(server.enroll(waiting)), State.REJECTED, note=text)
    assert asked_by(server, waiting).status == 403
    server.text = NAMED
    response = asked_by(server, ca.request(named(text)))
    assert response.status == 403
    assert re.search(rb"does not admit the name|control characters", response.body)
    look_everywhere(command, server)


@each_text
def test_in_a_client_certificate(text: str, command: Command, server: Server) -> None:
    """Self-signed, by a vendor, by a vendor and revoked: claimed, proved, and why not."""
    pki = vendor.make()
    issuing = vendor.ca("unused", pki.root)
    shown = [
        vendor.issue(named(text)),
        vendor.issue(named(text), issuing),
        vendor.issue(named(text), issuing, serial=7),
        vendor.issue(named(text), vendor.Party(issuing.certificate, vendor.issue("CN=x").key)),
    ]
    crl = vendor.crl(issuing, 7)
    vendor.install(server.folder.path / "vendors", "acme", pki.root, crls=crl)
    rules = '[[rule]]\nname = "vendor"\nwhen = { vendor = true }\nthen = "ask"\n'
    for text_of_rules in (rules, rules + est.ASK):
        server.text = text_of_rules
        for one in shown:
            assert asked_by(server, ca.request(), [one.der, issuing.der]).status in (202, 403)
    look_everywhere(command, server)


@each_text
def test_in_a_vendors_own_name(text: str, command: Command, server: Server) -> None:
    """Its CAs' subjects, in lists, questions and faults."""
    root = vendor.issue(
        named(text),
        constraints=x509.BasicConstraints(ca=True, path_length=None),
        usage=vendor.signs(),
    )
    file = server.folder.path / "root.pem"
    file.write_bytes(root.pem)
    check(command("vendor", "add", file, "--name", "acme"), 2, 6, 10)
    sha256 = root.certificate.fingerprint(hashes.SHA256()).hex()
    check(command("vendor", "add", file, "--name", "acme", "--fingerprint", sha256), 0)
    check(command("vendor", "add", file, "--name", "bolt", "--fingerprint", sha256), 2, 6)
    crl = vendor.crl(vendor.look_alike(root), 7)
    (server.folder.path / "vendors" / "acme.crl").write_bytes(crl)
    server.text = '[[rule]]\nname = "vendor"\nwhen = { vendor = true }\nthen = "grant"\n'
    asked_by(server, ca.request(), [vendor.device(root).der])
    look_everywhere(command, server)
    check(command("vendor", "remove", "acme", "-y"), 0)


@each_text
def test_in_a_user_name(text: str, command: Command, server: Server) -> None:
    """Of somebody who tries to log in; and no user gets such a name."""
    name = text[:1000].replace(":", "")
    for number in range(2):
        response = server.enroll(ca.request(), login=(name, f"guess {number}"))
        check_answer(response)
        assert response.status == 401
    look_everywhere(command, server)
    for verb in ("add", "remove", "check"):
        check(command("user", verb, name.replace("\0", "0"), "--no-input"), 0, 2, 3, 13)
    assert not server.database.read(lambda db: list(users.listed(db)))


@each_text
def test_in_an_allowlist(text: str, command: Command, server: Server) -> None:
    """As name and note of an entry, which become a slot and a reason; or it is refused whole."""
    cell = '"' + text.replace('"', '""') + '"'
    path = server.folder.path / "allowlists" / "default.csv"
    path.write_bytes(f"device,name,note\n0001:6040C8F2,{cell},{cell}\n".encode())
    server.text = LISTED
    for _ in range(2):
        asked_by(server, ca.request())
    check(command("allowlist", "check"), 0, 10)
    check(command("allowlist", "check", "--json"), 0, 10)
    check(command("allowlist", "export", "-o", server.folder.path / "out.csv"), 0, 6)
    argument = text.replace("\0", "0")
    for option in ("--name", "--note", "--list"):
        check(command("allowlist", "add", "0001:00000009", option, argument), 0, 2, 6)
    check(command("allowlist", "add", argument), 2, 6)
    look_everywhere(command, server)


@each_text
def test_in_the_rules(text: str, command: Command, server: Server) -> None:
    """As a rule's name, in the reason of each decision and in `policy show`; the CA's name too."""
    quoted = json.dumps(text[:500]).replace("\\ud", "\\u0d")
    rules = f"name = {quoted}\n[[rule]]\nname = {quoted}\nwhen = {{ anyone = true }}\n"
    server.text = rules + 'then = "ask"\n'
    server.folder.config_file.write_text(server.text)
    asked = ca.request()
    identifier = est.identifier(asked_by(server, asked))
    file = ca.write_pem(server.folder.path / "csr", asked)
    check(command("policy", "check", file), 11)
    check(command("policy", "check", file, "--json"), 11)
    check(command("ca", "approve", identifier), 0)
    asked_by(server, asked)
    look_everywhere(command, server)


def test_what_is_too_long(command: Command, server: Server) -> None:
    """64 kB of name anywhere: refused, or cut where it is shown; and the server goes on."""
    key = keys.generate(keys.KeyType.EC_P256)
    csr = x509.CertificateSigningRequestBuilder().subject_name(ca.unchecked_name(TOO_LONG))
    der = csr.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    for request in (
        est.post(der),
        est.post(
            ca.request().der, peer=Peer("::1", (vendor.issue(ca.unchecked_name(TOO_LONG)).der,))
        ),
        est.post(ca.request().der, login=(TOO_LONG, "password")),
        est.post(ca.request().der, login=("anna", TOO_LONG)),
        est.post(ca.request().der, label=TOO_LONG),
        est.post(ca.request().der, TOO_LONG),
        est.post(ca.request().der, content_type=TOO_LONG),
        est.get("/" + TOO_LONG),
    ):
        response = server.answer(request)
        check_answer(response)
        assert response.status in (202, 400, 401, 404, 415)
    waiting = ca.request()
    identifier = est.identifier(server.enroll(waiting))
    check(command("ca", "reject", identifier, "--note", TOO_LONG), 0, 2)
    asked_by(server, waiting)
    for argv in (
        ("allowlist", "add", "0001:00000009", "--name", TOO_LONG),
        ("allowlist", "add", "0001:00000009", "--note", TOO_LONG),
        ("allowlist", "add", "0001:00000009", "--list", TOO_LONG),
        ("user", "check", TOO_LONG),
        ("vendor", "remove", TOO_LONG, "-y"),
        ("ca", "provision", TOO_LONG, "-o", server.folder.path / "out"),
        ("ca", "revoke", "--credential", TOO_LONG, "-y"),
        ("ca", "show", TOO_LONG),
    ):
        check(command(*argv), 2, 3)
    look_everywhere(command, server)
