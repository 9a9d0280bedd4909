"""How a CA's folder comes to be: a root at once, a CA below another in two steps, one imported.

What a certificate must be to be taken is `ca.fitness`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import fitness, issuers
from cipsec.ca.authority import self_signed, subordinate_request
from cipsec.ca.fitness import Chain
from cipsec.ca_folder import CaFolder, Generation, certificates_in, waiting
from cipsec.ca_folder.generation import load_request, to_pem
from cipsec.ca_folder.key_place import Held
from cipsec.errors import AlreadyExists, LocalState, Malformed, NotFound, Unfit
from cipsec.pki import keys
from cipsec.pki.issued import is_root
from cipsec.pki.names import show_name, show_serial
from cipsec.ra import config, templates
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event


def free_folder(path: Path | None) -> CaFolder:
    """Return the folder at `path`, or at the default place, for a new CA; raise AlreadyExists."""
    folder = CaFolder((path or files.default_ca()).absolute())
    try:
        files.require_free(folder.path)
    except AlreadyExists as error:
        if folder.is_waiting():
            raise AlreadyExists(f"{folder.path} exists", hint=waiting(folder).hint) from None
        hint = f"use it with --ca-dir {folder.path}, or name another folder"
        raise AlreadyExists(error.message, hint=hint) from None
    return folder


def create(
    path: Path | None,
    *,
    name: str,
    subject: x509.Name,
    key_type: keys.KeyType,
    validity: timedelta,
    passphrase: str | None,
    hosts: list[str],
    policy: str,
    now: datetime,
    key: keys.PrivateKey | None = None,
) -> CaFolder:
    """Make a CA folder whole, or nothing; raise AlreadyExists when there is something.

    `key` takes the place of a new one: it is on a token, where it stays.
    """
    folder = free_folder(path)
    text = templates.ca_toml(name, hosts=hosts, policy=policy).encode()
    config.parse(text)  # what people are handed has passed the check it will meet
    key = key or keys.generate(key_type)
    certificate = self_signed(subject, key, now=now, validity=validity)
    with files.new_directory(folder.path) as draft:
        fill(CaFolder(draft), text, key, passphrase)
        pem = certificate.public_bytes(Encoding.PEM)
        files.create(CaFolder(draft).certificate_file, pem, mode=files.PUBLIC)
    return folder


def fill(draft: CaFolder, text: bytes, key: keys.PrivateKey, passphrase: str | None) -> None:
    """Put into a new folder what every CA has, but for its certificate."""
    draft.key_place.put(Held.of(key, passphrase))
    files.create(draft.config_file, text, mode=files.PUBLIC)
    for place in (draft.allowlists_folder, draft.vendors_folder):
        place.mkdir()
    first = draft.allowlists_folder / "default.csv"
    files.create(first, templates.ALLOWLIST.encode(), mode=files.PUBLIC)
    Database.create(draft.store_file).close()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new CA's folder is to hold besides its certificate."""

    name: str
    hosts: Sequence[str]
    policy: str
    passphrase: str | None

    def text(self) -> bytes:
        """Return its ca.toml, which has passed the check that it will meet; raise UsageError."""
        made = templates.ca_toml(self.name, hosts=list(self.hosts), policy=self.policy).encode()
        config.parse(made)
        return made


def request(
    path: Path | None, wanted: Wanted, *, subject: x509.Name, key: keys.PrivateKey
) -> CaFolder:
    """Make the folder of an intermediate CA, which waits for its certificate, or nothing.

    Raises AlreadyExists when there is something.
    """
    folder, text = free_folder(path), wanted.text()
    pem = subordinate_request(subject, key).public_bytes(Encoding.PEM)
    with files.new_directory(folder.path) as draft:
        fill(CaFolder(draft), text, key, wanted.passphrase)
        files.create(CaFolder(draft).request_file, pem, mode=files.PUBLIC)
    return folder


def intermediate(path: Path | None) -> CaFolder:
    """Return the folder of a CA below another, waiting or whole; raise NotFound, LocalState."""
    folder = CaFolder((path or files.default_ca()).absolute())
    if folder.is_waiting():
        return folder
    if not files.exists(folder.certificate_file):
        raise NotFound(
            f"there is no CA in {folder.path}",
            hint="make its key and request first: cipsec ca init --intermediate --name NAME",
        )
    if is_root(folder.certificate()):
        raise LocalState(
            f"the CA in {folder.path} is a root: it has its certificate of itself",
            hint="name another folder with --ca-dir",
        )
    return folder


