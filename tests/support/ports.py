"""Ports of loopback that a test has to know before anybody listens there, if anybody ever does."""

from __future__ import annotations

import socket
import time

from tests.support.waiting import LONG

HOST = "127.0.0.1"
_DISCARD = 9


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port at which nobody answers, and which nobody is given by chance.

    It is kept until this process ends. A server that asks for it by its number gets it: of sockets
    with SO_REUSEADDR the system refuses the second only where the first listens (socket(7)).
    """
    holder = socket.socket(socket.AF_INET, kind)
    if kind is socket.SOCK_STREAM:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, 0))
    port = int(holder.getsockname()[1])
    if kind is socket.SOCK_DGRAM:
        holder.connect((HOST, _DISCARD))  # what others send here is refused
    holder.detach()
    return port


def connected(port: int) -> socket.socket:
    """Return a connection to whoever listens there by and by."""
    end = time.monotonic() + LONG
    while True:
        try:
            return socket.create_connection((HOST, port))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
