"""The CA's own keys and certificates, those of its server, and whether that runs."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from cipsec import files, shell
from cipsec.ca_folder.key_place import Certified
from cipsec.discovery.interfaces import Address, interfaces
from cipsec.doctor.finding import Remark, fail, ok, typed, warn
from cipsec.doctor.machine import CLOCK_HINT
from cipsec.doctor.rollover import how
from cipsec.doctor.subject import Ca
from cipsec.errors import LocalState, Locked, Malformed
from cipsec.pki import keys
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.issued import directly_issued, is_root, is_self_issued
from cipsec.pki.names import host_name, sans_of, show_name, show_san
from cipsec.rollover import is_interrupted, state
from cipsec.rollover.step import TAKE_IN
from cipsec.serve.certificate import ServerCertificate
from cipsec.times import show_duration, show_time
from cipsec.token.module import module
from cipsec.token.uri import KeyUri

_ANY_OTHER = stat.S_IRWXG | stat.S_IRWXO
_SOON = timedelta(days=180)  # for endpoints to renew, and take up the next root as they do
_ANOTHER = "make another CA and bring it to the devices: cipsec ca init"
_ABOVE = "have it renewed, and the CAs below it"
_RESTORE = "restore the CA folder from a backup"


def key(ca: Ca) -> Iterator[Remark]:
    """See that the CA's keys are those of its certificates: of each root that there is."""
    if (uri := ca.folder.key_uri()) is not None:
        yield from _on_token(uri)
    elif not is_interrupted(ca.folder):  # else ca.key is to follow, as another check says
        yield _belongs(ca.folder.key_file, ca.folder.certificate_file, ca.folder.certificate())
    upcoming = ca.folder.successor
    coming = [upcoming] if ca.folder.next() or upcoming.is_waiting() else []
    for one in [*coming, *ca.folder.previous()]:
        if one.key_place.uri() is None:  # else it is on the token that was looked at
            file = one.request_file if one.is_waiting() else one.certificate_file
            yield _belongs(one.key_file, file, one.certified())
            yield from _twice(one.key_file)


def _on_token(uri: KeyUri) -> Iterator[Remark]:
    """See that the token is there; of the key nothing is seen without the PIN."""
    module(uri.module).token(uri)
    yield ok(f"the token {uri.token} is there; that {uri.key} is ca.pem's key is not seen")
    source = uri.pin_source
    if source is not None and os.name != "nt" and source.stat().st_mode & _ANY_OTHER:
        yield fail(
            f"{source}, the token's PIN, can be read by others", f"chmod 600 {typed(source)}"
        )


def provisioning(ca: Ca) -> Iterator[Remark]:
    """See to the issuer of provisioning certificates, if there is one."""
    certificate = ca.folder.provisioning_certificate()
    if certificate is None:
        return
    pair = ca.folder.provisioning_key_file, ca.folder.provisioning_certificate_file
    yield _belongs(*pair, certificate)
    yield from _validity(certificate, ca.now, how(ca))
    yield from _twice(pair[0])


def _twice(key_file: Path) -> Iterator[Remark]:
    with contextlib.suppress(LocalState):  # which was said
        if keys.is_twice(files.read(key_file)):
            detail = f"{key_file} opens with two passphrases: a change of it was cut off"
            yield warn(detail, "cipsec ca passphrase")


def _belongs(key_file: Path, certificate_file: Path, certificate: Certified) -> Remark:
    """Judge a pair; of a key under a passphrase, which nobody is asked for, nothing is seen."""
    try:
        private = keys.from_pem(files.read(key_file))
    except Locked:
        return ok(f"{key_file.name} is encrypted; that it is {certificate_file.name}'s is not seen")
    except Malformed as error:
        return fail(f"{key_file}: {error.message}", _RESTORE)
    except LocalState as error:
        return fail(error.message, error.hint or _RESTORE)
    if keys.spki(private.public_key()) != keys.spki(certificate.public_key()):
        return fail(f"{key_file} is not the key of {certificate_file.name}", _RESTORE)
    return ok(f"{key_file.name} is the key of {certificate_file.name}")


def certificate(ca: Ca) -> Iterator[Remark]:
    """See that the CA's certificate is a CA's, its own, and has time before it."""
    own, *above = ca.folder.path_to_root()
    yield from _constitution(own, ca.folder.certificate_file)
    if is_root(own):
        yield from _validity(own, ca.now, how(ca))
        return
    again = how(ca)
    if state(ca.folder) is None:
        again = f"have {typed(ca.folder.request_file)} signed again: {TAKE_IN}; or: {again}"
    yield from _validity(own, ca.now, again, again)
    for one in above:
        yield from _validity(one, ca.now, _ABOVE, _ABOVE)
    if not (above and is_root(above[-1])):
        detail = f"{ca.folder.chain_file} does not lead to a root; clients refuse the server"
        yield fail(detail, TAKE_IN)


