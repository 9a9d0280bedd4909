"""A key of the CA besides the one that issues: the next, or one before, in a folder of its own.

    ca.pem                its certificate
    ca.key, ca.pkcs11     its key, with the passphrase of the CA's key; or on which token it is
    new-with-old.pem      of a root: the younger of it and its neighbour, signed by the elder
    old-with-new.pem      of a root: the elder, signed by the younger
    chain.pem             of a CA below another: those above it
    ca.csr                of the next CA below another: what the CA above signs
    ca.crl                its revocation list, once another issues

Made whole and moved whole; which one issues is `ca_folder`'s to say.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files, naming
from cipsec.ca import issuers
from cipsec.ca.authority import Authority
from cipsec.ca.life import Life
from cipsec.ca.rollover import made_at
from cipsec.ca_folder.key_place import Certified, Held, KeyPlace
from cipsec.current import stamp
from cipsec.errors import LocalState, Malformed
from cipsec.pki import keys
from cipsec.pki.issued import is_self_issued
from cipsec.times import from_seconds

_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Generation:
    """The folder of one key; every name in it is known here and nowhere else."""

    path: Path

    @property
    def certificate_file(self) -> Path:
        """Its certificate: there is one generation more once this is there."""
        return self.path / "ca.pem"

    @property
    def key_file(self) -> Path:
        """Its private key, mode 0600."""
        return self.path / "ca.key"

    @property
    def token_file(self) -> Path:
        """Says on which PKCS#11 token its key is, where it is not in the folder."""
        return self.path / "ca.pkcs11"

    @property
    def key_place(self) -> KeyPlace:
        """Where its key is."""
        return KeyPlace(self.key_file, self.token_file)

    @property
    def request_file(self) -> Path:
        """What a CA above signs for it; without a certificate, it waits for that."""
        return self.path / "ca.csr"

    @property
    def chain_file(self) -> Path:
        """The CAs above it; a root has none."""
        return self.path / "chain.pem"

    @property
    def new_with_old_file(self) -> Path:
        """The link by which who trusts the elder root believes the younger."""
        return self.path / "new-with-old.pem"

    @property
    def old_with_new_file(self) -> Path:
        """The link by which who trusts the younger root believes the elder."""
        return self.path / "old-with-new.pem"

    @property
    def crl_file(self) -> Path:
        """Its revocation list in DER, once it has issued."""
        return self.path / "ca.crl"

    def exists(self) -> bool:
        """Tell whether there is one; raise LocalState when that cannot be told."""
        return files.exists(self.certificate_file)

    def is_waiting(self) -> bool:
        """Tell whether it waits for the certificate that the CA above makes; raise LocalState."""
        return files.exists(self.request_file) and not self.exists()

    def is_begun(self) -> bool:
        """Tell whether it was cut off while its key was made on a token; raise LocalState."""
        return files.exists(self.token_file) and not self.exists() and not self.is_waiting()

    def certificate(self) -> x509.Certificate:
        """Return its certificate; raise Malformed, LocalState."""
        return self._load(self.certificate_file)

    def request(self) -> x509.CertificateSigningRequest:
        """Return what the CA above signs for it; raise Malformed, LocalState."""
        return load_request(self.request_file)

    def certified(self) -> Certified:
        """Return what its public key stands in: certificate, or request while it waits."""
        return self.request() if self.is_waiting() else self.certificate()

    def path_to_root(self) -> list[x509.Certificate]:
        """Return its certificate and those above it, the root last; raise Malformed."""
        own = self.certificate()
        return [own, *issuers.above(own, certificates_in(self.chain_file))]

    def ends(self) -> datetime:
        """Return when the first of its and those certificates ends; raise Malformed."""
        return Life.of(self.path_to_root()).ends

    def prepared_at(self) -> datetime:
        """Return since when there is one; of a CA below another, when its certificate was laid in.

        Raises Malformed, LocalState.
        """
        own = self.certificate()
        seen = None if is_self_issued(own) else stamp(str(self.certificate_file))
        return from_seconds(seen[0] // _SECOND_NS) if seen else made_at(own)

    def new_with_old(self) -> x509.Certificate:
        """Return the link from the elder root to the younger; raise Malformed, LocalState."""
        return self._load(self.new_with_old_file)

    def old_with_new(self) -> x509.Certificate:
        """Return the link from the younger root to the elder; raise Malformed, LocalState."""
        return self._load(self.old_with_new_file)

    def links(self) -> tuple[x509.Certificate, ...]:
        """Return both, none of a CA below another: who trusts the root believes both neighbours."""
        if not is_self_issued(self.certificate()):
            return ()
        return self.new_with_old(), self.old_with_new()

    def handed_out(self) -> list[x509.Certificate]:
        """Return what /cacerts has of it; raise Malformed, LocalState."""
        own, *above = self.path_to_root()
        return [own, *self.links(), *above]

    def _load(self, file: Path) -> x509.Certificate:
        try:
            return load(file)
        except LocalState as error:
            hint = f"restore {self.path} from a backup, or move it away: the CA issues without it"
            raise Malformed(error.message, hint=hint) from None

    def authority(self, passphrase: str | None) -> Authority:
        """Return it with its key; raise Locked, Malformed, LocalState."""
        own, *above = self.path_to_root()
        return Authority(own, self.private_key(passphrase), above)

    def private_key(self, passphrase: str | None) -> keys.PrivateKey:
        """Return its key; raise Locked, Malformed, LocalState, TokenFailed."""
        return self.key_place.open(passphrase, self.certified)

    def fill(
        self,
        key: Held,
        certificate: x509.Certificate,
        links: Sequence[x509.Certificate] = (),
        above: Sequence[x509.Certificate] = (),
    ) -> None:
        """Make the folder whole, or nothing; `links` are as `links` has them.

        One that was begun becomes whole with the last file. Raises AlreadyExists, LocalState.
        """
        with self._draft(key) as draft:
            draft.complete(certificate, links, above)

    def ask(self, key: Held, request: bytes) -> None:
        """Make the folder of one that waits for its certificate, as `fill` does."""
        with self._draft(key) as draft:
            files.replace(draft.request_file, request, mode=files.PUBLIC)

    @contextlib.contextmanager
    def _draft(self, key: Held) -> Iterator[Generation]:
        if self.is_begun():  # what becomes of its key is written down there, and stays
            self.key_place.put(key)
            yield self
            return
        with files.new_directory(self.path, inherit=True) as place:
            draft = Generation(place)
            draft.key_place.put(key)
            yield draft

    def withdraw(self) -> None:
        """Take back what `fill` or `ask` has made; of a key on a token it stays begun."""
        if not files.exists(self.token_file):
            self.remove()
            return
        self.forget_certificate()
        self._unlink(self.request_file)

    def forget_certificate(self) -> None:
        """Take the certificate away again, so that it waits for one; raise LocalState."""
        self._unlink(self.certificate_file)

    def _unlink(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise LocalState(f"{file} cannot be removed: {files.reason(error)}") from None

    def complete(
        self,
        certificate: x509.Certificate,
        links: Sequence[x509.Certificate],
        above: Sequence[x509.Certificate],
    ) -> None:
        """Lay the certificates to a key that is there, its own last; raise LocalState."""
        if above:
            files.replace(self.chain_file, to_pem(above), mode=files.PUBLIC)
        for path, one in zip((self.new_with_old_file, self.old_with_new_file), links, strict=False):
            files.replace(path, to_pem([one]), mode=files.PUBLIC)
        files.replace(self.certificate_file, to_pem([certificate]), mode=files.PUBLIC)

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


def load_request(file: Path) -> x509.CertificateSigningRequest:
    """Return the request in a file; raise Malformed, LocalState."""
    try:
        return x509.load_pem_x509_csr(files.read(file))
    except ValueError:
        raise Malformed(f"{file} holds no request") from None


def certificates_in(file: Path) -> list[x509.Certificate]:
    """Return the certificates in a file of the folder, none without the file; raise Malformed."""
    if not files.exists(file):
        return []
    try:
        return x509.load_pem_x509_certificates(files.read(file))
    except ValueError:
        raise Malformed(f"{file} holds no certificates") from None


def to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return certificates as such a file has them."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
