"""The next root of a CA and the certificates that join it with the present one (RFC 4210 4.4).

NewWithOld lets who trusts the old key believe the new one, OldWithNew the other way round. Where
they are kept is `ca_folder.generation`'s, when the new key takes over is `rollover`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from cipsec.ca.authority import Authority, new_serial, self_signed
from cipsec.errors import LocalState, UsageError
from cipsec.pki import keys
from cipsec.pki.issued import is_root
from cipsec.pki.names import show_name
from cipsec.times import show_time


@dataclass(frozen=True, slots=True)
class Successor:
    """A root that is to follow another: its key, its certificate, and the two links."""

    key: keys.PrivateKey
    certificate: x509.Certificate
    new_with_old: x509.Certificate
    old_with_new: x509.Certificate


def require_root(certificate: x509.Certificate) -> None:
    """Raise UsageError for an intermediate: its next key is the upper CA's to certify."""
    if not is_root(certificate):
        raise UsageError(
            f"{show_name(certificate.subject)} is not a root: an upper CA certifies its next key",
            hint="make the request for it: cipsec ca rollover",
        )


def require_followed(old: Authority, *, now: datetime, end: datetime) -> None:
    """Raise unless a root that ends at `end` can follow another.

    UsageError for an intermediate and for an `end` that is not later than the old one (RFC 7030
    section 4.1.3 knows the newest root by that), LocalState when the old one is not valid.
    """
    require_root(old.certificate)
    old.require_valid(now)
    if end <= old.certificate.not_valid_after_utc:
        last = show_time(old.certificate.not_valid_after_utc)
        raise UsageError(f"the new certificate has to last beyond {last}", hint="give more --days")


def successor(
    old: Authority, old_key: keys.PrivateKey, key: keys.PrivateKey, *, now: datetime, end: datetime
) -> Successor:
    """Make the next root of the same name, valid until `end`, and both links.

    Raises as `require_followed`, and LocalState where the name cannot be repeated.
    """
    before = old.certificate
    require_followed(old, now=now, end=end)
    start = now.replace(microsecond=0)
    certificate = self_signed(before.subject, key, now=now, validity=end - start)
    if certificate.subject.public_bytes() != before.subject.public_bytes():
        raise LocalState("the CA's name cannot be repeated as it is encoded")
    begin = max(certificate.not_valid_before_utc, before.not_valid_before_utc)
    return Successor(
        key=key,
        certificate=certificate,
        new_with_old=_link(
            certificate, before, old_key, (begin, before.not_valid_after_utc), now=now
        ),
        old_with_new=_link(
            before,
            certificate,
            key,
            (before.not_valid_before_utc, before.not_valid_after_utc),
            now=now,
        ),
    )


def _link(
    root: x509.Certificate,
    issuer: x509.Certificate,
    issuer_key: keys.PrivateKey,
    period: tuple[datetime, datetime],
    *,
    now: datetime,
) -> x509.Certificate:
    """Return what `root` says of itself, signed by another key of the same name."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(issuer.subject)
        .public_key(keys.served(root.public_key()))
        # Both are made in the same millisecond; the random part tells them apart.
        .serial_number(new_serial(now))
        .not_valid_before(period[0])
        .not_valid_after(period[1])
    )
    for extension in root.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.add_extension(_points_at(issuer), critical=False).sign(
        issuer_key, keys.signing_hash(issuer_key)
    )


def _points_at(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:  # of a CA that others made
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(keys.served(issuer.public_key()))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def made_at(root: x509.Certificate) -> datetime:
    """Return when a root was made: its notBefore is a day before."""
    return root.not_valid_before_utc + timedelta(hours=24)
