"""What every way of `cipsec ca init` needs: names, a passphrase for the key, the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import safe, shell
from cipsec._cli import ask
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from cipsec.ca_folder import CaFolder
    from cipsec.pki.keys import PrivateKey

# What is to be done next, by model, besides serving.
_VENDOR, _LISTED = "vendor add FILE --name NAME", "allowlist add VENDOR:SERIAL"
_USER, _CARD = "user add NAME", "ca provision NAME -o DIR"
_NEXT = {
    "vendor": (_VENDOR,),
    "serial": (_VENDOR, _LISTED),
    "password": (_USER,),
    "provisioning": (_CARD,),
    "combined": (_VENDOR, _LISTED, _USER, _CARD),
}
_LONGEST_PASSPHRASE = 1023  # bytes; more is refused by OpenSSL
_LONGEST_NAME = 64  # ub-common-name, RFC 5280 appendix A.1


@dataclass(frozen=True, slots=True)
class Given:
    """The options of `ca init` that say what a new CA is like."""

    name: str | None
    subject: str | None
    key_type: str | None
    days: int | None
    hosts: list[str]
    policy: str
    passphrase_file: str | None
    no_passphrase: bool
    key: str | None
    ca_dir: Path | None

    def refuse(self, *options: str, because: str) -> None:
        """Raise UsageError where one of these options was given, which would have no effect."""
        values = {
            "--name": self.name,
            "--subject": self.subject,
            "--key-type": self.key_type,
            "--days": self.days,
            "--host": self.hosts,
            "--passphrase-file": self.passphrase_file,
            "--no-passphrase": self.no_passphrase,
            "--key": self.key,
        }
        for option in options:
            if values[option]:
                raise UsageError(f"{because}; {option} has no effect", hint=f"leave out {option}")


def names(name: str | None, subject: str | None) -> tuple[str, x509.Name]:
    """Return the CA's name for people and its subject; raise UsageError."""
    from cryptography import x509

    from cipsec.pki.names import parse_subject

    given = name if name is not None else subject
    if given is None or (name is not None and subject is not None):
        raise UsageError("a CA has a name or a subject", hint='cipsec ca init --name "Line 4"')
    check_name(given)
    if name is None:
        return given, parse_subject(given)
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"a CA's name has at most {_LONGEST_NAME} characters", hint="shorten it")
    return name, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def check_name(name: str) -> None:
    """Raise UsageError for what people could not read."""
    if not name.strip() or safe.text(name) != name:
        raise UsageError(f"{name!r} cannot be a CA's name", hint="use printable characters")


def check(given: Given, title: str) -> None:
    """Raise UsageError for hosts and policies that make no sense, before anybody is asked."""
    from cipsec.pki.names import host_name
    from cipsec.ra import templates

    for host in given.hosts:
        host_name(host)
    templates.ca_toml(title, hosts=given.hosts, policy=given.policy)


def key_on_token(talk: Talk, given: Given, *, make: bool = True) -> PrivateKey | None:
    """Return the key that `--key` names, made on its token if need be; None where it names none."""
    from cipsec.pki.keys import KeyType
    from cipsec.token import making
    from cipsec.token.uri import KeyUri

    if given.key is None:
        return None
    uri = KeyUri.parse(given.key)
    given.refuse("--no-passphrase", because="a token has a PIN")
    kind = KeyType.parse(given.key_type) if given.key_type is not None else None
    words, option = f"PIN of the token {safe.text(uri.token)}", "--passphrase-file"
    pin = uri.pin() or ask.secret(talk, words, file=given.passphrase_file, option=option)
    key, made = making.obtain(uri, pin, kind, make=make)
    what = "made" if made else "found"
    talk.say(f"cipsec: {what} the key {key.uri.key} on the token {key.uri.token}")
    return key


def new_passphrase(talk: Talk, given: Given) -> str | None:
    """Return the passphrase of the new key, None for none; ask twice where a person is there.

    A key on a token has none.
    """
    if given.key is not None:
        return None
    if given.no_passphrase and given.passphrase_file is not None:
        raise UsageError("--passphrase-file and --no-passphrase exclude each other")
    if given.no_passphrase:
        return None
    if given.passphrase_file is None and not talk.interactive:
        raise UsageError(
            "the CA's key needs a passphrase and nobody can be asked",
            hint="add --passphrase-file FILE, or --no-passphrase",
        )
    return chosen(talk, file=given.passphrase_file, option="--passphrase-file")


def chosen(talk: Talk, *, file: str | None, option: str, prompt: str = "Passphrase") -> str:
    """Return a passphrase that is to be; asked for twice where no file is named."""
    words = f"{prompt} of the CA's key"
    entered = ask.secret(talk, words, file=file, option=option, twice=True)
    if len(entered.encode()) > _LONGEST_PASSPHRASE:
        raise UsageError(f"a passphrase has at most {_LONGEST_PASSPHRASE} bytes")
    return entered


def record(talk: Talk, folder: CaFolder) -> dict[str, object]:
    """Return a CA with its certificate as `ca init` shows it."""
    from cipsec.ca_folder import fingerprint
    from cipsec.pki.names import show_name
    from cipsec.times import show_time

    certificate = folder.certificate()
    return {
        "directory": str(folder.path),
        "subject": show_name(certificate.subject),
        "sha256": talk.fingerprint(fingerprint(certificate)),
        "not_after": show_time(certificate.not_valid_after_utc),
    }


def root_record(talk: Talk, folder: CaFolder) -> dict[str, object]:
    """Return what there is to say of the root above an intermediate CA."""
    from cipsec.ca_folder import fingerprint
    from cipsec.pki.names import show_name
    from cipsec.times import show_time

    root = folder.root()
    return {
        "root": show_name(root.subject),
        "root_sha256": talk.fingerprint(fingerprint(root)),
        "root_not_after": show_time(root.not_valid_after_utc),
    }


def tell_next(talk: Talk, given: Given) -> None:
    """Say what is to be done now that there is a CA."""
    if given.policy == "lab":
        talk.warn("this CA grants a certificate to everybody: for a laboratory only")
    for command in (*_NEXT.get(given.policy, ()), "ca serve"):
        talk.say(f"cipsec: next: cipsec {command}{at(given.ca_dir)}")


def at(ca_dir: Path | None) -> str:
    """Return the option that names the folder again, empty where none was given."""
    return f" --ca-dir {shell.quote(ca_dir)}" if ca_dir else ""
