"""One story for each way of granting, and one that combines them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from cipsec import files
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.demo.pretend import Vendor
from cipsec.demo.stage import LOOPBACK, Play, Stage
from cipsec.errors import UsageError

_PENDING, _REJECTED = 11, 12
_DRIVE, _OTHER = "0001:6040C8F2", "0001:6040C8F3"
_FIND = ("--interface", LOOPBACK, "--trust", "ca/ca.pem")


def check(model: str) -> None:
    """Raise UsageError unless there is a story of that model."""
    if model not in MODELS:
        raise UsageError(f"there is no model {model!r}", hint=f"choose one of {', '.join(MODELS)}")


def play(model: str, folder: Path, stage: Stage) -> None:
    """Play the story of one model in `folder`; raise when a command does not do what it should."""
    on = Play(folder, stage)
    on.say("A CA for the line: one folder.")
    on.ca("ca", "init", "--name", "Line 4", "--no-passphrase", "--policy", model)
    MODELS[model](on)
    on.say("What happened is in the record:")
    on.ca("ca", "log")


def _vendor(on: Play) -> None:
    vendor = _trust_vendor(on)
    vendor.build(on.folder / "drive", _DRIVE)
    with on.server():
        on.say("A drive asks with the certificate that its vendor gave it: granted at once.")
        _enroll_drive(on, "drive", _DRIVE, "Drive 7")
        on.say("Somebody only says to be a drive of that vendor: waits, nothing is proved.")
        _enroll(on, "stranger", "--device", _OTHER, expected=_PENDING)
        on.ca("ca", "pending")
        on.ca("ca", "reject", on.waiting(), "--note", "nobody installed a drive")
        on.run("enroll", "--identity", "stranger", expected=_REJECTED)


def _serial(on: Play) -> None:
    vendor = _trust_vendor(on)
    for name, device in (("drive", _DRIVE), ("next", _OTHER)):
        vendor.build(on.folder / name, device)
    on.say("The inventory is a file; a command or an editor changes it.")
    on.ca("allowlist", "add", _DRIVE, "--name", "Drive 7")
    with on.server():
        on.say("The drive is genuine, and listed.")
        _enroll_drive(on, "drive", _DRIVE, "Drive 7")
        on.say("This one is genuine too, but nobody ordered it: it waits.")
        _enroll_drive(on, "next", _OTHER, "Drive 8", expected=_PENDING)
        on.say("The pre-approval of a replacement: once, tonight. It takes effect at once.")
        on.ca("allowlist", "add", _OTHER, "--name", "Drive 8", "--uses", "1", "--until", "8h")
        on.run("enroll", "--identity", "next/identity")


def _password(on: Play) -> None:
    on.say("A password for one enrollment within this shift.")
    on.ca("user", "add", "alice", "--uses", "1", "--until", "8h", "--generate", "-o", "password")
    with on.server():
        on.say("An engineer's PC enrolls with it.")
        login = ("--user", "alice", "--password-file", "password")
        _enroll(on, "pc", *login, "--subject", "CN=engineering-pc")
        on.say("It is used up: another PC gets nothing with it.")
        _enroll(on, "other", *login, "--subject", "CN=other-pc", expected=_REJECTED)
        on.say("Nor does a password ever buy a device's identity.")
        on.run("csr", "create", "--key", "x.key", "--device", _DRIVE, "-o", "x.csr")
        on.ca("policy", "check", "x.csr", "--user", "alice", expected=_REJECTED)


def _provisioning(on: Play) -> None:
    on.say("A certificate that may enroll once, within a week, and do nothing else.")
    on.ca("ca", "provision", "card-1", "-o", "card")
    card = ("--cert", "card/certificate.pem", "--key", "card/key.pem")
    with on.server():
        on.say("The commissioning engineer enrolls a PC with it.")
        _enroll(on, "pc", *card, "--subject", "CN=line-4-hmi")
        on.say("It is spent: the next one waits for an administrator, who is told so.")
        _enroll(on, "other", *card, "--subject", "CN=other-hmi", expected=_PENDING)
        on.ca("ca", "show", on.waiting())
        on.say("A lost card is revoked by its name; what it enrolled is listed.")
        on.ca("ca", "revoke", "--credential", "card-1", "--reason", "keyCompromise", "-y")


def _approval(on: Play) -> None:
    with on.server():
        on.say("A drive that nobody knows waits for an administrator.")
        _ask_and_approve(on)
        on.say("Again that drive, with another key: a replacement, or an impostor. Old beside new:")
        _enroll(on, "reset", "--device", _DRIVE, "--subject", "CN=Drive 7", expected=_PENDING)
        request = on.waiting()
        on.ca("ca", "show", request)
        on.say("It was reset at the cabinet. The old certificate is revoked with the new one.")
        on.ca("ca", "approve", request, "--replace", "--note", "reset at cabinet 7")
        on.run("enroll", "--identity", "reset")
        on.ca("ca", "list")


def _ask_and_approve(on: Play) -> None:
    _enroll(on, "drive", "--device", _DRIVE, "--subject", "CN=Drive 7", expected=_PENDING)
    on.ca("ca", "pending")
    on.ca("ca", "approve", on.waiting(), "--note", "seen at the cabinet")
    on.say("Its next poll receives the certificate; the key never left the drive.")
    on.run("enroll", "--identity", "drive")


def _lab(on: Play) -> None:
    on.say("The rules say what this is.")
    on.ca("policy", "show")
    with on.server():
        on.say("Whoever asks gets a certificate, for any name: for a laboratory only.")
        _enroll(on, "anybody", "--device", _DRIVE, "--subject", "CN=Anything")
        on.ca("ca", "list")


def _combined(on: Play) -> None:
    vendor = _trust_vendor(on)
    vendor.build(on.folder / "listed", _OTHER)
    on.say("A drive in the inventory; a user, with a password made up for this demo.")
    on.ca("allowlist", "add", _OTHER, "--name", "Drive 8")
    files.create(on.folder / "password", secrets.token_urlsafe(12).encode() + b"\n")
    on.ca("user", "add", "alice", "--password-file", "password")
    on.ca("policy", "show")
    with on.server():
        on.say("An engineer's PC finds it by multicast DNS, and sees that it is the plant's.")
        on.run("discover", "--interface", LOOPBACK, "--fingerprint", _fingerprint(on),
               "--timeout", "6")  # fmt: skip
        on.say("The PC enrolls with user name and password: granted by the rule 'users'.")
        _enroll(on, "pc", "--user", "alice", "--password-file", "password",
                "--subject", "CN=engineering-pc")  # fmt: skip
        on.say("A drive of the inventory proves who it is: granted by the rule 'inventory'.")
        _enroll_drive(on, "listed", _OTHER, "Drive 8")
        on.say("A replaced drive that nobody listed waits for an administrator.")
        _ask_and_approve(on)
        on.run("cert", "verify", "drive/certificate.pem", "--trust", "ca/ca.pem",
               "--key", "drive/key.pem")  # fmt: skip
        on.say("The drive renews by itself: its certificate proves who it is.")
        on.run("renew", "--identity", "drive")
        on.ca("ca", "list")


def _trust_vendor(on: Play) -> Vendor:
    """Make a vendor and trust it; return it."""
    on.say("A vendor's root, checked by its fingerprint; it speaks for one Vendor ID.")
    vendor = Vendor("Acme")
    fingerprint = vendor.publish(on.folder / "acme.pem")
    on.ca("vendor", "add", "acme.pem", "--name", "acme", "--vendor-id", "0001",
          "--fingerprint", fingerprint)  # fmt: skip
    return vendor


def _enroll_drive(on: Play, name: str, device: str, slot: str, *, expected: int = 0) -> None:
    """Enroll a drive with its default certificate, into its folder."""
    default = ("--cert", f"{name}/default.pem", "--key", f"{name}/default.key")
    _enroll(on, f"{name}/identity", *default, "--device", device,
            "--subject", f"CN={slot}", expected=expected)  # fmt: skip


def _enroll(on: Play, identity: str, *arguments: str, expected: int = 0) -> None:
    """Enroll an endpoint, without waiting where it would have to wait."""
    wait = ("--no-wait",) if expected == _PENDING else ()
    on.run("enroll", *_FIND, *arguments, "--identity", identity, *wait, expected=expected)


def _fingerprint(on: Play) -> str:
    return fingerprint(CaFolder(on.folder / "ca").certificate())


_Story = Callable[[Play], None]
MODELS: dict[str, _Story] = {
    "vendor": _vendor,
    "serial": _serial,
    "password": _password,
    "provisioning": _provisioning,
    "approval": _approval,
    "lab": _lab,
    "combined": _combined,
}
