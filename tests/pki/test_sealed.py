"""Sealed streams: opened by us and by openssl; flipped, cut, or with more behind them."""

from __future__ import annotations

import hashlib
import io
import secrets
from pathlib import Path

import pytest

from cipsec.errors import Locked, Malformed
from cipsec.pki import sealed
from cipsec.pki.sealed import Sealing, opened
from tests.support import programs

PASSPHRASE = "correct horse bättery"
_PIECE = 64 * 1024


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the work for who guesses is enough for tests; its length in DER is the same."""
    monkeypatch.setattr(sealed, "ITERATIONS", 100_000)


def seal(data: bytes, step: int = 10_000) -> bytes:
    """Return data sealed, given in steps."""
    sealing = Sealing(PASSPHRASE)
    parts = [sealing.update(data[n : n + step]) for n in range(0, len(data), step)]
    return b"".join([sealing.head, *parts, sealing.finish()])


def open_(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    """Return what is in it."""
    return b"".join(opened(io.BytesIO(data).read, passphrase))


@pytest.mark.parametrize(
    "size", [0, 1, 100, 127, 128, 255, 256, _PIECE - 1, _PIECE, _PIECE + 1, 3 * _PIECE, 300_000]
)
def test_openssl_opens_it(size: int, tmp_path: Path) -> None:
    """With nothing but the passphrase; and we do."""
    programs.need("openssl")
    data = secrets.token_bytes(size)
    (tmp_path / "sealed").write_bytes(whole := seal(data))
    assert open_(whole) == data
    done = programs.run("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in",
                        tmp_path / "sealed", "-pwri_password", PASSPHRASE, "-out",
                        tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == data
    refused = programs.run("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in",
                           tmp_path / "sealed", "-pwri_password", "wrong", "-out",
                           "/dev/null")  # fmt: skip
    assert refused.returncode != 0


def test_each_is_another() -> None:
    """Salt, key and nonce are new each time."""
    assert seal(b"x" * 100)[-200:] != seal(b"x" * 100)[-200:]


@pytest.mark.parametrize("passphrase", ["", "wrong", PASSPHRASE + "\n", PASSPHRASE[:-1]])
def test_wrong_passphrase(passphrase: str) -> None:
    """Said before a byte of content comes."""
    stream = opened(io.BytesIO(seal(b"data")).read, passphrase)
    with pytest.raises(Locked):
        next(stream)


def test_every_bit_of_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flip anywhere in the head, the first piece's frame or the end is noticed."""
    whole = seal(secrets.token_bytes(_PIECE + 100))
    salt = whole[sealed._PLACES[0]]
    key = sealed._derived(PASSPHRASE, salt, 100_000)

    def remembered(passphrase: str, salted: bytes, iterations: int) -> bytes:
        same = (salted, iterations) == (salt, 100_000)
        return key if same else hashlib.sha256(salted + str(iterations).encode()).digest()

    monkeypatch.setattr(sealed, "_derived", remembered)
    size = len(whole)
    places = [*range(len(sealed._TEMPLATE) + 8), *range(size - 150, size), *range(400, size, 997)]
    for place in places:
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            with pytest.raises((Malformed, Locked)):
                open_(bytes(changed))


@pytest.mark.parametrize("keep", [0, 1, 2, 50, 200, 250, 1_000, _PIECE, -1, -2, -6, -7, -24, -30])
def test_cut_off(keep: int) -> None:
    """An end that is not there is noticed wherever it is missing."""
    with pytest.raises(Malformed, match=r"cut off|not a backup"):
        open_(seal(b"x" * 100_000)[:keep])


@pytest.mark.parametrize("more", [b"\0", b"x" * 100, b"\0\0"])
def test_more_behind_it(more: bytes) -> None:
    """What is appended is noticed."""
    with pytest.raises(Malformed, match="end"):
        open_(seal(b"data") + more)


def test_pieces_exchanged() -> None:
    """Two pieces that are each good are not, in another order."""
    whole = seal(b"a" * _PIECE + b"b" * _PIECE)
    start, size = len(sealed._TEMPLATE), _PIECE + 5
    first, second = whole[start : start + size], whole[start + size : start + 2 * size]
    with pytest.raises(Malformed, match="changed"):
        open_(whole[:start] + second + first + whole[start + 2 * size :])


@pytest.mark.parametrize("data", [b"", b"\x30\x80", b"x" * 10_000, bytes(10_000)])
def test_something_else(data: bytes) -> None:
    """Any other file is said not to be one."""
    with pytest.raises(Malformed, match="not a backup"):
        open_(data)


def test_work_is_bounded() -> None:
    """Whoever changes the number of hashes cannot make us hash for hours."""
    head = bytearray(sealed._TEMPLATE)
    for count in (1, 99_999, 0xFFFFFF):
        head[sealed._COUNT] = count.to_bytes(3, "big")
        with pytest.raises(Malformed, match=r"hashed \d+ times|not a backup"):
            open_(bytes(head) + b"\0" * 100)
