"""Certificates encoded by declaration (RFC 5280 section 4.1): what is signed, and the whole.

`hazmat.asn1` takes a fifth of the time that CertificateBuilder takes, and copies the subject and
the public key byte by byte from the request. It is marked unstable, hence the upper bound on
`cryptography`; a test holds its output against the builder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import rsa

from cipsec.pki import keys

_V3 = 2
_FIRST_GENERALIZED_YEAR = 2050  # RFC 5280 section 4.1.2.5: UTCTime through 2049


@asn1.sequence
class _Validity:
    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class Extension:
    """One extension as it stands in a certificate; `value` is the DER inside the OCTET STRING."""

    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]  # DEFAULT FALSE of X.509
    value: bytes


@asn1.sequence
class _Tbs:
    version: Annotated[int, asn1.Explicit(0)]
    serial: int
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: _Validity
    subject: asn1.TLV
    spki: asn1.TLV
    extensions: Annotated[list[Extension], asn1.Explicit(3)]


@asn1.sequence
class _Signed:
    tbs: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@asn1.sequence
class _RequestInfo:
    version: int
    subject: asn1.TLV
    spki: asn1.TLV
    attributes: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(0)]


# AlgorithmIdentifiers, complete: ecdsa-with-SHA256, ecdsa-with-SHA384, sha256WithRSAEncryption.
_ECDSA = {
    256: bytes.fromhex("300a06082a8648ce3d040302"),
    384: bytes.fromhex("300a06082a8648ce3d040303"),
}
_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")


class Encoder:
    """Encodes and signs certificates of one issuer; what is constant is encoded once.

    `issuer` and `algorithm` are those of everything it signs, in DER.
    """

    def __init__(self, issuer: x509.Name, key: keys.PrivateKey) -> None:
        self._key = key
        self.issuer = issuer.public_bytes()
        self.algorithm = _RSA if isinstance(key, rsa.RSAPrivateKey) else _ECDSA[key.key_size]
        self._issuer, self._algorithm = _tlv(self.issuer), _tlv(self.algorithm)

    def certificate(
        self,
        request: x509.CertificateSigningRequest,
        *,
        serial: int,
        period: tuple[datetime, datetime],
        extensions: Sequence[Extension],
        key: bytes | None = None,
    ) -> bytes:
        """Return the signed certificate in DER, with the request's subject and key.

        `key` is the latter as it is to be written, where not as in the request.
        """
        info = asn1.decode_der(_RequestInfo, request.tbs_certrequest_bytes)
        tbs = asn1.encode_der(
            _Tbs(
                version=_V3,
                serial=serial,
                algorithm=self._algorithm,
                issuer=self._issuer,
                validity=_Validity(not_before=asn1_time(period[0]), not_after=asn1_time(period[1])),
                subject=info.subject,
                spki=_tlv(key) if key else info.spki,
                extensions=list(extensions),
            )
        )
        signature = asn1.BitString(self.sign(tbs), 0)
        return asn1.encode_der(
            _Signed(tbs=_tlv(tbs), algorithm=self._algorithm, signature=signature)
        )

    def sign(self, tbs: bytes) -> bytes:
        """Return the signature over what is to be signed."""
        return keys.sign(self._key, tbs)


def _tlv(der: bytes) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, der)


def asn1_time(moment: datetime) -> asn1.UTCTime | asn1.GeneralizedTime:
    """Return a time as certificates and revocation lists have it."""
    if moment.year < _FIRST_GENERALIZED_YEAR:
        return asn1.UTCTime(moment)
    return asn1.GeneralizedTime(moment)
