"""The CA's folder: what lies in it and how it is opened; making one is left to `founding`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import issuers, provisioning
from cipsec.ca.authority import Authority
from cipsec.ca.generation import Generation
from cipsec.ca.generation import load as _load
from cipsec.current import CurrentFile
from cipsec.errors import AlreadyExists, LocalState, Locked, Malformed, NotFound
from cipsec.pki import keys
from cipsec.ra import config
from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.external import Programs
from cipsec.ra.sources import Sources
from cipsec.ra.vendors.proving import Vendors
from cipsec.store.database import Database
from cipsec.token.keys import on_token
from cipsec.token.uri import KeyUri

_PATIENCE_SECONDS = 10.0  # an RSA key is made in one or two


@dataclass(frozen=True, slots=True)
class CrlIssuer:
    """One key of the CA that signs a revocation list, and the file in which that lies in DER."""

    authority: Authority
    file: Path


@dataclass(frozen=True, slots=True)
class CaFolder:
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
        """The next root, while a roll-over is prepared."""
        return Generation(self.path / "next")

    @property
    def predecessors_folder(self) -> Path:
        """The roots before, each in a folder of its own, until their certificates end."""
        return self.path / "previous"

    def predecessor(self, root: x509.Certificate) -> Generation:
        """Return where a root is kept once another has taken over."""
        return Generation(self.predecessors_folder / fingerprint(root)[:16])

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
    def lock_file(self) -> Path:
        """Held by the one server that runs on this folder."""
        return self.path / "serve.lock"

    def keys_held(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from making keys, and from changing their passphrase, inside the block."""
        return files.held(self.path / "keys.lock", patience=_PATIENCE_SECONDS)

    def certificate(self) -> x509.Certificate:
        """Return the CA's certificate; raise Malformed."""
        return _load(self.certificate_file)

    def next(self) -> Generation | None:
        """Return the next root, None where no roll-over is prepared; raise LocalState.

        One that has taken over already, and was interrupted, is not the next any more.
        """
        upcoming = self.successor
        is_next = upcoming.exists() and upcoming.certificate() != self.certificate()
        return upcoming if is_next else None

    def previous(self) -> list[Generation]:
        """Return the roots before the one that issues, the latest first; raise LocalState."""
        where, own = self.predecessors_folder, self.certificate()
        try:
            found = [Generation(path) for path in where.iterdir()] if files.exists(where) else []
        except OSError as error:
            raise LocalState(f"{where} cannot be read: {files.reason(error)}") from None
        whole = [one for one in found if not one.path.name.startswith(".") and one.exists()]
        others = ((one.certificate().not_valid_after_utc, one) for one in whole)
        ordered = sorted(others, key=lambda pair: pair[0], reverse=True)
        return [one for _, one in ordered if one.certificate() != own]

    def roots(self) -> tuple[x509.Certificate, ...]:
        """Return every root of this CA, the one that issues first; raise LocalState.

        What any of their keys signed is this CA's.
        """
        upcoming = self.next()
        others = [*([upcoming] if upcoming else []), *self.previous()]
        return (self.certificate(), *(other.certificate() for other in others))

    def links(self, now: datetime) -> list[x509.Certificate]:
        """Return what leads from the root that issues back to those before it, for TLS to send."""
        every = (one.new_with_old() for one in self.previous())
        return [link for link in every if link.not_valid_after_utc > now]

    def cacerts(self, now: datetime) -> list[x509.Certificate]:
        """Return what /cacerts hands out; raise Malformed.

        The CA that issues and those above it; beside a root those before and after it, and what
        joins them: NewWithOld and OldWithNew (RFC 7030 section 4.1.3). What has ended is left out.
        """
        upcoming = self.next()
        others = [*([upcoming] if upcoming else []), *self.previous()]
        joined = [
            c for one in others for c in (one.certificate(), one.new_with_old(), one.old_with_new())
        ]
        return [*self.path_to_root(), *(c for c in joined if c.not_valid_after_utc > now)]

    def path_to_root(self) -> list[x509.Certificate]:
        """Return the CA's certificate and those above it, the root last; raise Malformed.

        chain.pem may hold more than these while a certificate is exchanged; a signature check for
        each CA above, 0.1 ms.
        """
        own = self.certificate()
        return [own, *issuers.above(own, certificates_in(self.chain_file))]

    def root(self) -> x509.Certificate:
        """Return the certificate that endpoints are to trust, and people compare; raise Malformed.

        The CA's own where there is none above it.
        """
        return self.path_to_root()[-1]

    def ends(self) -> datetime:
        """Return when the first of the CA's and those certificates ends; raise Malformed."""
        return min(one.not_valid_after_utc for one in self.path_to_root())

    def is_waiting(self) -> bool:
        """Tell whether an intermediate CA waits for its certificate; raise LocalState."""
        return files.exists(self.request_file) and not files.exists(self.certificate_file)

    def key_uri(self) -> KeyUri | None:
        """Return on which token the CA's key is, None where it is in the folder; raise Malformed.

        Then no copy of the folder has it, a backup neither.
        """
        return KeyUri.read(self.token_file) if files.exists(self.token_file) else None

    def is_encrypted(self) -> bool:
        """Tell whether the CA's key needs a passphrase, or its token a PIN, that somebody gives."""
        if (uri := self.key_uri()) is not None:
            return uri.pin_source is None
        return keys.is_encrypted(files.read(self.key_file))

    def private_key(self, passphrase: str | None) -> keys.PrivateKey:
        """Return the CA's key, from its file or on its token, whose PIN is `passphrase` then.

        Raises Locked when that does not open it, TokenFailed while the token cannot be used.
        """
        if (uri := self.key_uri()) is None:
            return keys.from_either_pem(files.read(self.key_file), passphrase)
        pin = passphrase or uri.pin()
        if pin is None:
            hint = "add --passphrase-file FILE with the PIN"
            raise Locked(f"the token {uri.token} has a PIN", hint=hint)
        return on_token(uri, pin, keys.served(self.certificate().public_key()))

    def authority(self, passphrase: str | None) -> Authority:
        """Return the CA with its key; raise Locked when the passphrase does not open it."""
        own, key = self.pair(passphrase)
        return Authority(own, key, issuers.above(own, certificates_in(self.chain_file)))

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
        before = (one.authority(passphrase) for one in self.previous())
        living = [one for one in before if one.certificate.not_valid_after_utc > now]
        return [self.authority(passphrase), *living]

    def key_files(self) -> list[Path]:
        """Return the keys under the CA's passphrase that there are, the CA's own last.

        Raises LocalState.
        """
        before = (one.key_file for one in self.previous())
        every = [self.provisioning_key_file, self.successor.key_file, *before, self.key_file]
        return [path for path in every if files.exists(path)]

    def crl_issuers(self, authorities: Sequence[Authority]) -> tuple[CrlIssuer, ...]:
        """Return who signs a revocation list, and where that lies: every key of the CA's name.

        Not the issuer of provisioning certificates: no device trusts it, and the EST server, which
        does, looks at the record.
        """
        return tuple(CrlIssuer(one, self._crl_file_of(one.certificate)) for one in authorities)

    def _crl_file_of(self, root: x509.Certificate) -> Path:
        return self.crl_file if root == self.certificate() else self.predecessor(root).crl_file

    def crl_files(self) -> tuple[Path, ...]:
        """Return where the lists of `crl_issuers` lie; raise LocalState."""
        return (self.crl_file, *(one.crl_file for one in self.previous()))

    def provisioning_certificate(self) -> x509.Certificate | None:
        """Return the issuer of provisioning certificates, None before the first; raise Malformed.

        Reads the file each time: 0.1 ms.
        """
        if not files.exists(self.provisioning_certificate_file):
            return None
        return _load(self.provisioning_certificate_file)

    def provisioning_authority(self, passphrase: str | None, now: datetime) -> Authority:
        """Return the issuer of provisioning certificates with its key, made when there is none.

        Raises Locked for the passphrase, Malformed for damaged files, LocalState when the CA has
        expired or the files cannot be made.
        """
        if self.provisioning_certificate() is None:
            self._make_provisioning_issuer(passphrase, now)
        key = keys.from_either_pem(files.read(self.provisioning_key_file), passphrase)
        try:
            issuer = Authority(_load(self.provisioning_certificate_file), key)
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
                files.create(self.provisioning_key_file, pem)
            key = keys.from_either_pem(files.read(self.provisioning_key_file), own)
            certificate = provisioning.issuer(ca, key, now=now).public_bytes(Encoding.PEM)
            with contextlib.suppress(AlreadyExists):
                files.create(self.provisioning_certificate_file, certificate, mode=files.PUBLIC)

    def configuration(self) -> config.Config:
        """Return what ca.toml says; raise Malformed."""
        return config.load(self.config_file)

    def sources(self, database: Database) -> Sources:
        """Return where judgement looks things up, as the folder has it whenever it is asked."""
        issuer = CurrentFile(self.provisioning_certificate_file, self.provisioning_certificate)
        return Sources(
            database=database,
            cas=self.roots(),
            provisioning=issuer,
            vendors=Vendors(self.path / "vendors"),
            lists=Allowlists(self.path / "allowlists"),
            programs=Programs(self.path),
        )

    def store(self) -> Database:
        """Open the store; raise StoreFailed."""
        return Database.open(self.store_file)


