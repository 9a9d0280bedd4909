"""Provisioning certificates: good for enrolling and nothing else, for not the CA issues them.

Devices trust ca.pem; a second, self-signed issuer, which only the EST server knows, proves nothing
to them. Whether one is still good, and how often, is left to `ra`; its files to `ca_folder`.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from cipsec.ca.authority import Authority, Issued, self_signed
from cipsec.ca.profile import Profile
from cipsec.errors import Malformed
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import show_name

KEY_TYPE = keys.KeyType.EC_P256  # of the issuer: read by the EST server only, which knows it

_LONGEST_NAME = 64  # ub-common-name, RFC 5280 appendix A.1
_MARK = "provisioning"


def issuer(ca: Authority, key: keys.PrivateKey, *, now: datetime) -> x509.Certificate:
    """Make the issuer's own certificate, which ends with the CA's; raise LocalState if it ended."""
    ca.require_valid(now)
    validity = ca.ends - now.replace(microsecond=0)
    name = marked(ca.certificate.subject, _MARK)
    return self_signed(name, key, now=now, validity=validity)


def marked(ca: x509.Name, mark: str) -> x509.Name:
    """Return the CA's name with its common name marked, as in `CN=Line 4 provisioning`."""
    common = ca.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    title = str(common[-1].value) if common else ""
    name = f"{title[: _LONGEST_NAME - len(mark) - 1]} {mark}".lstrip()
    others = [rdn for rdn in ca.rdns if not any(a in common for a in rdn)]
    return x509.Name([*others, *subject(name).rdns])


def subject(name: str) -> x509.Name:
    """Return the subject of the provisioning certificate of that name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def issue(
    issuing: Authority, request: CertificateRequest, name: str, profile: Profile, *, now: datetime
) -> Issued:
    """Sign a provisioning certificate for the request's key; raise Malformed, LocalState.

    The request may come from a card. It names `CN=name` and asks for nothing else: what the
    certificate of a tool says of a device would be taken for the device that it enrolls.
    """
    if request.subject != subject(name) or request.extensions:
        raise Malformed(f"this is not a request for {show_name(subject(name))} and nothing else")
    return issuing.issue(request, profile, now=now)
