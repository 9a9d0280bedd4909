"""Signers whose key is in this process after all, and TLS handshakes in memory to try them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from cipsec.pki import keys
from cipsec.tls.server import ServerTls, server_context
from tests.support.canned import LOCALHOST, Plant, named

_PREHASHED = {32: hashes.SHA256(), 48: hashes.SHA384()}
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass
class SoftSigner:
    """A key behind the protocol of a card's; `before` is called first, `after` may spoil."""

    key: keys.PrivateKey
    before: Callable[[], object] = lambda: None
    after: Callable[[bytes], bytes] = lambda signature: signature
    lengths: list[int] = field(default_factory=list)

    def public_key(self) -> keys.PublicKey:
        """Return the public key."""
        return self.key.public_key()

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign as a PIV card with an EC key; it takes no digest of another length."""
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        self.lengths.append(len(digest))
        self.before()
        return self.after(self.key.sign(digest, ec.ECDSA(Prehashed(_PREHASHED[len(digest)]))))

    def sign_block(self, block: bytes) -> bytes:
        """Sign as a PIV card with an RSA key: m to the d modulo n, by way of p and q."""
        assert isinstance(self.key, rsa.RSAPrivateKey)
        self.lengths.append(len(block))
        self.before()
        key, message = self.key.private_numbers(), int.from_bytes(block, "big")
        by_p, by_q = pow(message, key.dmp1, key.p), pow(message, key.dmq1, key.q)
        power = by_q + key.q * ((by_p - by_q) * key.iqmp % key.p)
        return self.after(power.to_bytes(len(block), "big"))


def device(
    plant: Plant, kind: keys.KeyType = keys.KeyType.EC_P256, name: str = "Engineer"
) -> tuple[x509.Certificate, SoftSigner]:
    """Return a certificate of the plant and the signer that has its key."""
    key = keys.generate(kind)
    return plant.issue(key.public_key(), named(name)), SoftSigner(key)


def server_of(plant: Plant) -> SSL.Context:
    """Return the context of cipsec's own server."""
    key = keys.generate(keys.KeyType.EC_P256)
    return server_context([plant.issue(key.public_key(), named("est"), sans=LOCALHOST)], key)


def shake(context: ssl.SSLContext, server: SSL.Context) -> ServerTls:
    """Shake hands in memory; return the server's end."""
    end = ServerTls(server)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    complete = False
    while not complete:
        try:
            client.do_handshake()
            complete = True
        except ssl.SSLWantReadError:
            pass
        if outgoing.pending:
            end.feed(outgoing.read())
        end.shake()
        incoming.write(end.take())
    return end


def trusting(
    anchors: Sequence[x509.Certificate], version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a plain client context of the standard library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pems = [anchor.public_bytes(Encoding.PEM).decode("ascii") for anchor in anchors]
    context.load_verify_locations(cadata="".join(pems))
    if version:
        context.minimum_version = context.maximum_version = version
    return context