def install(
    folder: CaFolder, given: Sequence[x509.Certificate], *, by: str, now: datetime
) -> list[str]:
    """Take the CA's certificate in, among `given`, with those above it; return what to know of it.

    Also in place of an earlier one for the same key and name, which ends with that. Raises Unfit
    with all that speaks against it; then nothing has changed.
    """
    with folder.keys_held():  # two at once would leave one's chain with the other's certificate
        key = _key(folder)
        own = next((one for one in given if is_for(one, key)), given[0])
        chain = Chain(own, issuers.above(own, [*given, *certificates_in(folder.chain_file)]))
        require_fit(chain, key, now, renamed(folder, own))
        put(folder, chain)
    _record(folder, own, "taken in", by=by, now=now)
    return fitness.cautions(chain)


def _record(folder: CaFolder, own: x509.Certificate, what: str, *, by: str, now: datetime) -> None:
    event = Event(
        at=int(now.timestamp()),
        event=Code.CA_CERTIFICATE,
        actor=by,
        serial=show_serial(own.serial_number),
        subject=show_name(own.subject),
        reason=f"{what}; issued by {show_name(own.issuer)}",
    )
    with closing(folder.store()) as database:
        database.write(lambda db: events.append(db, event))


def require_fit(
    chain: Chain, key: keys.PublicKey, now: datetime, others: Sequence[fitness.Objection] = ()
) -> None:
    """Raise Unfit when something speaks against a CA with this key and chain, or `others` do."""
    found = [*fitness.objections(chain, key, now), *others]
    if found:
        number = "1 objection" if len(found) == 1 else f"{len(found)} objections"
        raise Unfit(
            f"the certificate of {show_name(chain.own.subject) or 'no name'} cannot be this CA's:"
            f" {number}",
            objections=tuple((one.what, one.remedy) for one in found),
        )


def renamed(folder: CaFolder, own: x509.Certificate) -> list[fitness.Objection]:
    """Return the objection to another name than the certificates in force were issued under."""
    if folder.is_waiting() or own.subject == folder.certificate().subject:
        return []
    was = show_name(folder.certificate().subject)
    what = f"it is for {show_name(own.subject)}, and this CA has issued as {was}"
    return [fitness.Objection(what, f"have it issued again, for the subject {was}")]


def put(place: CaFolder | Generation, chain: Chain) -> None:
    """Exchange certificate and chain so that whenever this ends, one fits the other.

    While there are two files, the chain has the CAs above the old certificate and the new. Raises
    Malformed for a root's, LocalState.
    """
    if not chain.above:
        raise Malformed("this certificate is a root's, signed with its own key")
    above = to_pem(chain.above)
    before = [c for c in certificates_in(place.chain_file) if c not in chain.above]
    files.replace(place.chain_file, above + to_pem(before), mode=files.PUBLIC)
    files.replace(place.certificate_file, to_pem([chain.own]), mode=files.PUBLIC)
    if before:
        files.replace(place.chain_file, above, mode=files.PUBLIC)


def _key(folder: CaFolder) -> keys.PublicKey:
    """Return the public key that the CA's certificate is to be for; raise Malformed."""
    if not folder.is_waiting():
        return keys.served(folder.certificate().public_key())
    return keys.served(load_request(folder.request_file).public_key())


def is_for(certificate: x509.Certificate, key: keys.PublicKey) -> bool:
    """Tell whether a certificate, which may be a strange one, is for this key."""
    try:
        return keys.spki(certificate.public_key()) == keys.spki(key)
    except (ValueError, TypeError):
        return False


def adopt(
    path: Path | None,
    wanted: Wanted,
    *,
    key: keys.PrivateKey,
    chain: Chain,
    by: str,
    now: datetime,
) -> CaFolder:
    """Make the folder of a CA that exists, whole or not at all; `chain` is as `chain_of` has it.

    Raises AlreadyExists when there is something.
    """
    folder, text = free_folder(path), wanted.text()
    with files.new_directory(folder.path) as place:
        draft = CaFolder(place)
        fill(draft, text, key, wanted.passphrase)
        files.create(draft.certificate_file, to_pem([chain.own]), mode=files.PUBLIC)
        if chain.above:
            files.create(draft.chain_file, to_pem(chain.above), mode=files.PUBLIC)
            again = subordinate_request(chain.own.subject, key).public_bytes(Encoding.PEM)
            files.create(draft.request_file, again, mode=files.PUBLIC)
        _record(draft, chain.own, "imported", by=by, now=now)
    return folder


def chain_of(key: keys.PrivateKey, given: Sequence[x509.Certificate], now: datetime) -> Chain:
    """Return the certificate of an existing CA and those above it: the first for its key.

    Raises Malformed when none is for the key, Unfit with all that speaks against the CA.
    """
    public = key.public_key()
    own = next((one for one in given if is_for(one, public)), None)
    if own is None:
        raise Malformed(
            "none of the certificates given is for the key",
            hint="name the CA's certificate with --certificate FILE",
        )
    chain = Chain(own, issuers.above(own, given))
    require_fit(chain, public, now)
    return chain
