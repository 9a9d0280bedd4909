"""What `enroll` is to ask for, where, and by what means: options made values; it asks with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.discovery.interfaces import Interface
    from cipsec.endpoint.trust import Trust
    from cipsec.tls.client import Credential


def names(
    subject: str | None,
    san: list[str] | None,
    device: str | None,
    mac: str | None,
    key_type: str | None,
) -> dict[str, Any]:
    """Return the fields of a `Wish` that say who is to be certified; raise UsageError."""
    from cipsec.pki.device import DeviceId, Mac
    from cipsec.pki.keys import KeyType
    from cipsec.pki.names import parse_san, parse_subject

    return {
        "subject": parse_subject(subject) if subject is not None else None,
        "sans": tuple(map(parse_san, san or ())),
        "device": DeviceId.parse(device) if device is not None else None,
        "mac": Mac.parse(mac) if mac is not None else None,
        "key_type": KeyType.parse(key_type) if key_type is not None else None,
    }


def interfaces(wanted: list[str] | None) -> Sequence[Interface]:
    """Return where to look for a server, empty for everywhere; raise UsageError."""
    if not wanted:
        return ()
    from cipsec.discovery.interfaces import choose

    return choose(wanted)


def credential(certificate: Path | None, key: Path | None) -> Credential | None:
    """Return what is presented to the server; raise UsageError for half of it."""
    from cipsec.tls.client import Credential

    if certificate and key:
        return Credential(certificate.absolute(), key.absolute())
    if certificate or key:
        raise UsageError("--cert and --key belong together", hint="add --cert FILE --key FILE")
    return None


def trust(file: Path | None, fingerprint: str | None) -> Trust:
    """Return whom to trust; raise UsageError, and LocalState for the file."""
    from cipsec.endpoint.trust import Trust, read_anchors
    from cipsec.pki.fingerprint import parse

    if file and fingerprint is not None:
        raise UsageError("give --trust or --fingerprint, not both")
    if fingerprint is not None:
        return Trust(fingerprint=parse(fingerprint))
    return Trust(read_anchors(file)) if file else Trust()
