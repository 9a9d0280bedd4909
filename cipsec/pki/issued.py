"""Who issued a certificate: by name and signature, one certificate held against one other.

What the issuer was allowed to issue is `pki.path`'s to say.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

# From where `serialization` has it, which is slow to import.
from cryptography.hazmat.primitives._serialization import Encoding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from cipsec.pki import der
from cipsec.pki.extensions import value
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.names import same_name

_SEQUENCE = 0x30
_WEAK = frozenset({"md5", "sha1"})


def directly_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` is named in `certificate` and its key made the signature.

    Names are compared by value (RFC 5280 section 7.1): a CA may come to write its own another way.
    """
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except UNREADABLE:
        return _issued_under_another_spelling(certificate, issuer)
    return True


def _issued_under_another_spelling(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell the same where cryptography, which compares the bytes of names, has refused to look.

    Whatever else it may have refused for is left refused.
    """
    try:
        named, subject = certificate.issuer, issuer.subject
        if named.public_bytes() == subject.public_bytes() or not same_name(named, subject):
            return False
        _check_algorithm_is_signed(certificate)
        _verify(certificate, issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _check_algorithm_is_signed(certificate: x509.Certificate) -> None:
    """Raise InvalidSignature unless both algorithm fields agree (RFC 5280 section 4.1.1.2)."""
    tbs, outer, _ = der.elements(der.only(certificate.public_bytes(Encoding.DER), _SEQUENCE))
    inner = next(field for field in der.elements(tbs[1]) if field[0] == _SEQUENCE)
    if inner != outer:
        raise InvalidSignature


def _verify(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Check the signature as cryptography would; raise InvalidSignature, or one of UNREADABLE."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is not None and algorithm.name in _WEAK:
        raise InvalidSignature
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    match issuer.public_key(), certificate.signature_algorithm_parameters:
        case ec.EllipticCurvePublicKey() as key, ec.ECDSA() as ecdsa:
            key.verify(signature, signed, ecdsa)
        case rsa.RSAPublicKey() as key, padding.PKCS1v15() | padding.PSS() as filled if isinstance(
            algorithm, hashes.HashAlgorithm
        ):
            key.verify(signature, signed, filled, algorithm)
        case ed25519.Ed25519PublicKey() as key, None:
            key.verify(signature, signed)
        case _:
            raise InvalidSignature


def points_elsewhere(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the authority key identifier is that of another certificate than the issuer's.

    RFC 5280 section 6.1 does not look at it; OpenSSL takes such an issuer for another.
    """
    pointer = value(certificate.extensions, x509.AuthorityKeyIdentifier)
    if pointer is None:
        return False
    own = value(issuer.extensions, x509.SubjectKeyIdentifier)
    if own and pointer.key_identifier not in (None, own.digest):
        return True
    if pointer.authority_cert_serial_number not in (None, issuer.serial_number):
        return True
    names = pointer.authority_cert_issuer or ()
    first = next((one.value for one in names if isinstance(one, x509.DirectoryName)), None)
    return first is not None and not same_name(first, issuer.issuer)


def is_whole(signature: bytes, signed: bytes) -> bool:
    """Tell whether the signature at the end of a DER object is said to be of whole octets.

    Which is not signed: with unused bits, objects that differ would have the same signature.
    """
    return signed[-len(signature) - 1] == 0


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same name, as in a root, however each is spelt."""
    return same_name(certificate.subject, certificate.issuer)


def is_root(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate is signed with its own key."""
    return is_self_issued(certificate) and directly_issued(certificate, certificate)
