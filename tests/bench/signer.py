"""TLS with a key that is elsewhere, beside the same key in a file: python -m tests.bench.signer

Whole handshakes in memory, the server's part included, one context for all and then a new context
for each; the signer has its key in this process, and does RSA in Python's slow numbers. Memory is
what the process holds after the first tenth and at the end; the ratio of CPU time is over rounds in
turn.
"""

from __future__ import annotations

import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from cipsec.pki import keys
from cipsec.tls import signer
from tests.support.canned import Plant, write_pem
from tests.support.signing import SoftSigner, device, server_of, shake, trusting

_KINDS = (keys.KeyType.EC_P256, keys.KeyType.EC_P384, keys.KeyType.RSA_2048)
_HANDSHAKES = 1000
_ROUNDS = 10
_PAGE = os.sysconf("SC_PAGE_SIZE")

Contexts = Callable[[], ssl.SSLContext]


def _resident() -> int:
    """Return the memory this process holds, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _cpu(contexts: Contexts, server: SSL.Context, number: int) -> float:
    began = time.process_time()
    for _ in range(number):
        shake(contexts(), server)
    return time.process_time() - began


def _hooked(plant: Plant, certificate: x509.Certificate, soft: SoftSigner) -> ssl.SSLContext:
    context = trusting([plant.certificate])
    signer.use(context, certificate, soft)
    return context


def _from_file(
    plant: Plant, folder: Path, certificate: x509.Certificate, key: keys.PrivateKey
) -> ssl.SSLContext:
    context = trusting([plant.certificate])
    (folder / "key.pem").write_bytes(keys.to_pem(key))
    context.load_cert_chain(write_pem(folder / "certificate.pem", certificate), folder / "key.pem")
    return context


def _growth(contexts: Contexts, server: SSL.Context) -> float:
    """Return by how many KiB the process grew over the last nine tenths of the handshakes."""
    _cpu(contexts, server, _HANDSHAKES // 10)
    before = _resident()
    _cpu(contexts, server, _HANDSHAKES - _HANDSHAKES // 10)
    return (_resident() - before) / 1024


def _report(plant: Plant, server: SSL.Context, folder: Path, kind: keys.KeyType) -> str:
    certificate, soft = device(plant, kind)
    hooked = _hooked(plant, certificate, soft)
    kept = _growth(lambda: hooked, server)
    new = _growth(lambda: _hooked(plant, certificate, soft), server)
    plain = _from_file(plant, folder, certificate, soft.key)
    each = _HANDSHAKES // _ROUNDS
    pairs = [
        (_cpu(lambda: hooked, server, each), _cpu(lambda: plain, server, each))
        for _ in range(_ROUNDS)
    ]
    mine, theirs = (statistics.median(column) / each for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return (
        f"{kind}: {mine * 1e3:.2f} ms, from a file {theirs * 1e3:.2f} ms, ratio {ratio:.2f};"
        f" growth in {_HANDSHAKES} handshakes: {kept:.0f} KiB on one context,"
        f" {new:.0f} KiB on as many contexts"
    )


def main() -> int:
    """Print one line for each key type."""
    plant = Plant()
    server = server_of(plant)
    with tempfile.TemporaryDirectory() as name:
        for kind in _KINDS:
            print(_report(plant, server, Path(name), kind), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
