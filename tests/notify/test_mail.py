"""E-mail to a real mail server on loopback."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from cipsec.errors import CipsecError, CredentialsRefused, LocalState, Unreachable
from tests.support.ports import HOST, free_port

from .happening import send, told
from .receivers import PASSWORD, USER, Identity, identity, mailbox, misbehaving

ADDRESSES = 'from = "ca@plant.example"\nto = ["a@plant.example", "b@plant.example"]\n'


def text(port: int, more: str = 'ca_file = "receiver-ca.pem"', *, tls: str = "starttls") -> str:
    """Return a channel of type email."""
    login = f'user = "{USER}"\npassword_file = "mail.password"\n' if tls == "starttls" else ""
    return (
        f'type = "email"\nserver = "{HOST}"\nport = {port}\ntls = "{tls}"\n'
        f"{ADDRESSES}{login}{more}\n"
    )


def test_starttls_and_login(folder: Path, tls: Identity) -> None:
    """The mail says what waits, why, and what to type; it went by TLS after a login."""
    with mailbox(tls) as box:
        assert send(text(box.port), folder) is None
    [mail] = box.mails
    assert box.was_tls == [True]
    assert box.envelopes == [("ca@plant.example", ["a@plant.example", "b@plant.example"])]
    assert mail["Subject"] == "[Line 4] pending: CN=Drive 7 (0001:6040C8F2)"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    body = mail.get_content()
    assert "cipsec ca show abababababab" in body
    assert "holds for everyone" in body
    assert "://" not in body


def test_tls_from_the_start(folder: Path, tls: Identity) -> None:
    """Port 465's manner: the server speaks nothing else."""
    with mailbox(tls, implicit=True) as box:
        assert send(text(box.port, tls="tls"), folder) is None
    assert len(box.mails) == 1


def test_no_tls_on_loopback(folder: Path) -> None:
    """A relay on this machine needs none."""
    with mailbox(None) as box:
        send(text(box.port, "", tls="none"), folder)
    assert box.was_tls == [False]


def test_starttls_is_not_optional(folder: Path, tls: Identity) -> None:
    """A server, or somebody between, that offers none gets neither password nor message."""
    with mailbox(None) as box, pytest.raises(Unreachable, match="STARTTLS"):
        send(text(box.port), folder)
    assert box.mails == []


def test_another_ca(folder: Path, tls: Identity, tmp_path: Path) -> None:
    """A server of another CA is not told anything; without ca_file this machine's CAs count."""
    stranger = identity(tmp_path)
    with mailbox(stranger) as box:
        for more in ('ca_file = "receiver-ca.pem"', ""):
            with pytest.raises(Unreachable, match="certificate is not accepted"):
                send(text(box.port, more), folder)
    assert box.mails == []


def test_another_name(folder: Path) -> None:
    """A certificate for another host does not do."""
    other = identity(folder, name="mail.example")
    with mailbox(other) as box, pytest.raises(Unreachable, match="certificate is not accepted"):
        send(text(box.port), folder)


def test_wrong_password(folder: Path, tls: Identity) -> None:
    """It is said that it is wrong, not what it is."""
    (folder / "mail.password").write_text("wrong secret")
    with mailbox(tls) as box, pytest.raises(CredentialsRefused) as caught:
        send(text(box.port), folder)
    assert caught.value.message == f"{HOST} refuses user {USER} and the password (535)"
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_server_that_repeats_the_password(folder: Path) -> None:
    """What a server says is shown, but not where it holds the password, plain or in Base64."""
    both = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())

    def repeat(connection: socket.socket) -> None:
        file = connection.makefile("rb")
        connection.sendall(b"220 hello\r\n")
        for line in file:
            if line.startswith(b"EHLO"):
                connection.sendall(b"250-hello\r\n250 AUTH PLAIN\r\n")
            elif line.startswith(b"AUTH"):
                connection.sendall(b"235 ok\r\n")
            else:
                connection.sendall(b"550 no " + PASSWORD.encode() + b" " + both + b"\r\n")

    login = f'user = "{USER}"\npassword_file = "mail.password"'
    with misbehaving(repeat) as port, pytest.raises(Unreachable) as caught:
        send(text(port, login, tls="none"), folder)
    assert PASSWORD not in caught.value.message
    assert both.decode() not in caught.value.message
    assert "550" in caught.value.message


def test_some_recipients(folder: Path, tls: Identity) -> None:
    """One refused address does not keep the others from the message, again and again."""
    with mailbox(tls, refused=frozenset({"b@plant.example"})) as box:
        assert send(text(box.port), folder) == "not taken for b@plant.example"
    assert box.envelopes == [("ca@plant.example", ["a@plant.example"])]


def test_no_recipients(folder: Path, tls: Identity) -> None:
    """All refused: not delivered, and the server's reason is told."""
    refused = frozenset({"a@plant.example", "b@plant.example"})
    with mailbox(tls, refused=refused) as box, pytest.raises(Unreachable, match="no such user"):
        send(text(box.port), folder)


@pytest.mark.parametrize(
    "hostile",
    [
        "CN=x\r\nBcc: evil@evil.example",
        "CN=x\n\nbody",
        "CN=\u202egnp.exe",
        "CN=\x1b[2K[/red]<b>x</b>",
        "CN=\ud800",
        "CN=https://evil.example/approve",
        "CN=" + "x" * 64_000,
    ],
)
def test_hostile_names(folder: Path, hostile: str) -> None:
    """A device's name makes no header, no second line, no link, and moves no cursor."""
    with mailbox(None) as box:
        send(text(box.port, "", tls="none"), folder, told(subject=hostile))
    [mail] = box.mails
    assert mail["Bcc"] is None
    assert box.envelopes[0][1] == ["a@plant.example", "b@plant.example"]
    assert len(mail["Subject"]) < 200
    whole = mail["Subject"] + mail.get_content().replace("\r\n", "")
    assert whole.isprintable()
    assert "://" not in whole
    assert len(whole) < 3_000


def test_closed_port(folder: Path) -> None:
    """Nobody listens."""
    port = free_port()
    with pytest.raises(Unreachable) as caught:
        send(text(port, "", tls="none"), folder)
    assert caught.value.message == f"{HOST} port {port} cannot be reached: connection refused"


def test_no_mail_server(folder: Path) -> None:
    """Something else listens: it is said, harmlessly."""

    def web(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 \x1b[2K\r\n\r\n")
        connection.recv(1)

    with misbehaving(web) as port, pytest.raises(Unreachable) as caught:
        send(text(port, "", tls="none"), folder)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("content", [None, "", "two\nlines\n", "\xff"])
def test_password_files(folder: Path, tls: Identity, content: str | None) -> None:
    """A missing or odd password file is said by its name, not by what it holds."""
    path = folder / "mail.password"
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with mailbox(tls) as box, pytest.raises(LocalState, match=r"mail\.password"):
        send(text(box.port), folder)


def test_ca_file_without_certificate(folder: Path, tls: Identity) -> None:
    """A file that is none is named."""
    (folder / "receiver-ca.pem").write_text("no PEM")
    with mailbox(tls) as box, pytest.raises(CipsecError, match=r"receiver-ca\.pem"):
        send(text(box.port), folder)
