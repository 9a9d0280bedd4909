"""`cipsec cert`: look at certificates in files, on stdin, or as a server presents them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated

import typer

from cipsec import shell
from cipsec._cli.cert_verify import verify
from cipsec._cli.options import PassphraseFile, command, group
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, UsageError

app = group("cert", "Show and verify certificates.")

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s/:\[\]]+)):([0-9]{1,5})")

Given = Annotated[
    str, typer.Argument(metavar="FILE|-|HOST:PORT", help="A file, - for stdin, or a TLS server.")
]
Trust = Annotated[
    str | None,
    typer.Option("--trust", metavar="FILE", help="Of a server, whether it leads to these CAs."),
]
Chain = Annotated[bool, typer.Option("--chain", help="Of a server, show the whole chain it sends.")]


@command(app, "show")
def show(
    talk: Talk,
    given: Given,
    *,
    chain: Chain = False,
    trust: Trust = None,
    passphrase_file: PassphraseFile = None,
) -> int | None:
    """Show certificates and revocation lists, or a server's.

    Of a server also what is wrong with what it presents.

    Nothing is trusted and no credential is sent. With --trust the server is judged: exit 10 where
    something fails.
    """
    server = _server(given)
    if server:
        from cipsec._cli.cert_server import show_server

        return show_server(talk, *server, chain=chain, trust=trust, passphrase_file=passphrase_file)
    if trust is not None:
        hint = f"cipsec cert verify {shell.quote(given)} --trust {shell.quote(trust)}"
        raise UsageError("--trust is for servers", hint=hint)
    _show_file(talk, given, passphrase_file)
    return None


def _server(given: str) -> tuple[str, int] | None:
    """Read HOST:PORT; None where it is a file, or looks like one."""
    match = _HOST_PORT.fullmatch(given)
    if not match:
        if given.startswith(("https://", "http://")):
            raise UsageError("a server is given as HOST:PORT", hint=_without_scheme(given))
        return None
    if _exists(given):
        return None
    port = int(match[3])
    if not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", hint="a port is 1 to 65535")
    return match[1] or match[2], port


def _without_scheme(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]  # nobody logs in, and a password is not shown
    port = "" if re.search(r":\d+$", host) else {"https": ":443"}.get(scheme, ":80")
    return f"cipsec cert show {host}{port}"


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # too long for a file name
        return False


def _is_address(given: str) -> bool:
    try:
        ipaddress.ip_address(given)
    except ValueError:
        return False
    return True


def _show_file(talk: Talk, given: str, passphrase_file: str | None) -> None:
    from cipsec._cli.cert_shown import document, show
    from cipsec._cli.given import look, say_left
    from cipsec.pki.mistaken import CERTIFICATE, CRL
    from cipsec.times import now

    try:
        found = look(talk, given, passphrase_file)
    except LocalState as error:
        if not _is_address(given) or _exists(given):
            raise
        hint = f"a server is given with its port: cipsec cert show {given}:2221"
        raise LocalState(error.message, hint=hint) from None
    if not found.crls:
        found.required_certificates()
    left = say_left(talk, found, CERTIFICATE, CRL)
    if talk.json:
        talk.document({**document(found.certificates, found.crls, now()), "others": left})
    else:
        show(talk, found.certificates, found.crls, now())


command(app, "verify")(verify)
