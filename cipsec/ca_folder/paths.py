"""Where everything lies in a CA's folder; what it is and how it is read is left to the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cipsec.ca_folder.generation import Generation
from cipsec.ca_folder.key_place import KeyPlace
from cipsec.pki import keys
from cipsec.pki.issued import is_self_issued


@dataclass(frozen=True, slots=True)
class Paths:
    """A CA's folder; every path in it is named here and nowhere else."""

    path: Path

    @property
    def config_file(self) -> Path:
        """ca.toml: names, validity and rules, for people to edit."""
        return self.path / "ca.toml"

    @property
    def certificate_file(self) -> Path:
        """The CA's certificate, which endpoints are to trust."""
        return self.path / "ca.pem"

    @property
    def chain_file(self) -> Path:
        """The CAs above this one; a root has none."""
        return self.path / "chain.pem"

    @property
    def request_file(self) -> Path:
        """What a CA above this one signs; without a certificate, the folder waits for it."""
        return self.path / "ca.csr"

    @property
    def key_file(self) -> Path:
        """The CA's private key, mode 0600."""
        return self.path / "ca.key"

    @property
    def token_file(self) -> Path:
        """Says on which PKCS#11 token the CA's key is, where it is not in the folder."""
        return self.path / "ca.pkcs11"

    @property
    def key_place(self) -> KeyPlace:
        """Where the key is that issues."""
        return KeyPlace(self.key_file, self.token_file)

    @property
    def server_certificate_file(self) -> Path:
        """The EST server's own certificate."""
        return self.path / "server.pem"

    @property
    def server_key_file(self) -> Path:
        """The EST server's own private key, mode 0600."""
        return self.path / "server.key"

    @property
    def provisioning_certificate_file(self) -> Path:
        """The issuer of provisioning certificates, which no device trusts."""
        return self.path / "provisioning.pem"

    @property
    def provisioning_key_file(self) -> Path:
        """The private key of that issuer, mode 0600, with the passphrase of the CA's key."""
        return self.path / "provisioning.key"

    @property
    def successor(self) -> Generation:
        """The next key, while a roll-over is prepared."""
        return Generation(self.path / "next")

    @property
    def predecessors_folder(self) -> Path:
        """The keys before, each in a folder of its own, until their certificates end."""
        return self.path / "previous"

    def predecessor(self, root: x509.Certificate) -> Generation:
        """Return where a root, or a CA below one, is kept once another has taken over.

        A CA below another has it by its key, which keeps the place in URLs (`ca.crl.place`) when
        the CA above renews the certificate.
        """
        by_key = not is_self_issued(root)
        name = keys.spki_sha256(root.public_key()) if by_key else fingerprint(root)
        return Generation(self.predecessors_folder / name[:16])

    @property
    def allowlists_folder(self) -> Path:
        """The lists of known devices, each a file."""
        return self.path / "allowlists"

    @property
    def vendors_folder(self) -> Path:
        """The vendors' trust anchors, each a file."""
        return self.path / "vendors"

    @property
    def store_file(self) -> Path:
        """The store: certificates, requests, users, events."""
        return self.path / "store.sqlite3"

    @property
    def crl_file(self) -> Path:
        """The revocation list in DER, for anybody to copy."""
        return self.path / "ca.crl"

    @property
    def crl_lock_file(self) -> Path:
        """Held by whoever signs a revocation list."""
        return self.path / "crl.lock"

    @property
    def keys_lock_file(self) -> Path:
        """Held by whoever makes or moves keys, or changes their passphrase."""
        return self.path / "keys.lock"

    @property
    def backup_lock_file(self) -> Path:
        """Held by whoever makes a backup."""
        return self.path / "backup.lock"

    @property
    def lock_file(self) -> Path:
        """Held by the one server that runs on this folder."""
        return self.path / "serve.lock"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in lower-case hex: what people compare."""
    return certificate.fingerprint(hashes.SHA256()).hex()
