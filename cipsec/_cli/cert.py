"""`cipsec cert`: look at certificates in files, on stdin, or as a server presents them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli.cert_verify import verify
from cipsec._cli.options import command, group
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

app = group("cert", "Show and verify certificates.")

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s/:\[\]]+)):([0-9]{1,5})")
_PROBE_TIMEOUT = 10.0  # seconds

Given = Annotated[
    str, typer.Argument(metavar="FILE|-|HOST:PORT", help="A file, - for stdin, or a TLS server.")
]
Chain = Annotated[bool, typer.Option("--chain", help="Of a server, show the whole chain it sends.")]


@command(app, "show")
def show(talk: Talk, given: Given, *, chain: Chain = False) -> None:
    """Show what certificates say; nothing is verified."""
    server = _server(given)
    if server:
        _show_presented(talk, *server, chain=chain)
    else:
        _show_file(talk, given)


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
    host = rest.partition("/")[0]
    port = "" if re.search(r":\d+$", host) else {"https": ":443"}.get(scheme, ":80")
    return f"cipsec cert show {host}{port}"


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # too long for a file name
        return False


def _show_presented(talk: Talk, host: str, port: int, *, chain: bool) -> None:
    from cipsec.tls.probe import presented

    found = presented(host, port, timeout=_PROBE_TIMEOUT)
    more = len(found.chain) - 1
    shown = found.chain if chain else found.chain[:1]
    if more and not chain:
        talk.say(
            f"cipsec: {more} more in the chain; add --chain to see {'it' if more == 1 else 'them'}"
        )
    extra = {"presented": len(found.chain), "tls_version": found.version}
    _print(talk, shown, extra)


def _show_file(talk: Talk, given: str) -> None:
    from cipsec._cli.given import read
    from cipsec.pki.load import contents

    data, source = read(talk, given)
    found = contents(data, source)
    shown = found.required_certificates()
    others = len(found.others) + len(found.requests)
    if others:
        kinds = [*found.others, *["certificate signing request"] * bool(found.requests)]
        talk.say(f"cipsec: {source} holds other things as well: {', '.join(dict.fromkeys(kinds))}")
    _print(talk, shown, {})


def _print(talk: Talk, certificates: Sequence[x509.Certificate], extra: dict[str, object]) -> None:
    from cipsec._cli import lines
    from cipsec.pki.describe import certificate
    from cipsec.times import now

    moment = now()
    records = [certificate(one, moment) for one in certificates]
    if talk.json:
        talk.document({"certificates": records, **extra})
        return
    for number, record in enumerate(records, start=1):
        counted = {"certificate": f"{number} of {len(records)}"} if len(records) > 1 else {}
        if number > 1:
            talk.line("")
        talk.fields("certificate", {**counted, **lines.of(record)})


command(app, "verify")(verify)
