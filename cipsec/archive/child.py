"""Opens one PKCS#12: what is asked on stdin, what is in it or why not on stdout, both in JSON.

The passphrase comes, and the key goes where it is asked for, through pipes to the process that
started this one. Ending this when it takes too long is left to that.
"""

from __future__ import annotations

import base64
import json
import signal
import sys
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import LocalState
from cipsec.pki import bundle, keys, pkcs12

SECONDS = 60  # some times what the most rounds take that `pki.pkcs12` lets pass


def main() -> int:
    """Answer one question; return the exit code."""
    if hasattr(signal, "alarm"):  # should whoever started this be gone
        signal.alarm(SECONDS + 10)
    asked = json.load(sys.stdin)
    look = _bundle if asked["key"] else _archive
    try:
        answer = look(base64.b64decode(asked["der"]), asked["source"], asked["passphrase"])
    except LocalState as error:
        answer = {"error": [type(error).__name__, error.message, error.hint]}
    sys.stdout.write(json.dumps(answer))
    return 0


def _archive(der: bytes, source: str, passphrase: str | None) -> dict[str, object]:
    found = pkcs12.read(der, source, passphrase)
    return {"certificates": _pem(found.certificates), "has_key": found.has_key}


def _bundle(der: bytes, source: str, passphrase: str | None) -> dict[str, object]:
    found = bundle.read(der, source, passphrase)
    return {"certificates": _pem(found.certificates), "key": keys.to_pem(found.key).decode()}


def _pem(certificates: Iterable[x509.Certificate]) -> list[str]:
    return [one.public_bytes(Encoding.PEM).decode() for one in certificates]


if __name__ == "__main__":
    sys.exit(main())
