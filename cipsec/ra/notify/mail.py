"""E-mail: RFC 5322 messages by SMTP with TLS; the words are `words`'s."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from cipsec import safe, times
from cipsec.errors import CredentialsRefused, Unreachable
from cipsec.ra.notify import network, words
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Email, Tls
from cipsec.ra.notify.message import Message

_STEP_SECONDS = 10.0  # for each answer; the whole is bounded by who waits for it
_REPLY = 200


async def deliver(email: Email, message: Message, folder: Path, aside: Aside) -> str | None:
    """Hand the message to the mail server; return which of several recipients it refused."""
    composed = compose(email, message, times.now())
    secrets = await aside.run(lambda: _secrets(email, folder))
    async with network.connected(email.server, email.port, aside) as connection:
        with connection.dup() as plug:
            return await aside.run(
                lambda: _send(email, composed, secrets, connection), stop=lambda: _pull(plug)
            )


def _pull(plug: socket.socket) -> None:
    """Shut a connection that another thread reads: its read ends at once, with TLS or without."""
    with contextlib.suppress(OSError):
        plug.shutdown(socket.SHUT_RDWR)


def compose(email: Email, message: Message, now: datetime) -> EmailMessage:
    """Return the message as it is sent: plain text, so that nothing in it is markup."""
    # 7 bit: a server may not know 8BITMIME. EmailMessage refuses line breaks in headers.
    mail = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    mail["From"] = email.sender
    mail["To"] = ", ".join(email.to)
    mail["Subject"] = words.subject(message)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.id}@{email.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers
    text = words.text(message)
    # Not Base64: the head of the log is to be found again in a mailbox.
    mail.set_content(text, cte="quoted-printable" if not text.isascii() else None)
    return mail


class _Session(smtplib.SMTP):
    """smtplib over a connection that is there already."""

    def __init__(self, email: Email, connection: socket.socket) -> None:
        self._connection = connection
        # Without a name for EHLO it looks for one, which may hang.
        super().__init__(email.server, email.port, _own_name(), _STEP_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connection


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "cipsec"


@dataclass(frozen=True, slots=True)
class _Secrets:
    """What was read from the files of a channel."""

    password: str | None = field(repr=False)
    context: ssl.SSLContext | None


def _secrets(email: Email, folder: Path) -> _Secrets:
    password, context = None, None
    if email.password_file is not None:
        password = network.secret(folder / email.password_file)
    if email.tls is not Tls.NONE:
        context = network.tls_context(network.within(folder, email.ca_file))
    return _Secrets(password, context)


def _send(
    email: Email, mail: EmailMessage, secrets: _Secrets, connection: socket.socket
) -> str | None:
    """Speak SMTP, blocking, from the greeting to QUIT."""
    connection.settimeout(_STEP_SECONDS)
    try:
        if email.tls is Tls.TLS and secrets.context is not None:
            connection = secrets.context.wrap_socket(connection, server_hostname=email.server)
        with connection, contextlib.closing(_Session(email, connection)) as session:
            return _converse(session, email, mail, secrets)
    except smtplib.SMTPException as error:
        raise Unreachable(_refusal(email, error, secrets.password)) from None
    except OSError as error:
        raise Unreachable(f"{email.server} port {email.port}: {network.said(error)}") from None


def _converse(session: _Session, email: Email, mail: EmailMessage, secrets: _Secrets) -> str | None:
    if email.tls is Tls.STARTTLS:
        # Raises where the server offers none: nothing is sent in the clear instead.
        session.starttls(context=secrets.context)
    if secrets.password is not None:
        _log_in(session, email, secrets.password)
    refused = session.send_message(mail, email.sender, list(email.to))
    with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the message
        session.quit()
    return f"not taken for {', '.join(sorted(refused))}" if refused else None


def _log_in(session: _Session, email: Email, password: str) -> None:
    try:
        session.login(email.user or "", password)
    except smtplib.SMTPAuthenticationError as error:
        # Without the server's text: some repeat what they were sent.
        raise CredentialsRefused(
            f"{email.server} refuses user {email.user} and the password ({error.smtp_code})",
            hint=f"put the right one into {email.password_file}",
        ) from None


def _refusal(email: Email, error: smtplib.SMTPException, password: str | None) -> str:
    """Return what a mail server answered, without the password it might repeat."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            answers: tuple[int, bytes | str] = next(iter(error.recipients.values()))
            what = "takes the message for nobody"
        case smtplib.SMTPResponseException():
            answers, what = (error.smtp_code, error.smtp_error), "refuses"
        case _:
            why = str(error) or "it does not speak SMTP"
            return f"{email.server} port {email.port}: {_without(why, email, password)}"
    code, reply = answers
    said = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{email.server} {what}: {code} {_without(said, email, password)}"


def _without(said: str, email: Email, password: str | None) -> str:
    """Return a server's text, or nothing of it where it repeats the password in some form."""
    if password is not None:
        forms = [password, f"\0{email.user}\0{password}"]
        encoded = [base64.b64encode(form.encode()).decode() for form in forms]
        if any(form in said for form in (*forms, *encoded)):
            return ""
    return safe.text(said, limit=_REPLY)
