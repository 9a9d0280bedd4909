"""A CA's roll-over in words and fields: how far it has come, what comes next, what was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipsec import times
from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from cipsec.ca_folder import CaFolder, Generation
    from cipsec.token.uri import KeyUri


def report(talk: Talk, folder: CaFolder, now: datetime) -> None:
    """Print the CA that issues, and how its roll-over stands."""
    from cipsec.ca_folder import fingerprint
    from cipsec.pki.names import show_name

    own = folder.certificate()
    shown = {
        "directory": str(folder.path),
        "subject": show_name(own.subject),
        "sha256": talk.fingerprint(fingerprint(own)),
        "not_after": times.show_time(own.not_valid_after_utc),
        **standing(talk, folder, now),
    }
    if not talk.json and shown["next_csr"] is None:
        del shown["next_csr"]  # few CAs ever have one
    talk.fields("ca", shown)


def standing(talk: Talk, folder: CaFolder, now: datetime) -> dict[str, object]:
    """Return the next key and those before, as `ca show` and `ca rollover` have them."""
    from cipsec import rollover as steps

    upcoming = folder.next()
    waits = folder.successor.is_waiting()
    return {
        "rollover": steps.state(folder),
        "next": _next(talk, upcoming) if upcoming else None,
        "next_csr": str(folder.successor.request_file) if waits else None,
        "previous": [_former(talk, one, now) for one in folder.previous()],
    }


def _next(talk: Talk, upcoming: Generation) -> dict[str, object]:
    from cipsec.ca_folder import fingerprint

    own = upcoming.certificate()
    return {
        "sha256": talk.fingerprint(fingerprint(own)),
        "prepared_at": times.show_time(upcoming.prepared_at()),
        "not_after": times.show_time(own.not_valid_after_utc),
    }


def _former(talk: Talk, former: Generation, now: datetime) -> object:
    from cipsec.ca_folder import fingerprint

    own: x509.Certificate = former.certificate()
    ended = former.ends() <= now
    sha256, end = fingerprint(own), times.show_time(former.ends())
    if talk.json:
        return {"sha256": sha256, "not_after": end, "ended": ended}
    state = "ended" if ended else "until"
    return f"{sha256} {state} {end}" + ("; cipsec ca rollover --retire" if ended else "")


def stays(talk: Talk, uri: KeyUri) -> None:
    """Say that a key is still on its token, and what destroys it there."""
    number = f" --id {uri.id.hex()}" if uri.id else f" --label {uri.object}"
    talk.say(
        f"cipsec: its key {uri.key} stays on the token {uri.token}; where nothing else uses it:"
    )
    talk.say(
        f"cipsec: pkcs11-tool --module {uri.module} --login --delete-object --type privkey{number}"
    )
