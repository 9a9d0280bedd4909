"""Acting as an endpoint in tests: enroll, renew, a person who remembers, what must hold on disk."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from cipsec.endpoint.enroll import Wish, enroll
from cipsec.endpoint.folder import Folder, Identity
from cipsec.endpoint.obtain import Patience
from cipsec.endpoint.renew import renew
from cipsec.endpoint.server import Server
from cipsec.endpoint.taking import Taking
from cipsec.endpoint.trust import Trust
from cipsec.pki import keys
from tests.support.canned import EstServer, text

WAIT = text(202, "request 0123456789ab waits for approval", ("Retry-After", "1"))


def _nothing() -> None:
    return None


@dataclass
class Recorder:
    """`on_wait` is called instead of waiting, so that a test decides what happens meanwhile.

    Asked about a CA the answer is `yes`, but for `strangers`.
    """

    yes: bool = False
    strangers: tuple[x509.Certificate, ...] = ()
    secret: str = "secret"
    on_wait: Callable[[], None] = _nothing
    told: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    shown: list[x509.Certificate] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def tell(self, line: str) -> None:
        """Remember."""
        self.told.append(line)

    def warn(self, line: str) -> None:
        """Remember."""
        self.warned.append(line)

    def confirmed(
        self, server: Server, candidates: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Remember what was shown, and answer."""
        self.shown += candidates
        return [one for one in candidates if self.yes and one not in self.strangers]

    def password(self, user: str) -> str:
        """Remember who was asked, and answer."""
        self.asked.append(user)
        return self.secret

    def wait(self, seconds: float, why: str) -> None:
        """Remember, and let the test act."""
        self.waited.append(seconds)
        self.on_wait()


def wish(server: EstServer, **more: Any) -> Wish:
    """Return a wish for an identity from this server, its CA known by fingerprint."""
    trust = Trust(fingerprint=server.plant.sha256)
    return replace(Wish(server=Server.parse(server.address), trust=trust), **more)


def get(
    folder: Folder,
    wished: Wish,
    person: Recorder | None = None,
    *,
    wait: bool = True,
    limit: timedelta | None = None,
    force: bool = False,
    taking: Taking = Taking(),  # noqa: B008  # it cannot change
) -> Identity:
    """Enroll."""
    person, patience = person or Recorder(), Patience(wait, limit)
    return enroll(folder, wished, patience=patience, force=force, person=person, taking=taking)


def again(folder: Folder, person: Recorder | None = None, **options: Any) -> Identity:
    """Renew."""
    chosen = {"rekey": True, "due": None, "patience": Patience()} | options
    return renew(folder, person=person or Recorder(), **chosen)


def key_of(path: Path) -> bytes:
    """Return the public key of a private key in a file."""
    return keys.spki(keys.from_pem(path.read_bytes()).public_key())


def assert_matches(identity: Identity) -> None:
    """Key and certificate on disk belong together, and only the owner can read them."""
    certificate = x509.load_pem_x509_certificate(identity.certificate_file.read_bytes())
    assert keys.spki(certificate.public_key()) == key_of(identity.key_file)
    assert stat.S_IMODE(identity.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.directory.stat().st_mode) == 0o700
