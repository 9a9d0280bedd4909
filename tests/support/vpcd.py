"""A private pcscd with two virtual readers, and cards put into them: real PC/SC without hardware.

vpcd listens on every address, so the daemon lives in a network namespace of its own; only the
thread that plays a card enters it. Programs and pyscard reach the daemon by its UNIX socket, whose
place libpcsclite reads once per process: hence one path, set before the first test runs.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from cipsec.errors import NoCard, NoPcsc
from tests.support import ports, programs
from tests.support.pivcard import ATR, PivCard

READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")

_FIRST_PORT = 35963
_SOCKET = "PCSCLITE_CSOCK_NAME"
_CLONE_NEWNET = 0x40000000
_PATIENCE = 120.0
_SEEN = 10.0  # seconds in which a card is seen, even if this machine is busy
# A card that is pulled in use is gone at once, but pcscd's thread that sees cards come looks every
# 0.4 s, and must have found the reader empty.
_LOOKS = 1.0
_OFF, _ON, _RESET, _GET_ATR = 0, 1, 2, 4
# systemd's socket activation, by hand: the daemon finds its listening socket as descriptor 3. Its
# own /run/pcscd keeps it from the pid file of the system's daemon.
_START = """
exec 3<&0 </dev/null
ip link set lo up && mkdir -p /run/pcscd && mount -t tmpfs pcscd /run/pcscd || exit
LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"
"""


def claim_socket() -> None:
    """Say where this process and its children find the daemon: there, or nowhere.

    Before anything reads it. Else whichever test asks for readers first leaves libpcsclite with the
    system's daemon for the rest of the process, and no test finds one of its own.
    """
    folder = tempfile.mkdtemp(prefix="pcscd-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_SOCKET] = str(Path(folder) / "pcscd.comm")


def socket_path() -> Path:
    """Return where the daemon of this run listens."""
    return Path(os.environ[_SOCKET])


def need() -> None:
    """Skip loudly where no private pcscd can run: without root, Linux or the packages."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("NOT TESTED over PC/SC: a private pcscd needs root on Linux")
    programs.need("pcscd", "unshare", "ip")
    if programs.run("unshare", "-n", "-m", "true").returncode != 0:
        pytest.skip("NOT TESTED over PC/SC: no namespaces can be made here")
    pytest.importorskip("smartcard", reason="NOT TESTED over PC/SC: pyscard is not installed")


class Pcscd:
    """The running daemon."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._inserted: list[Inserted] = []

    def insert(self, card: PivCard, reader: int = 0) -> Inserted:
        """Put a card into the first or second reader, and wait until PC/SC has seen it.

        One that pcscd takes for the card that was there before it never sees: in once more.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            inserted = Inserted(card, self._process.pid, _FIRST_PORT + reader)
            self._inserted.append(inserted)
            if _happens(partial(_has_card, reader), _SEEN):
                return inserted
            inserted.pull()
            if time.monotonic() > until:
                raise TimeoutError("waited in vain for the card to be seen")
            time.sleep(_LOOKS)

    def wait_until_empty(self) -> None:
        """Wait until PC/SC has seen that all cards are pulled."""
        for reader in range(len(READERS)):
            _wait_for(partial(_is_empty, reader), "the card to be gone")
        time.sleep(_LOOKS)

    def kill(self) -> None:
        """End the daemon at once, as a crash does."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Pull all cards and end the daemon."""
        for inserted in self._inserted:
            inserted.pull()
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


class Inserted:
    """A card in a reader: a thread that dials the virtual reader and answers it."""

    def __init__(self, card: PivCard, daemon: int, port: int) -> None:
        self.card = card
        self._daemon, self._port = daemon, port
        self._socket: socket.socket | None = None
        self._dialled = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        if not self._dialled.wait(_PATIENCE):
            raise TimeoutError("the virtual reader does not answer")

    def pull(self) -> None:
        """Pull the card."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)

    def _play(self) -> None:
        _enter_network_of(self._daemon)
        with ports.connected(self._port) as connection:
            self._socket = connection
            self._dialled.set()
            with suppress(NoCard, OSError):
                while self._answer(connection):
                    pass
        # Closing is pulling.

    def _answer(self, connection: socket.socket) -> bool:
        payload = _received(connection)
        if payload is None:
            return False
        if len(payload) > 1:
            data, sw = self.card.transmit(payload)
            _send(connection, data + sw.to_bytes(2, "big"))
        elif payload[0] == _GET_ATR:
            _send(connection, ATR)
        elif payload[0] in (_OFF, _ON, _RESET):
            self.card.power_up()
        return True


def _received(connection: socket.socket) -> bytes | None:
    # Else each answer waits for a delayed acknowledgement: 48 ms an APDU.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    head = connection.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        return None
    length = int.from_bytes(head, "big")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    payload = connection.recv(length, socket.MSG_WAITALL)
    return payload if len(payload) == length and payload else None


def _send(connection: socket.socket, payload: bytes) -> None:
    connection.sendall(len(payload).to_bytes(2, "big") + payload)


def _enter_network_of(process: int) -> None:
    """Move this thread, and no other, into the namespace of a process (setns(2))."""
    theirs, ours = Path(f"/proc/{process}/ns/net"), Path("/proc/self/ns/net")
    _wait_for(lambda: theirs.readlink() != ours.readlink(), "the daemon's network namespace")
    libc = ctypes.CDLL(None, use_errno=True)
    with theirs.open() as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def _has_card(reader: int) -> bool:
    from cipsec.card import pcsc

    found = {each.name: each.has_card for each in pcsc.readers()}
    return found.get(READERS[reader], False)


def _is_empty(reader: int) -> bool:
    return not _has_card(reader)


def _wait_for(happened: Callable[[], bool], what: str) -> None:
    if not _happens(happened, _PATIENCE):
        raise TimeoutError(f"waited in vain for {what}")


def _happens(happened: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def pcscd(*, readers: bool = True) -> Iterator[Pcscd]:
    """Run a private daemon; it ends with the block, and its cards with it."""
    need()
    path = socket_path()
    path.unlink(missing_ok=True)
    daemon = Pcscd(_started(path, () if readers else ("--config", os.devnull)))
    try:
        _wait_for(partial(_ready, READERS if readers else ()), "pcscd")
        yield daemon
    finally:
        daemon.close()
        path.unlink(missing_ok=True)


def _ready(expected: Sequence[str]) -> bool:
    from cipsec.card import pcsc

    with suppress(NoPcsc):  # its socket answers a little later
        return [reader.name for reader in pcsc.readers()] == list(expected)
    return False


def _started(path: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    daemon = [str(shutil.which("pcscd")), "--foreground", *options]
    if b"--disable-polkit" in programs.run("pcscd", "--help").stdout:  # Debian 13 has it, 12 not
        daemon.append("--disable-polkit")
    with socket.socket(socket.AF_UNIX) as listening:  # the daemon's alone, once it has it
        listening.bind(str(path))
        listening.listen(16)
        return subprocess.Popen(
            ["unshare", "-n", "-m", "sh", "-c", _START, "sh", *daemon],
            stdin=listening.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
