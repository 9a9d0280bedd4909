"""A device vendor's PKI: roots, issuing CAs, device certificates and CRLs, good or spoilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.pki import keys, names
from tests.support import der

BEGIN = datetime(2021, 3, 1, tzinfo=UTC)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # no well-defined end (RFC 5280 4.1.2.5)
DEVICE = "0001:6040C8F2"
CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
SAN = x509.SubjectAlternativeName([x509.DNSName("drive7.plant.local")])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")

Extensions = Sequence[tuple[x509.ExtensionType, bool]]  # each with whether it is critical


@dataclass(frozen=True, slots=True)
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: keys.PrivateKey

    @property
    def der(self) -> bytes:
        """The certificate in DER, as TLS presents it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)


def issue(
    subject: str | x509.Name,
    issuer: Party | None = None,
    *,
    key: keys.PrivateKey | None = None,
    constraints: x509.BasicConstraints | None = None,
    constraints_critical: bool = True,
    usage: x509.KeyUsage | None = None,
    extensions: Extensions = (),
    ski: bool = True,
    aki: bool = True,
    begin: datetime = BEGIN,
    end: datetime = FOREVER,
    serial: int | None = None,
    signer: keys.PrivateKey | None = None,
) -> Party:
    """Make a certificate; without `issuer` it signs itself; `signer` signs in the issuer's place.

    Whatever is not asked for is not in it: no constraints, no usage, no alternative names.
    """
    key = key or keys.generate(keys.KeyType.EC_P256)
    name = names.parse_subject(subject) if isinstance(subject, str) else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if constraints:
        builder = builder.add_extension(constraints, critical=constraints_critical)
    if usage:
        builder = builder.add_extension(usage, critical=True)
    if ski:
        builder = builder.add_extension(_ski(key), critical=False)
    if aki and issuer:
        builder = builder.add_extension(_aki(issuer), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signer = signer or (issuer.key if issuer else key)
    return Party(builder.sign(signer, keys.signing_hash(signer)), key)


def _ski(key: keys.PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _aki(issuer: Party) -> x509.AuthorityKeyIdentifier:
    """Return what points to the issuer: the key id it says, or that of its key."""
    try:
        found = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def signs(*, certificates: bool = True, crls: bool = True) -> x509.KeyUsage:
    """Return a CA's key usage."""
    return x509.KeyUsage(True, False, False, False, False, certificates, crls, False, False)


def ca(
    name: str,
    issuer: Party | None = None,
    *,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    constraints_critical: bool = True,
    extensions: Extensions = (),
    key: keys.PrivateKey | None = None,
    ski: bool = True,
    aki: bool = True,
    begin: datetime = BEGIN,
    end: datetime = FOREVER,
    signer: keys.PrivateKey | None = None,
) -> Party:
    """Make a CA, a root without `issuer`; `name` is its CN, or a whole name with `=` in it."""
    return issue(
        name if "=" in name else f"CN={name},O=Acme",
        issuer,
        key=key,
        constraints=x509.BasicConstraints(ca=True, path_length=path_length),
        constraints_critical=constraints_critical,
        usage=usage or signs(),
        extensions=extensions,
        ski=ski,
        aki=aki,
        begin=begin,
        end=end,
        signer=signer,
    )


def device(
    issuer: Party | None,
    number: str = DEVICE,
    *,
    extensions: Extensions = (),
    constraints: x509.BasicConstraints | None = None,
    key: keys.PrivateKey | None = None,
    ski: bool = True,
    aki: bool = True,
    begin: datetime = BEGIN,
    end: datetime = FOREVER,
    signer: keys.PrivateKey | None = None,
) -> Party:
    """Make a device's certificate, self-signed without `issuer`: no SAN, no EKU, no end."""
    return issue(
        f"serialNumber={number},CN=Drive 7,O=Acme",
        issuer,
        key=key,
        constraints=constraints,
        extensions=extensions,
        ski=ski,
        aki=aki,
        begin=begin,
        end=end,
        signer=signer,
    )


def look_alike(party: Party, signer: Party | None = None) -> Party:
    """Return the same names, serial number, times and key ids on another key.

    Signed by that other key, or by `signer`'s.
    """
    key = keys.generate(keys.KeyType.EC_P256)
    old = party.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(key.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    by = signer.key if signer else key
    return Party(builder.sign(by, keys.signing_hash(by)), key)


_SHA256_RSA, _SHA1_RSA, _MD5_RSA = (
    bytes.fromhex(f"2a864886f70d0101{end}") for end in ("0b", "05", "04")
)


def weakly_signed(
    party: Party, issuer: Party, algorithm: hashes.SHA1 | hashes.MD5 | None = None
) -> Party:
    """Return the certificate with a good signature over SHA-1 or MD5; `issuer` has an RSA key.

    cryptography makes none; the names of RSA's algorithms differ in one byte.
    """
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    algorithm = algorithm or hashes.SHA1()
    named = _MD5_RSA if algorithm.name == "md5" else _SHA1_RSA
    signed = party.certificate.tbs_certificate_bytes.replace(_SHA256_RSA, named)
    signature = issuer.key.sign(signed, padding.PKCS1v15(), algorithm)
    kind = der.sequence(der.tlv(0x06, named), b"\x05\x00")
    whole = der.sequence(signed, kind, der.tlv(0x03, b"\0" + signature))
    return Party(x509.load_der_x509_certificate(whole), party.key)


def crl(
    issuer: Party,
    *revoked: Party | int,
    at: datetime = BEGIN,
    until: datetime | None = FOREVER,
    extensions: Extensions = (),
    entry_extensions: Extensions = (),
    reason: x509.ReasonFlags | None = None,
    signer: keys.PrivateKey | None = None,
    encoding: Encoding = Encoding.PEM,
) -> bytes:
    """Return a CRL of `issuer` with certificates or serial numbers, in PEM unless said."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(at)
        .next_update(until or FOREVER)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    if reason:
        entry_extensions = [*entry_extensions, (x509.CRLReason(reason), False)]
    for one in revoked:
        serial = one if isinstance(one, int) else one.certificate.serial_number
        builder = builder.add_revoked_certificate(_entry(serial, at, entry_extensions))
    key = signer or issuer.key
    return builder.sign(key, keys.signing_hash(key)).public_bytes(encoding)


def _entry(serial: int, at: datetime, extensions: Extensions) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


@dataclass(frozen=True, slots=True)
class Pki:
    """A vendor as most are: a root, an issuing CA, one device."""

    root: Party
    issuing: Party
    device: Party

    @property
    def chain(self) -> tuple[bytes, ...]:
        """What the device presents by TLS: itself and its issuing CA."""
        return self.device.der, self.issuing.der

    def with_device(self, number: str) -> Pki:
        """Return the same vendor with another device."""
        return replace(self, device=device(self.issuing, number))


def make(name: str = "Acme", number: str = DEVICE) -> Pki:
    """Make a vendor's PKI with one device."""
    root = ca(f"{name} Root")
    issuing = ca(f"{name} Devices", root, path_length=0)
    return Pki(root, issuing, device(issuing, number))


def install(
    folder: Path,
    name: str,
    *anchors: Party,
    vendor_ids: Sequence[str] | None = None,
    crls: bytes | None = None,
    strict: Mapping[str, bool] | None = None,
) -> None:
    """Write the vendor's files into `folder`; `strict` has switches such as `check_expiry`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pem").write_bytes(b"".join(anchor.pem for anchor in anchors))
    lines = [f"{switch} = {str(on).lower()}\n" for switch, on in (strict or {}).items()]
    if vendor_ids is not None:
        lines.append(f"vendor_ids = [{', '.join(map(repr, vendor_ids))}]\n")
    if lines:
        (folder / f"{name}.toml").write_text("".join(lines))
    if crls is not None:
        (folder / f"{name}.crl").write_bytes(crls)
