"""Name constraints (RFC 5280 section 4.2.1.10): a certificate held against what its CAs may name.

Which constraints apply is `pki.path`'s to say. cryptography's verifier skips directoryName
constraints that are not critical and refuses the critical ones, so they are judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from cipsec.errors import Untrusted
from cipsec.pki.names import comparable, is_host_name, sans_of

# Each pair costs some microseconds: a certificate stuffed with names must not stop the server.
_MAX_COMPARISONS = 4096


def check(certificate: x509.Certificate, constraints: Sequence[x509.NameConstraints]) -> None:
    """Raise Untrusted unless all names of the certificate are within all the constraints.

    Names of a form that is constrained and not understood are refused.
    """
    if not constraints:
        return
    names = _names(certificate)
    for one in constraints:
        permitted, excluded = one.permitted_subtrees or [], one.excluded_subtrees or []
        if len(names) * (len(permitted) + len(excluded)) > _MAX_COMPARISONS:
            raise Untrusted("the certificate has too many names for its CA's name constraints")
        for name in names:
            _check_name(name, permitted, excluded)


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return what is constrained: alternative names, subject, and the e-mail addresses in it."""
    names = list(sans_of(certificate))
    subject = certificate.subject
    if not any(isinstance(name, x509.RFC822Name) for name in names):
        addresses = subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        names += [x509.RFC822Name(str(address.value)) for address in addresses]
    return [*names, x509.DirectoryName(subject)] if list(subject) else names


def _check_name(
    name: x509.GeneralName,
    permitted: Sequence[x509.GeneralName],
    excluded: Sequence[x509.GeneralName],
) -> None:
    allowing = [base for base in permitted if type(base) is type(name)]
    forbidding = [base for base in excluded if type(base) is type(name)]
    if not allowing and not forbidding:
        return
    within = _WITHIN.get(type(name))
    if within is None or not _is_plain(name):
        raise Untrusted("the certificate has a name that its CA constrains in a way not understood")
    if any(within(name.value, base.value) for base in forbidding):
        raise Untrusted("the certificate has a name that its CA may not give")
    if allowing and not any(within(name.value, base.value) for base in allowing):
        raise Untrusted("the certificate has a name beyond those that its CA may give")


def _is_plain(name: x509.GeneralName) -> bool:
    """Tell what stands for one name from wildcards, which may reach into an excluded subtree.

    A URI without a host that is a name cannot be judged (RFC 5280 section 4.2.1.10).
    """
    match name:
        case x509.DNSName(value=value):
            return "*" not in value
        case x509.UniformResourceIdentifier(value=value):
            return _host_of(value) is not None
        case _:
            return True


def _host_of(uri: str) -> str | None:
    """Return the host name in a URI; None where there is none, or an address."""
    from urllib.parse import urlsplit

    host = urlsplit(uri).hostname
    return host if host and is_host_name(host) else None


def _uri_within(name: str, base: str) -> bool:
    """Compare the host in a URI: that host alone, or with a leading dot what is below it."""
    host, base = (_host_of(name) or "").casefold(), base.casefold()
    return host.endswith(base) if base.startswith(".") else host == base


def _host_within(name: str, base: str) -> bool:
    """Compare DNS names: the base itself or any name below it; with a leading dot only below."""
    name, base = name.casefold().removesuffix("."), base.casefold().removesuffix(".")
    if base.startswith(".") or not base:
        return name.endswith(base)
    return name == base or name.endswith(f".{base}")


def _mail_within(name: str, base: str) -> bool:
    """Compare e-mail addresses: one mailbox, all of a host, or with a leading dot of a domain."""
    mailbox, _, host = name.rpartition("@")
    box, _, domain = base.rpartition("@")
    if box and box != mailbox:
        return False
    host, domain = host.casefold(), domain.casefold()
    return host.endswith(domain) if domain.startswith(".") else host == domain


def _directory_within(name: x509.Name, base: x509.Name) -> bool:
    """Compare names: the base is the beginning of those within it (RFC 5280 section 7.1)."""
    wanted = comparable(base)
    return comparable(name)[: len(wanted)] == wanted


def _address_within(name: Any, base: Any) -> bool:
    return name in base  # an IPv6 address is in no IPv4 network


_WITHIN: dict[type[x509.GeneralName], Callable[[Any, Any], bool]] = {
    x509.DNSName: _host_within,
    x509.RFC822Name: _mail_within,
    x509.UniformResourceIdentifier: _uri_within,
    x509.DirectoryName: _directory_within,
    x509.IPAddress: _address_within,
}
