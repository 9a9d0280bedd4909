"""How often a passphrase is to be hashed, as files under one say: what would not end is not begun.

PBES1 and PBES2 (RFC 8018), scrypt (RFC 7914) and the MAC of PKCS#12, wherever they stand in the
clear; opening what is under the passphrase is left to the callers.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from cipsec.errors import Malformed
from cipsec.pki import armour, ber

_MAX_ROUNDS = 10_000_000  # a second or two; programs write 2,000 to 1,000,000
_MAX_DEPTH = 32
_SCRYPT = bytes.fromhex("2b06010401da47040b")
_DEARER = 4  # than a round is each of scrypt's blocks, and it holds 128 bytes meanwhile
_NUMBERS = slice(1, 4)  # of scrypt's parameters: cost, block size, parallelization


def check(data: bytes, source: str, hint: str | None = None) -> None:
    """Raise Malformed for what would be hashed for more than seconds, ValueError for no BER."""
    most = max(_rounds(data, 0), default=0)
    if most > _MAX_ROUNDS:
        raise Malformed(
            f"{source} wants its passphrase hashed {most} times; that is not done", hint=hint
        )


def check_key(data: bytes, source: str) -> None:
    """Raise Malformed as `check` does, of keys in PEM or DER; what is damaged is let by."""
    with contextlib.suppress(ValueError):
        for der in [data] if armour.is_der(data) else _unarmoured(data):
            check(der, source)


def _unarmoured(pem: bytes) -> Iterator[bytes]:
    for block in armour.blocks(pem):
        try:
            yield armour.from_base64(block.text)
        except Malformed:
            continue  # with headers, as OpenSSL wrote keys once: they are hashed once


def _rounds(data: bytes, depth: int) -> Iterator[int]:
    """Yield every number that follows a salt, and for scrypt all three as one."""
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deep")
    salted = scrypt = False
    for element in ber.elements(data):
        content = data[element.start : element.end]
        if element.tag == ber.INTEGER and salted:
            yield int.from_bytes(content, "big")
        salted = element.tag in (ber.OCTETS, ber.OCTETS_IN_PIECES)
        if salted:
            content = ber.octets(data, element)
            if content[:1] == b"\x30":
                with contextlib.suppress(ValueError):  # it need not be DER, encrypted as it may be
                    yield from _rounds(content, depth + 1)
        elif element.constructed:
            yield from _blocks(content) if scrypt else _rounds(content, depth + 1)
        scrypt = content == _SCRYPT


def _blocks(parameters: bytes) -> Iterator[int]:
    found = list(ber.elements(parameters))[_NUMBERS]
    yield _DEARER * math.prod(int.from_bytes(parameters[e.start : e.end], "big") for e in found)