def certificates_in(file: Path) -> list[x509.Certificate]:
    """Return the certificates in a file of the folder, none without the file; raise Malformed."""
    if not files.exists(file):
        return []
    try:
        return x509.load_pem_x509_certificates(files.read(file))
    except ValueError:
        raise Malformed(f"{file} holds no certificates") from None


def open_folder(path: Path | None) -> CaFolder:
    """Return the CA folder at `path`, or at the default place; raise NotFound or LocalState."""
    folder = CaFolder((path or files.default_ca()).absolute())
    try:
        is_there = folder.certificate_file.is_file()
    except OSError as error:
        raise LocalState(f"{folder.path} cannot be used: {files.reason(error)}") from None
    if not is_there and folder.is_waiting():
        raise waiting(folder)
    if not is_there:
        raise NotFound(
            f"there is no CA in {folder.path}",
            hint="make one with: cipsec ca init, or name its folder with --ca-dir",
        )
    return folder


def waiting(folder: CaFolder) -> LocalState:
    """Return the error of an intermediate CA that has no certificate yet."""
    place = shlex.quote(str(folder.path))
    return LocalState(
        f"the CA in {folder.path} waits for its certificate: have {folder.request_file} signed",
        hint=f"cipsec ca init --intermediate --certificate FILE --chain FILE --ca-dir {place}",
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in lower-case hex: what people compare."""
    return certificate.fingerprint(hashes.SHA256()).hex()