def _constitution(own: x509.Certificate, file: Path) -> Iterator[Remark]:
    show = f"cipsec cert show {typed(file)}"
    try:
        is_ca = own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        is_ca = False
    if not is_ca:
        yield fail(f"{file.name} is not the certificate of a CA", show)
    if is_self_issued(own) and not directly_issued(own, own):
        yield fail(f"the signature of {file.name} is wrong", show)


def _validity(
    own: x509.Certificate, now: datetime, in_time: str, too_late: str = _ANOTHER
) -> Iterator[Remark]:
    """Judge the time left; `in_time` is what to do before it is over, `too_late` after it."""
    begin, end = own.not_valid_before_utc, own.not_valid_after_utc
    name = show_name(own.subject)
    if now < begin:
        yield fail(f"{name} is valid only from {show_time(begin)}", CLOCK_HINT)
    elif now >= end:
        yield fail(f"{name} expired at {show_time(end)}", too_late)
    elif end - now < _SOON:
        left = show_duration(end - now)
        yield warn(f"{name} expires at {show_time(end)}, in {left}", in_time)
    else:
        yield ok(f"{name} is valid until {show_time(end)}")


def server(ca: Ca) -> Iterator[Remark]:
    """Tell whether a server runs on the folder."""
    if ca.running is None:
        lock = ca.folder.lock_file
        yield warn(
            f"whether a server runs cannot be told from {lock}",
            shell.command("ls -l", lock, windows="icacls"),
        )
    else:
        yield ok("a server runs" if ca.running else "no server runs on this machine")


def server_certificate(ca: Ca) -> Iterator[Remark]:
    """See that the server's certificate fits; one that runs renews it, one that starts too."""
    if not ca.folder.server_certificate_file.exists() and not ca.running:
        yield ok("there is none before the server starts first")
        return
    faults = list(_faults(ca))
    unknown = ca.config is None  # a broken ca.toml names no hosts
    strange = [] if faults or unknown else list(_strange_names(ca))
    for fault in (*faults, *strange):
        if not ca.running:
            yield ok(f"{fault}; another is made when the server starts")
        elif fault in faults:
            yield fail(fault, "end the server and start it again: cipsec ca serve")
        else:
            yield warn(f"{fault}; the server makes another within a minute", "cipsec doctor")
    if not faults and not strange:
        yield ok("it is valid" if unknown else "it is valid, and for the names of ca.toml")


def _faults(ca: Ca) -> Iterator[str]:
    """Yield why clients do not accept the certificate."""
    try:
        held, private = ServerCertificate(ca.folder).load()
    except (LocalState, *UNREADABLE) as error:
        yield f"it cannot be used: {error}"
        return
    if keys.spki(held.public_key()) != keys.spki(private.public_key()):
        yield "server.key is not the key of server.pem"
    if not directly_issued(held, ca.folder.certificate()):
        yield "server.pem is not issued by this CA"
    if ca.now > held.not_valid_after_utc:
        yield f"server.pem expired at {show_time(held.not_valid_after_utc)}"
    if ca.now < held.not_valid_before_utc:
        yield f"server.pem is valid only from {show_time(held.not_valid_before_utc)}"


def _strange_names(ca: Ca) -> Iterator[str]:
    """Yield the hosts that are not named, and the addresses that this machine has no more."""
    held, _ = ServerCertificate(ca.folder).load()
    named, hosts = sans_of(held), [host_name(host) for host in ca.server.hosts]
    for host in hosts:
        if host not in named:
            yield f"server.pem does not name {show_san(host)}, which ca.toml does"
    here = {attached.ip for interface in interfaces() for attached in interface.addresses}
    for name in lost_addresses(held, here):
        if name not in hosts:
            yield f"server.pem names {show_san(name)}, which this machine has no more"


def lost_addresses(held: x509.Certificate, here: Collection[Address]) -> list[x509.IPAddress]:
    """Return the addresses that a certificate names and this machine has not."""
    named = [name for name in sans_of(held) if isinstance(name, x509.IPAddress)]
    return [n for n in named if isinstance(n.value, Address) and not _is_here(n.value, here)]


def _is_here(address: Address, here: Collection[Address]) -> bool:
    return address.is_loopback or address in here


CHECKS = {
    "ca key": key,
    "ca certificate": certificate,
    "provisioning issuer": provisioning,
    "server": server,
    "server certificate": server_certificate,
}
