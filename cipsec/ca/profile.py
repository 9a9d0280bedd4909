"""What a certificate holds, whoever applies: usages, validity, kinds of alternative names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from cipsec.pki.names import is_host_name

CMC_RA = ObjectIdentifier("1.3.6.1.5.5.7.3.28")  # id-kp-cmcRA, RFC 6402 section 2.10

ENDPOINT = "endpoint"
SERVER = "server"
PROVISIONING = "provisioning"
REPORT = "report"

_DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336


def kept(sans: Sequence[x509.GeneralName]) -> tuple[x509.GeneralName, ...]:
    """Return the alternative names that a certificate takes over from its request.

    Host names and addresses only: not what a client in C would read up to a NUL, nor networks. A
    host name loses its final dot (RFC 5280 section 4.2.1.6), with which clients would not find it.
    """
    return tuple(_plain(name) for name in sans if _is_kept(name))


def _plain(name: x509.GeneralName) -> x509.GeneralName:
    if isinstance(name, x509.DNSName) and name.value.endswith("."):
        return x509.DNSName(name.value[:-1])
    return name


def _is_kept(name: x509.GeneralName) -> bool:
    match name:
        case x509.DNSName(value=host):
            return is_host_name(host)
        case x509.IPAddress(value=address):
            return isinstance(address, (IPv4Address, IPv6Address))
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of certificate: `validity` from now on, `backdate` before now.

    Back-dating serves devices whose clock is behind. `crl_url` is where the certificate says that
    the revocation list is, None for nowhere.
    """

    kind: str
    usages: tuple[ObjectIdentifier, ...]
    validity: timedelta
    backdate: timedelta = timedelta(hours=24)
    crl_url: str | None = None

    def period(self, now: datetime, end_of_ca: datetime) -> tuple[datetime, datetime]:
        """Return notBefore and notAfter, whole seconds, never beyond the CA's own end."""
        start = now.replace(microsecond=0)
        # A CA may live to the end of the year 9999 (RFC 5280 section 4.1.2.5), and time no longer.
        return start - self.backdate, start + min(self.validity, end_of_ca - start)


def endpoint(validity: timedelta, backdate: timedelta, crl_url: str | None = None) -> Profile:
    """Return the profile of a CIP endpoint: target and originator, hence server and client."""
    usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    return Profile(ENDPOINT, usages, validity, backdate, crl_url)


def est_server(backdate: timedelta, crl_url: str | None = None) -> Profile:
    """Return the profile of the EST server's own TLS certificate.

    id-kp-cmcRA lets a client with an explicit trust anchor accept the server under whatever name or
    address it reached it by (RFC 7030 section 3.6.1).
    """
    usages = (ExtendedKeyUsageOID.SERVER_AUTH, CMC_RA)
    return Profile(SERVER, usages, timedelta(days=397), backdate, crl_url)


def provisioning(validity: timedelta, backdate: timedelta) -> Profile:
    """Return the profile of a provisioning certificate: a client, and nothing else."""
    return Profile(PROVISIONING, (ExtendedKeyUsageOID.CLIENT_AUTH,), validity, backdate)


def report(validity: timedelta) -> Profile:
    """Return the profile of what signs a report, and is neither client nor server to any device.

    emailProtection beside documentSigning: `openssl cms -verify` asks for it unless told otherwise.
    """
    usages = (_DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    return Profile(REPORT, usages, validity)
