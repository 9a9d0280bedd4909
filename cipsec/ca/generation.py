"""A root of the CA besides the one that issues: the next, or one before, in a folder of its own.

    ca.pem, ca.key        its certificate and its key, with the passphrase of the CA's key
    new-with-old.pem      the younger of it and its neighbour, signed by the elder
    old-with-new.pem      the elder, signed by the younger
    ca.crl                its revocation list, once another issues

Made whole and moved whole; which one issues is `ca_folder`'s to say.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files, naming
from cipsec.ca.authority import Authority
from cipsec.errors import LocalState, Malformed
from cipsec.pki import keys


@dataclass(frozen=True, slots=True)
class Generation:
    """The folder of one root; every name in it is known here and nowhere else."""

    path: Path

    @property
    def certificate_file(self) -> Path:
        """The self-signed certificate."""
        return self.path / "ca.pem"

    @property
    def key_file(self) -> Path:
        """Its private key, mode 0600."""
        return self.path / "ca.key"

    @property
    def new_with_old_file(self) -> Path:
        """The link by which who trusts the elder believes the younger."""
        return self.path / "new-with-old.pem"

    @property
    def old_with_new_file(self) -> Path:
        """The link by which who trusts the younger believes the elder."""
        return self.path / "old-with-new.pem"

    @property
    def crl_file(self) -> Path:
        """Its revocation list in DER, once it has issued."""
        return self.path / "ca.crl"

    def exists(self) -> bool:
        """Tell whether there is one; raise LocalState when that cannot be told."""
        return files.exists(self.certificate_file)

    def certificate(self) -> x509.Certificate:
        """Return the root's certificate; raise Malformed, LocalState."""
        return self._load(self.certificate_file)

    def new_with_old(self) -> x509.Certificate:
        """Return the link from the elder to the younger; raise Malformed, LocalState."""
        return self._load(self.new_with_old_file)

    def old_with_new(self) -> x509.Certificate:
        """Return the link from the younger to the elder; raise Malformed, LocalState."""
        return self._load(self.old_with_new_file)

    def _load(self, file: Path) -> x509.Certificate:
        try:
            return load(file)
        except LocalState as error:
            hint = f"restore {self.path} from a backup, or move it away: the CA issues without it"
            raise Malformed(error.message, hint=hint) from None

    def authority(self, passphrase: str | None) -> Authority:
        """Return the root with its key; raise Locked, Malformed, LocalState."""
        return Authority(self.certificate(), self.private_key(passphrase))

    def private_key(self, passphrase: str | None) -> keys.PrivateKey:
        """Return its key; raise Locked, Malformed, LocalState."""
        return keys.from_either_pem(files.read(self.key_file), passphrase)

    def fill(
        self,
        key: bytes,
        certificate: x509.Certificate,
        new_with_old: x509.Certificate,
        old_with_new: x509.Certificate,
    ) -> None:
        """Make the folder whole, or nothing; raise AlreadyExists, LocalState."""
        with files.new_directory(self.path, inherit=True) as place:
            draft = Generation(place)
            files.create(draft.key_file, key, inherit=True)
            for path, value in (
                (draft.new_with_old_file, new_with_old),
                (draft.old_with_new_file, old_with_new),
                (draft.certificate_file, certificate),
            ):
                pem = value.public_bytes(Encoding.PEM)
                files.create(path, pem, mode=files.PUBLIC, inherit=True)

    def remove(self) -> None:
        """Remove the folder and the key in it, in one step as others see it; raise LocalState."""
        dead = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}")
        try:
            naming.rename(self.path, dead)
            files.sync_directory(self.path.parent)
            shutil.rmtree(dead)
        except OSError as error:
            raise LocalState(f"{self.path} cannot be removed: {files.reason(error)}") from None


def load(file: Path) -> x509.Certificate:
    """Return the certificate in a file; raise Malformed, LocalState."""
    try:
        return x509.load_pem_x509_certificate(files.read(file))
    except ValueError:
        raise Malformed(f"{file} holds no certificate") from None
