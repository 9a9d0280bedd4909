"""`cipsec cert show HOST:PORT`: what a server presents, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cipsec._cli import cert_shown, exits
from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    from cipsec.tls.probe import Presented

_TIMEOUT = 10.0  # seconds, to connect and to shake hands


def show_server(
    talk: Talk,
    host: str,
    port: int,
    *,
    chain: bool,
    trust: str | None,
    passphrase_file: str | None,
) -> int | None:
    """Show the server's certificate, with `chain` all it sends; exit 10 if --trust was in vain."""
    from cipsec._cli.given import look
    from cipsec.times import now
    from cipsec.tls import judged
    from cipsec.tls.probe import presented

    anchors = None
    if trust is not None:
        anchors = look(talk, trust, passphrase_file).required_certificates()
    found, moment = presented(host, port, timeout=_TIMEOUT), now()
    findings = judged.findings(found.chain, host, found.version, anchors, moment)
    rows: list[dict[str, object]] = [asdict(finding) for finding in findings]
    shown = found.chain if chain else found.chain[:1]
    _say(talk, found, len(found.chain) - len(shown))
    if talk.json:
        certificates = cert_shown.document(shown, (), moment)
        talk.document({**certificates, **_handshake(found), "findings": rows})
    else:
        cert_shown.show(talk, shown, (), moment)
        _print(talk, rows)
    failed = trust is not None and any(row["verdict"] == "fail" for row in rows)
    return exits.NO if failed else None


def _say(talk: Talk, found: Presented, more: int) -> None:
    """Say what else there is to know of the handshake."""
    if more:
        these = "it" if more == 1 else "them"
        talk.say(f"cipsec: {more} more in the chain; add --chain to see {these}")
    if found.asks:
        talk.say("cipsec: it asks for a client certificate; none was sent")
    if found.ended:
        talk.say(f"cipsec: then it ended the handshake: {found.ended}")


def _handshake(found: Presented) -> dict[str, object]:
    return {
        "presented": len(found.chain),
        "tls_version": found.version,
        "cipher": found.cipher,
        "client_certificate_asked": found.asks,
        "handshake_ended": found.ended,
    }


def _print(talk: Talk, rows: list[dict[str, object]]) -> None:
    """Print what is wrong, and whether the trusted CAs are reached."""
    told = [row for row in rows if row["verdict"] != "ok" or row["check"] == "path"]
    if not told:
        talk.say("cipsec: nothing is wrong with it; whether to trust it tells --trust FILE")
        return
    talk.line("")
    talk.table("findings", ("check", "verdict", "detail", "hint"), told)
