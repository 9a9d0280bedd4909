"""The identity folder: key and certificate on disk always match, whenever the power fails.

    DIR/current       names the folder in use: a symbolic link to `1`, `2` …
    DIR/key.pem       links through `current`; so do certificate.pem, chain.pem, trust.pem
    DIR/2/            key, certificate, chain, trust, the request, and state.json
    DIR/next/         the same, of a request that has no certificate yet, or an untried one

Two files cannot be replaced in one step, but one name can: an identity is made whole in `next`,
gets a number by one rename, and comes into use when `current` is replaced by another. The next run
finishes what is interrupted. Windows gives links to administrators only, and replaces none that
leads to a folder: there `current` is a file with the number, and the paths shown lead into the
numbered folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files, naming, ownership, private, shell
from cipsec.endpoint.state import State
from cipsec.errors import AlreadyExists, CipsecError, LocalState, Malformed
from cipsec.pki import csr, keys
from cipsec.pki.faults import UNREADABLE
from cipsec.tls.client import Credential

_KEY, _CERTIFICATE, _CHAIN, _TRUST = "key.pem", "certificate.pem", "chain.pem", "trust.pem"
_LINKED = (_KEY, _CERTIFICATE, _CHAIN, _TRUST)
_REQUEST, _STATE = "request.pem", "state.json"
_UNTRIED, _HOOK = "untried.pem", "hook-owed"


@dataclass(frozen=True, slots=True)
class Draft:
    """A key and what was asked for it; `request` tells the names, its signature is not sent."""

    key: keys.PrivateKey
    request: csr.CertificateRequest
    anchors: tuple[x509.Certificate, ...]
    state: State


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was checked, the CAs above it, and the anchors to trust from now on."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    anchors: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity in use: values, and the paths under which other programs find it."""

    directory: Path
    key_file: Path
    certificate_file: Path
    chain_file: Path
    trust_file: Path
    draft: Draft
    issued: Issued


