"""What is in a PKCS#12, asked of a process that is ended where that takes too long.

How often a passphrase is to be hashed for a key can stand in what another passphrase encrypts:
nobody sees it beforehand, and OpenSSL, once it has begun, hears neither a signal nor another thread
of Python's. Decrypting by ourselves far enough to look would mean PBES1 with its own derivation of
keys, RC2 included; a process knows no exception, at a quarter of a second for each try.
"""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from cryptography import x509

from cipsec import files, python
from cipsec.archive import child
from cipsec.errors import LocalState, Locked, Malformed, WeakKey
from cipsec.pki import armour, bundle, keys, pkcs12
from cipsec.pki.bundle import Bundle
from cipsec.pki.mistaken import typed
from cipsec.pki.pkcs12 import Archive

_ERRORS = {error.__name__: error for error in (Malformed, Locked, WeakKey)}


def certificates(der: bytes, source: str, passphrase: str | None) -> Archive:
    """Return what `pki.pkcs12.read` does; raise what it does, and Malformed for what goes on."""
    found = _asked(der, source, passphrase, key=False)
    return Archive(_certificates(found), found["has_key"])


def key(data: bytes, source: str, passphrase: str | None = None) -> Bundle:
    """Return what `pki.bundle.read` does; raise what it does, and Malformed for what goes on."""
    if not (armour.is_der(data) and pkcs12.is_archive(data)):
        return bundle.read(data, source, passphrase)
    found = _asked(data, source, passphrase, key=True)
    return Bundle(keys.from_pem(found["key"].encode()), _certificates(found))


def _certificates(found: dict[str, Any]) -> tuple[x509.Certificate, ...]:
    return tuple(x509.load_pem_x509_certificate(one.encode()) for one in found["certificates"])


def _asked(der: bytes, source: str, passphrase: str | None, *, key: bool) -> dict[str, Any]:
    question = {
        "der": base64.b64encode(der).decode(),
        "source": source,
        "passphrase": passphrase,
        "key": key,
    }
    answer: dict[str, Any] = json.loads(_answer(json.dumps(question).encode(), source))
    if "error" in answer:
        name, message, hint = answer["error"]
        raise _ERRORS[name](message, hint=hint)
    return answer


def _answer(question: bytes, source: str) -> bytes:
    try:
        done = subprocess.run(
            python.command(child.__name__),
            input=question,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=child.SECONDS,
            env=python.environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Malformed(
            f"{source} takes more than {child.SECONDS} seconds to open; that is not waited for",
            hint=f"if you made it: openssl pkcs12 -in {typed(source)} -out FILE",
        ) from None
    except OSError as error:
        why = files.reason(error)
        raise LocalState(f"no process could be started to open {source}: {why}") from None
    if done.returncode:
        raise Malformed(f"{source} cannot be opened: who tried ended with {done.returncode}")
    return done.stdout
