"""Asking a server once, trusting its CA."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.est.client import Session
from cipsec.est.login import Login
from cipsec.pki import csr, keys
from cipsec.tls.client import client_context
from tests.support.canned import EstServer, named

KEY = keys.generate(keys.KeyType.EC_P256)
TLS12 = ssl.TLSVersion.TLSv1_2
Start = Callable[..., EstServer]


def make(binding: bytes | None) -> bytes:
    """Make a CSR."""
    return csr.build(KEY, named("drive"), challenge=binding).public_bytes(Encoding.DER)


def session(server: EstServer, **options: Any) -> Session:
    """Return a session that trusts the server's CA."""
    context = client_context([server.plant.certificate], by_name=True)
    return Session(server.url, context, timeout=60, **options)


def enroll(server: EstServer, login: Login | None = None) -> list[x509.Certificate]:
    """Enroll once."""
    with session(server) as client:
        return client.simpleenroll(make, login=login)