class Folder:
    """An endpoint's identity folder; every path in it is named here and nowhere else."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._next = self.path / "next"
        self._current = self.path / "current"

    def exists(self) -> bool:
        """Tell whether there is anything of an identity in it."""
        return any(p.name in {"current", "next"} or p.name.isdecimal() for p in self._listed())

    def _listed(self) -> list[Path]:
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LocalState(f"{self.path} cannot be read: {files.reason(error)}") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out, and first finish what an interrupted one began.

        Raises Locked when another run is at work, LocalState when the folder cannot be written.
        """
        try:
            private.folder(self.path)
        except OSError as error:
            raise LocalState(f"{self.path} cannot be used: {files.reason(error)}") from None
        busy = f"another cipsec is at work in {self.path}"
        with files.held(self.path / ".lock", patience=0, busy=busy):
            self._recover()
            yield

    def identity(self) -> Identity | None:
        """Return the identity in use, None when there is none; raise LocalState for damage."""
        name = self._number_in_use()
        if name is None:
            return None
        place = self.path / name
        linked = (self.path / _KEY).is_symlink()
        shown = self.path if linked else place
        draft = _read_draft(place)
        issued = Issued(
            _certificates(place / _CERTIFICATE)[0],
            tuple(_certificates(place / _CHAIN)),
            draft.anchors,
        )
        if keys.spki(issued.certificate.public_key()) != keys.spki(draft.key.public_key()):
            raise LocalState(f"key and certificate in {place} do not match", hint=_anew(self.path))
        return Identity(
            directory=self.path,
            key_file=shown / _KEY,
            certificate_file=shown / _CERTIFICATE,
            chain_file=shown / _CHAIN,
            trust_file=shown / _TRUST,
            draft=draft,
            issued=issued,
        )

    def draft(self) -> Draft | None:
        """Return the request that has no certificate yet, if any; raise LocalState for damage."""
        return _read_draft(self._next) if self._next.is_dir() else None

    def begin(self, draft: Draft) -> None:
        """Put a draft on disk, durably, in place of one there was; raise LocalState."""
        for name in _LINKED:
            path = self.path / name
            if path.exists() and not path.is_symlink():
                raise AlreadyExists(
                    f"{path} was not made by this program", hint="choose another --identity DIR"
                )
        self.drop()
        with files.new_directory(self._next) as place:
            files.create(place / _KEY, keys.to_pem(draft.key))
            files.create(place / _REQUEST, draft.request.parsed.public_bytes(Encoding.PEM))
            files.create(place / _TRUST, _pem(draft.anchors))
            files.create(place / _STATE, draft.state.to_json())

    def note(
        self,
        draft: Draft,
        state: State,
        anchors: tuple[x509.Certificate, ...] | None = None,
    ) -> Draft:
        """Record how far it is and whom to trust; return the draft with it; raise LocalState."""
        if state != draft.state:
            files.replace(self._next / _STATE, state.to_json())
        if anchors and anchors != draft.anchors:
            files.replace(self._next / _TRUST, _pem(anchors))
        return replace(draft, state=state, anchors=anchors or draft.anchors)

    def hold(self, issued: Issued) -> None:
        """Keep the draft's certificate beside it, durably, and not in use; raise LocalState."""
        files.replace(self._next / _CHAIN, _pem(issued.chain))
        files.replace(self._next / _TRUST, _pem(issued.anchors))
        files.replace(self._next / _UNTRIED, _pem([issued.certificate]))  # last: all else is there

    def held(self) -> Issued | None:
        """Return the certificate that the draft has and that is not in use; raise LocalState."""
        if not (self._next / _UNTRIED).exists():
            return None
        leaf, chain, anchors = (_certificates(self._next / n) for n in (_UNTRIED, _CHAIN, _TRUST))
        return Issued(leaf[0], tuple(chain), tuple(anchors))

    def untried(self) -> Credential:
        """Return the files of the certificate that is held, and of its key."""
        return Credential(self._next / _UNTRIED, self._next / _KEY)

    def finish(self, *, owes_hook: bool = False) -> None:
        """Take the draft and the certificate that is held into use; raise LocalState."""
        if owes_hook or self.hook_owed():
            files.replace(self._next / _HOOK, b"")
        with self._writing():
            # A draft that has a certificate is complete, and `_recover` goes on from here.
            naming.rename(self._next / _UNTRIED, self._next / _CERTIFICATE)
            files.sync_directory(self._next)
        self._recover()

    def hook_owed(self) -> bool:
        """Tell whether a hook is to be run for the identity in use, and has not succeeded."""
        return (self.path / (self._number_in_use(damaged="0") or "0") / _HOOK).exists()

    def hook_done(self) -> None:
        """Note that the hook has succeeded; raise LocalState."""
        with self._writing():
            (self.path / (self._number_in_use() or "") / _HOOK).unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the draft, if any; raise LocalState."""
        if self._next.exists():
            with self._writing():
                dead = self.path / f".next.{secrets.token_hex(6)}"
                naming.rename(self._next, dead)
                naming.remove_unused(dead)

    def _recover(self) -> None:
        with self._writing():
            if (self._next / _CERTIFICATE).exists():
                number = max(self._numbers(), default=0) + 1
                naming.rename(self._next, self.path / str(number))
                files.sync_directory(self.path)
            newest = str(max(self._numbers(), default=0))
            if newest != "0" and newest != self._number_in_use(damaged="0"):
                self._use(newest)
            self._clean(newest)

    def _use(self, number: str) -> None:
        """Point `current` at a numbered folder, in one step."""
        if shell.WINDOWS:
            files.replace(self._current, number.encode())
            return
        temporary = self.path / f".current.{secrets.token_hex(6)}"
        try:
            for name in _LINKED:
                if not (self.path / name).is_symlink():
                    (self.path / name).symlink_to(Path("current") / name)
            temporary.symlink_to(number, target_is_directory=True)
        except (OSError, NotImplementedError):  # a file system without links
            files.create(temporary, number.encode())
        temporary.replace(self._current)
        files.sync_directory(self.path)

    def _clean(self, newest: str) -> None:
        for path in self.path.iterdir():
            if path.name.startswith((".next.", ".current.", "..current.")) or (
                path.name.isdecimal() and path.name != newest
            ):
                naming.remove_unused(path)

    def _numbers(self) -> list[int]:
        return [int(p.name) for p in self.path.iterdir() if p.name.isdecimal() and p.is_dir()]

    def _number_in_use(self, *, damaged: str | None = None) -> str | None:
        """Return what `current` names, None when there is none; `damaged`, or LocalState."""
        try:
            if self._current.is_symlink():
                name = str(self._current.readlink())
            elif self._current.exists():
                name = files.read(self._current, limit=20).decode("ascii")
            else:
                return None
        except (OSError, ValueError, LocalState):
            name = ""
        if name.isdecimal() and (self.path / name).is_dir():
            return name
        if damaged is not None:
            return damaged
        raise LocalState(f"{self._current} names no identity", hint=_anew(self.path))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalState(f"{self.path} cannot be written: {files.reason(error)}") from None


def _anew(directory: Path) -> str:
    return f"for a new identity: {State.anew(directory)}"


def _read_draft(place: Path) -> Draft:
    if place.is_dir() and not os.access(place, os.R_OK | os.X_OK):  # which is no damage
        raise LocalState(f"{place} cannot be read: permission denied", hint=ownership.hint(place))
    try:
        pem = files.read(place / _REQUEST)
        return Draft(
            key=keys.from_pem(files.read(place / _KEY)),
            request=csr.parse(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)),
            anchors=tuple(_certificates(place / _TRUST)),
            state=State.from_json(files.read(place / _STATE), place / _STATE),
        )
    except CipsecError as error:
        raise LocalState(f"{place} is damaged: {error}", hint=_anew(place.parent)) from None
    except UNREADABLE:
        raise LocalState(f"{place / _REQUEST} is damaged", hint=_anew(place.parent)) from None


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(files.read(path))
    except UNREADABLE:
        hint = _anew(path.parent.parent)
        raise Malformed(f"{path} holds no certificates in PEM", hint=hint) from None


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(c.public_bytes(Encoding.PEM) for c in certificates)
