"""What an endpoint asked, of whom, and how far that is: one small JSON file beside the key."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cipsec import shell
from cipsec.endpoint.server import Server
from cipsec.errors import CipsecError, Malformed, Pending
from cipsec.times import parse_time, show_time
from cipsec.tls.client import Credential

_USUAL_SLOT = "9a"


class Kind(StrEnum):
    """Which operation obtains the certificate."""

    ENROLL = "enroll"
    RENEW = "renew"


@dataclass(frozen=True, slots=True)
class CardNeeded:
    """The smartcard that a request was made with: its certificate, and where it was found."""

    subject: str
    sha256: str
    slot: str
    reader: str | None

    @property
    def words(self) -> str:
        """Return the options that name it."""
        slot = "" if self.slot == _USUAL_SLOT else f" --slot {self.slot}"
        return f" --smartcard{slot}" + (
            f" --reader {shell.quote(self.reader)}" if self.reader else ""
        )


@dataclass(frozen=True, slots=True)
class State:
    """One request. `retry_after` in seconds, `request` and `reason` come with the server's 202.

    `user`, `credential` and `card` say how to authenticate again after an interruption; password
    and PIN are not kept.
    """

    kind: Kind
    server: Server
    since: datetime
    user: str | None = None
    credential: Credential | None = None
    card: CardNeeded | None = None
    retry_after: int | None = None
    request: str | None = None
    reason: str | None = None

    @property
    def pending(self) -> bool:
        """Whether the server has accepted the request and not decided it."""
        return self.retry_after is not None

    def waiting(self, answer: Pending) -> State:
        """Return the state after a 202."""
        return replace(
            self,
            retry_after=answer.retry_after,
            request=answer.request,
            reason=answer.message,
        )

    def again(self, directory: Path) -> str:
        """Return the command that goes on with the request in the identity folder `directory`."""
        card = self.card.words if self.card else ""
        return f"cipsec {self.kind} --identity {shell.quote(directory)}{card}"

    @staticmethod
    def anew(directory: Path) -> str:
        """Return the command that drops the request in `directory` and makes another."""
        return f"cipsec enroll -f --identity {shell.quote(directory)}"

    def to_json(self) -> bytes:
        """Return the state as the file holds it."""
        value = {
            "kind": self.kind,
            "server": self.server.url,
            "named": self.server.named,
            "since": show_time(self.since),
            "user": self.user,
            "certificate": str(self.credential.certificate) if self.credential else None,
            "key": str(self.credential.key) if self.credential else None,
            "card": asdict(self.card) if self.card else None,
            "retry_after": self.retry_after,
            "request": self.request,
            "reason": self.reason,
        }
        return json.dumps(value, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, path: Path) -> State:
        """Read what `to_json` wrote to `path`; raise Malformed."""
        try:
            value = json.loads(data)
            return cls(
                kind=Kind(value["kind"]),
                server=Server(_text(value["server"]), value["named"] is True),
                since=parse_time(_text(value["since"])),
                user=_optional(value["user"]),
                credential=_credential(value["certificate"], value["key"]),
                card=_card(value.get("card")),  # older versions knew no cards
                retry_after=value["retry_after"] and int(value["retry_after"]),
                request=_optional(value["request"]),
                reason=_optional(value["reason"]),
            )
        except (ValueError, TypeError, KeyError, RecursionError, CipsecError):
            raise Malformed(f"{path} is damaged") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _credential(certificate: object, key: object) -> Credential | None:
    if certificate is None or key is None:
        return None
    return Credential(Path(_text(certificate)), Path(_text(key)))


def _card(value: dict[str, object] | None) -> CardNeeded | None:
    if value is None:
        return None
    return CardNeeded(
        subject=_text(value["subject"]),
        sha256=_text(value["sha256"]),
        slot=_text(value["slot"]),
        reader=_optional(value["reader"]),
    )
