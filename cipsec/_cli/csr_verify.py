"""`cipsec csr verify`: requests judged by themselves and, where a CA is named, as it would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli import exits, found, given
from cipsec._cli.options import CaDir
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, LocalState, UsageError

if TYPE_CHECKING:
    from cipsec.pki.lint import Finding

    _Judge = Callable[[bytes], list[Finding]]

_SUFFIXES = {".csr", ".req", ".p10"}  # in a folder; .pem and .der are mostly certificates

Requests = Annotated[
    list[str], typer.Argument(metavar="FILE|-...", help="Requests, a folder of them, - for stdin.")
]
Cert = Annotated[
    str | None,
    typer.Option(
        "--cert", metavar="FILE", help="What the TLS client would present to the CA, leaf first."
    ),
]


def verify(
    talk: Talk, requests: Requests, *, ca_dir: CaDir = None, cert: Cert = None
) -> int | None:
    """Check requests: signature, key, names, what they ask for.

    Exit code 10 where one fails.

    With --ca-dir also by what that CA reads in them, and what a certificate presented with --cert
    would prove. Whether its rules grant it says `policy check`.
    """
    from cipsec.pki import lint

    if [*requests, cert].count("-") > 1:
        raise UsageError("stdin can be read only once", hint="write one of them into a file")
    sources = [one for name in requests for one in given.sources(talk, name, _SUFFIXES)]
    several = sources != requests or len(sources) > 1
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        judge = _by_ca(stack, talk, ca_dir, cert) if ca_dir or cert is not None else lint.request
        for source in sources:
            findings = _found(talk, source, judge, several=several)
            rows += found.rows(talk, source, findings)
    found.show(talk, rows, several=several)
    return exits.NO if found.count(talk, rows) else None


def _found(talk: Talk, source: str, judge: _Judge, *, several: bool) -> Iterator[Finding]:
    """Yield the findings on one file; of several one that cannot be read is a finding."""
    from cipsec.pki.lint import Finding
    from cipsec.pki.mistaken import REQUEST

    try:
        held = given.look(talk, source, None, opened=False)
        der = held.required_request()
    except LocalState as error:
        if not several:
            raise
        yield Finding("file", "fail", error.message, error.hint or _OTHER)
        return
    given.say_left(talk, held, REQUEST)
    yield from judge(der)


_OTHER = "name the file that holds the request"


def _by_ca(open_until: ExitStack, talk: Talk, ca_dir: Path | None, cert: str | None) -> _Judge:
    """Return what judges a request by itself and by the CA; its store is open as long as that."""
    from cipsec.ca_folder import open_folder
    from cipsec.pki import csr, lint
    from cipsec.ra.examined import findings
    from cipsec.serve.certificate import own_names
    from cipsec.times import now

    folder = open_folder(ca_dir)
    chain = _chain(talk, cert) if cert is not None else ()
    config, names = folder.configuration(), own_names(folder)
    sources = folder.sources(open_until.enter_context(closing(folder.store())))

    def judge(der: bytes) -> list[Finding]:
        alone = lint.request(der)
        try:
            request = csr.parse(der)
        except CipsecError:
            return alone  # which says why already
        seen = findings(request, chain, sources=sources, config=config, own_names=names, now=now())
        replaced = {finding.check for finding in seen}
        return [*(one for one in alone if one.check not in replaced), *seen]

    return judge


def _chain(talk: Talk, cert: str) -> tuple[bytes, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec.pki import load

    chain = load.certificates(*given.read(talk, cert))
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
