"""The CA's keys as its folder or a token has them, each with its certificate."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import issuers, provisioning
from cipsec.ca.authority import Authority
from cipsec.ca_folder.certificates import Certificates
from cipsec.ca_folder.generation import certificates_in, load
from cipsec.errors import AlreadyExists, Malformed
from cipsec.pki import keys
from cipsec.token.uri import KeyUri

_PATIENCE_SECONDS = 10.0  # an RSA key is made in one or two


@dataclass(frozen=True, slots=True)
class CrlIssuer:
    """One key of the CA that signs a revocation list, and the file in which that lies in DER."""

    authority: Authority
    file: Path


@dataclass(frozen=True, slots=True)
class Keyed(Certificates):
    """The keys in a CA's folder, for who has their passphrase."""

    def keys_held(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from making or moving keys, and from changing their passphrase."""
        return files.held(
            self.keys_lock_file,
            patience=_PATIENCE_SECONDS,
            busy=f"another process is at work on the keys in {self.path}",
            hint="try again in a minute",
        )

    def key_uri(self) -> KeyUri | None:
        """Return on which token the CA's key is, None where it is in the folder; raise Malformed.

        Then no copy of the folder has it, a backup neither.
        """
        return self.key_place.uri()

    def is_encrypted(self) -> bool:
        """Tell whether the CA's key needs a passphrase, or its token a PIN, that somebody gives."""
        return self.key_place.is_encrypted()

    def private_key(self, passphrase: str | None) -> keys.PrivateKey:
        """Return the CA's key, from its file or on its token, whose PIN is `passphrase` then.

        Raises Locked when that does not open it, TokenFailed while the token cannot be used.
        """
        return self.key_place.open(passphrase, self.certificate)

    def authority(self, passphrase: str | None) -> Authority:
        """Return the CA with its key; raise Locked when the passphrase does not open it."""
        own, key = self.pair(passphrase)
        above = issuers.above(own, certificates_in(self.chain_file))
        return Authority(own, key, above, mark=self.crl_mark())

    def pair(self, passphrase: str | None) -> tuple[x509.Certificate, keys.PrivateKey]:
        """Return certificate and key of the root that issues; raise Locked, Malformed."""
        certificate = self.certificate()
        upcoming = self.successor
        # A roll-over changes ca.pem first, in one step, and ca.key after it.
        taking_over = self._takes_over()
        key = upcoming.private_key(passphrase) if taking_over else self.private_key(passphrase)
        if self.certificate() != certificate:
            return self.pair(passphrase)
        return certificate, key

    def _takes_over(self) -> bool:
        """Tell whether the next root is in ca.pem already; its file may be damaged otherwise."""
        upcoming = self.successor
        return upcoming.exists() and files.read(upcoming.certificate_file) == files.read(
            self.certificate_file
        )

    def authorities(self, passphrase: str | None, now: datetime) -> list[Authority]:
        """Return the root that issues and those before it that have not ended, with their keys.

        Each signs a revocation list: whoever trusts only one of them has to be able to check it.
        Raises Locked, Malformed.
        """
        living = (one for one in self.previous() if one.ends() > now)
        return [self.authority(passphrase), *(one.authority(passphrase) for one in living)]

    def key_files(self) -> list[Path]:
        """Return the keys under the CA's passphrase that there are, the CA's own last.

        Raises LocalState.
        """
        before = (one.key_file for one in self.previous())
        copy = self.predecessor(self.certificate()).key_file  # of an activation that was cut off
        every = [self.provisioning_key_file, self.successor.key_file, *before, copy, self.key_file]
        return [path for path in every if files.exists(path)]

    def crl_issuers(self, authorities: Sequence[Authority]) -> tuple[CrlIssuer, ...]:
        """Return who signs a revocation list, and where that lies: every key of the CA's name.

        Not the issuer of provisioning certificates: no device trusts it, and the EST server, which
        does, looks at the record.
        """
        return tuple(CrlIssuer(one, self._crl_file_of(one.certificate)) for one in authorities)

    def _crl_file_of(self, root: x509.Certificate) -> Path:
        return self.crl_file if root == self.certificate() else self.predecessor(root).crl_file

    def provisioning_authority(self, passphrase: str | None, now: datetime) -> Authority:
        """Return the issuer of provisioning certificates with its key, made when there is none.

        Raises Locked for the passphrase, Malformed for damaged files, LocalState when the CA has
        expired or the files cannot be made.
        """
        if self.provisioning_certificate() is None:
            self._make_provisioning_issuer(passphrase, now)
        key = keys.from_either_pem(files.read(self.provisioning_key_file), passphrase)
        try:
            issuer = Authority(load(self.provisioning_certificate_file), key)
        except Malformed:
            raise Malformed(
                f"{self.provisioning_key_file} is not the key of "
                f"{self.provisioning_certificate_file.name}",
                hint="restore both from a backup",
            ) from None
        if issuer.ends >= self.ends():
            return issuer
        # The CA's certificate was renewed: what ends with it goes on, under the same key.
        renewed = provisioning.issuer(self.authority(passphrase), key, now=now)
        pem = renewed.public_bytes(Encoding.PEM)
        files.replace(self.provisioning_certificate_file, pem, mode=files.PUBLIC)
        return Authority(renewed, key)

    def _make_provisioning_issuer(self, passphrase: str | None, now: datetime) -> None:
        """Make key and certificate; of several that do so at once, all end with the same pair.

        The first key that has the name is everybody's key, also that of a process which ended
        before it made the certificate.
        """
        with self.keys_held():
            ca = self.authority(passphrase)
            # Not under a PIN, which is short: the file would tell who guesses that he is right.
            own = None if self.key_uri() or not self.is_encrypted() else passphrase
            with contextlib.suppress(AlreadyExists):
                pem = keys.to_pem(keys.generate(provisioning.KEY_TYPE), own)
                files.create(self.provisioning_key_file, pem, inherit=True)
            key = keys.from_either_pem(files.read(self.provisioning_key_file), own)
            certificate = provisioning.issuer(ca, key, now=now).public_bytes(Encoding.PEM)
            with contextlib.suppress(AlreadyExists):
                path = self.provisioning_certificate_file
                files.create(path, certificate, mode=files.PUBLIC, inherit=True)
