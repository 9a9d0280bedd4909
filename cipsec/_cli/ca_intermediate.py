"""`cipsec ca init --intermediate`: first a request, then the certificate that was made of it.

Also the next one of `cipsec ca rollover`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import files, named, times
from cipsec._cli import actor, ca_new
from cipsec._cli.ca_new import Given
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, LocalState

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from cipsec.ca_folder import CaFolder


def request(talk: Talk, given: Given, output: str | None, *, force: bool) -> None:
    """Make the folder with key and request; it waits for its certificate."""
    from cipsec import founding
    from cipsec.pki import keys

    given.refuse("--days", because="the CA above says how long this one lives")
    title, subject = ca_new.names(given.name, given.subject)
    ca_new.check(given, title)
    kind = keys.KeyType.parse(given.key_type or keys.KeyType.EC_P256)
    place = founding.free_folder(given.ca_dir).path
    copy = copy_of(output, force=force)
    wanted = founding.Wanted(title, given.hosts, given.policy, ca_new.new_passphrase(talk, given))
    key = ca_new.key_on_token(talk, given) or keys.generate(kind)
    folder = founding.request(place, wanted, subject=subject, key=key)
    pem = files.read(folder.request_file)
    if copy:
        write(copy, pem, folder.request_file, force=force)
    _report(talk, folder, pem, given, raw=output == "-")


def copy_of(output: str | None, *, force: bool) -> Path | None:
    """Return where a copy of the request goes; refused before anything is made."""
    if output in (None, "-"):
        return None
    path = Path(str(output)).absolute()
    if files.exists(path) and not force:
        raise AlreadyExists(f"{path} exists", hint="add -f to overwrite it")
    if not path.parent.is_dir():
        raise LocalState(f"{path} cannot be written: there is no folder {path.parent}")
    return path


def write(path: Path, pem: bytes, request: Path, *, force: bool) -> None:
    """Write the copy of a request that is made; raise LocalState, AlreadyExists, with its place."""
    lay_down = files.replace if force else files.create
    try:
        lay_down(path, pem, mode=files.PUBLIC)
    except LocalState as error:
        hint = f"the request is made: {request}"
        raise type(error)(error.message, hint=hint) from None


def _report(talk: Talk, folder: CaFolder, pem: bytes, given: Given, *, raw: bool) -> None:
    from cryptography import x509

    from cipsec.pki.names import show_name

    shown: dict[str, object] = {
        "directory": str(folder.path),
        "subject": show_name(x509.load_pem_x509_csr(pem).subject),
        "state": "waiting",
        "csr": str(folder.request_file),
    }
    if talk.json:
        talk.document({"ca": shown | {"sha256": None, "not_after": None, "pem": pem.decode()}})
    elif raw:
        talk.raw(pem)
    else:
        talk.fields("ca", shown)
    talk.say(f"cipsec: next: have {folder.request_file} signed by the CA above this one")
    words = "cipsec ca init --intermediate --certificate FILE --chain FILE"
    talk.say(f"cipsec: then: {words}{ca_new.at(given.ca_dir)}")


def install(talk: Talk, given: Given, paths: Sequence[Path]) -> None:
    """Take the certificate in, with the CAs above it."""
    from cipsec import founding, rollover
    from cipsec.serve.running import is_running

    options = ("--name", "--subject", "--key-type", "--days", "--host")
    secrets = ("--passphrase-file", "--no-passphrase", "--key")
    given.refuse(*options, *secrets, because="the folder is made, and only the certificate missing")
    folder = founding.intermediate(given.ca_dir)
    found = [one for path in paths for one in certificates(path)]
    now = times.now()
    with closing(folder.store()) as database:
        step = rollover.Step(folder, database, actor.name(), now)
        is_next, cautions = rollover.install(step, found)
    for caution in cautions:
        talk.warn(caution)
    if is_next:
        _tell_next(talk, folder, given, now)
        return
    record = ca_new.record(talk, folder) | {"state": "ready"} | ca_new.root_record(talk, folder)
    talk.fields("ca", record)
    talk.say("cipsec: endpoints are to trust the root: compare root sha256")
    if is_running(folder):
        talk.say("cipsec: the server that runs takes it up within seconds")
        return
    talk.say(f"cipsec: next: cipsec ca serve{ca_new.at(given.ca_dir)}")


def _tell_next(talk: Talk, folder: CaFolder, given: Given, now: datetime) -> None:
    from cipsec._cli import ca_rollover_shown

    ca_rollover_shown.report(talk, folder, now)
    talk.say("cipsec: the next intermediate is handed out at /cacerts; the present one issues")
    talk.say(f"cipsec: next: cipsec ca rollover --activate{ca_new.at(given.ca_dir)}")


def certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file; raise LocalState, Malformed for none or one damaged."""
    from cipsec.pki import legible, load

    found = load.certificates(named.read(path), str(path))
    legible.require(found, str(path))
    return found
