"""Certification paths: which lead to an anchor, and what each other one is refused for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Untrusted
from cipsec.pki import keys
from cipsec.pki.chain import verify_chain
from cipsec.pki.issued import directly_issued, is_self_issued
from cipsec.pki.names import parse_subject
from tests.pki import specimens
from tests.support import der

# cryptography warns of serial numbers that are not positive, and of names that are too long.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CA = x509.BasicConstraints(ca=True, path_length=None)
UNKNOWN = x509.UnrecognizedExtension(NameOID.SURNAME, b"\x05\x00")
CA_DER = der.extension(der.BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\xff", critical=True)
CONSTRAINTS = x509.NameConstraints([x509.DNSName("plant.local")], None)


def usage(*, signs: bool) -> x509.KeyUsage:
    """Return a key usage."""
    return x509.KeyUsage(True, False, False, False, False, signs, False, False, False)


@dataclass(frozen=True)
class Issuer:
    """A name and a key that sign; `certificate` is one of those that speak for them."""

    certificate: x509.Certificate
    key: keys.PrivateKey


def issue(
    name: str,
    issuer: Issuer | None = None,
    *,
    key: keys.PrivateKey | None = None,
    constraints: x509.BasicConstraints | None = CA,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
) -> Issuer:
    """Make a certificate, by default of a CA; without issuer it signs itself."""
    key = key or keys.generate(keys.KeyType.EC_P256)
    subject = parse_subject(f"CN={name}")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if constraints:
        builder = builder.add_extension(constraints, critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signer = issuer.key if issuer else key
    return Issuer(builder.sign(signer, keys.signing_hash(signer)), key)


def leaf(issuer: Issuer, **options: object) -> x509.Certificate:
    """Make an end entity's certificate."""
    none = x509.BasicConstraints(ca=False, path_length=None)
    return issue("Drive 7", issuer, constraints=none, **options).certificate  # type: ignore[arg-type]  # each test gives what fits


def limited(length: int) -> x509.BasicConstraints:
    """Return a CA's constraints with a limit to the CAs below it."""
    return x509.BasicConstraints(ca=True, path_length=length)


ROOT = issue("Root")
MIDDLE = issue("Middle", ROOT)
LOW = issue("Low", MIDDLE)


def verify(
    certificate: x509.Certificate,
    intermediates: Sequence[Issuer] = (),
    anchors: Sequence[Issuer] = (ROOT,),
    now: datetime = NOW,
) -> list[str]:
    """Verify; return the names on the path."""
    path = verify_chain(
        certificate,
        [issuer.certificate for issuer in intermediates],
        [issuer.certificate for issuer in anchors],
        now,
    )
    assert path[0] == certificate
    names = [c.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for c in path]
    return [str(name) for name in names]


# Paths that lead to an anchor.


def test_issued_by_the_anchor() -> None:
    """The shortest path."""
    assert verify(leaf(ROOT)) == ["Drive 7", "Root"]


def test_intermediates_in_any_order() -> None:
    """They are found by who signed whom; one that is not needed does no harm."""
    stranger = issue("Stranger")
    certificate = leaf(LOW)
    for given_ in ([MIDDLE, LOW], [LOW, MIDDLE], [stranger, LOW, ROOT, MIDDLE, LOW]):
        assert verify(certificate, given_) == ["Drive 7", "Low", "Middle", "Root"]


def test_an_anchor_may_be_any_certificate() -> None:
    """An intermediate, or the very certificate, that is trusted by itself ends the path."""
    certificate = leaf(LOW)
    assert verify(certificate, [LOW], [MIDDLE]) == ["Drive 7", "Low", "Middle"]
    assert verify(certificate, [], [Issuer(certificate, ROOT.key)]) == ["Drive 7"]
    assert verify(ROOT.certificate) == ["Root"]


def test_names_are_compared_by_value() -> None:
    """Another string type, case and spaces make no other CA (RFC 5280 section 7.1)."""
    spelled = der.name((der.COMMON_NAME, der.PRINTABLE, b"DRIVE  7"))
    root = Issuer(x509.load_der_x509_certificate(der.certificate(CA_DER, subject=spelled)), der.KEY)
    renamed = issue("Drive 7", key=der.KEY)
    assert renamed.certificate.subject != root.certificate.subject
    certificate = issue("Drive 8", renamed, constraints=None).certificate
    assert verify(certificate, anchors=[root]) == ["Drive 8", "DRIVE  7"]
    forged = issue("Drive 8", issue("Drive 7"), constraints=None).certificate
    refused(
        "no trusted CA issued the certificate of CN=Drive 8 (its issuer is CN=Drive 7)",
        forged,
        anchors=[root],
    )


def test_another_spelling_hides_no_other_algorithm() -> None:
    """The algorithm beside the signature has to be the one that is signed (section 4.1.1.2)."""
    spelled = der.name((der.COMMON_NAME, der.PRINTABLE, b"DRIVE  7"))
    root = Issuer(x509.load_der_x509_certificate(der.certificate(CA_DER, subject=spelled)), der.KEY)
    good = specimens.make(issuer=der.DRIVE)
    assert verify(good, anchors=[root])[1] == "DRIVE  7"
    other = der.sequence(der.oid("1.2.840.10045.4.3.3"))
    signed = specimens.make(issuer=der.DRIVE, inner=other, outer=specimens.ECDSA)
    message = "no trusted CA issued the certificate of CN=Drive 7 (its issuer is CN=Drive 7)"
    refused(message, signed, anchors=[root])


def test_the_second_anchor() -> None:
    """Of several anchors of the same name the one whose key signed is taken: roll-over."""
    successor = issue("Root")
    assert verify(leaf(successor), anchors=[ROOT, successor]) == ["Drive 7", "Root"]
    assert verify(leaf(ROOT), anchors=[successor, ROOT]) == ["Drive 7", "Root"]


def test_rsa_and_ec() -> None:
    """Keys of different kinds sign each other."""
    root = issue("Root", key=rsa.generate_private_key(65537, 2048))
    middle = issue("Middle", root, key=ec.generate_private_key(ec.SECP384R1()))
    assert verify(leaf(middle), [middle], [root]) == ["Drive 7", "Middle", "Root"]


def test_path_lengths_that_suffice() -> None:
    """A CA with pathlen 0 issues end entities, one with pathlen 1 a CA that does."""
    root = issue("Root", constraints=limited(1))
    middle = issue("Middle", root, constraints=limited(0))
    assert verify(leaf(middle), [middle], [root]) == ["Drive 7", "Middle", "Root"]


def test_critical_extensions_that_are_understood() -> None:
    """What a certificate of this package marks critical is accepted."""
    extensions = [
        (usage(signs=False), True),
        (x509.SubjectAlternativeName([x509.DNSName("drive-7")]), True),
        (UNKNOWN, False),
    ]
    assert verify(leaf(ROOT, extensions=extensions)) == ["Drive 7", "Root"]


@pytest.mark.parametrize("at", [NOW - DAY, NOW, NOW + DAY])
def test_validity_includes_both_ends(at: datetime) -> None:
    """From notBefore through notAfter (RFC 5280 section 4.1.2.5)."""
    assert verify(leaf(ROOT), now=at) == ["Drive 7", "Root"]


# Paths that do not.


def refused(
    message: str,
    certificate: x509.Certificate,
    intermediates: Sequence[Issuer] = (),
    anchors: Sequence[Issuer] = (ROOT,),
    now: datetime = NOW,
) -> Untrusted:
    """Check that the path is refused for this."""
    with pytest.raises(Untrusted) as raised:
        verify(certificate, intermediates, anchors, now)
    assert raised.value.message == message
    return raised.value


def test_nobody_issued_it() -> None:
    """No anchor, the wrong one, a missing intermediate: who is missing is named."""
    unknown = "no trusted CA issued the certificate of CN=Drive 7 (its issuer is CN=Root)"
    refused(unknown, leaf(ROOT), anchors=[])
    refused(unknown, leaf(ROOT), anchors=[MIDDLE])
    refused(
        "no trusted CA issued the certificate of CN=Low (its issuer is CN=Middle)",
        leaf(LOW),
        [LOW],
    )


def test_a_lookalike_anchor() -> None:
    """The anchor's name and key identifier with another key sign nothing."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(ROOT.certificate.public_key())
    lookalike = issue("Root", extensions=[(identifier, False)])
    message = "no trusted CA issued the certificate of CN=Drive 7 (its issuer is CN=Root)"
    refused(message, leaf(lookalike))
    # The look-alike itself, sent along, is not trusted either, and no path goes in circles.
    message = "no trusted CA issued the certificate of CN=Root (its issuer is CN=Root)"
    refused(message, leaf(lookalike), [lookalike])


def test_a_self_signed_leaf() -> None:
    """Who vouches for itself is not vouched for."""
    message = "no trusted CA issued the certificate of CN=Drive 7 (its issuer is CN=Drive 7)"
    refused(message, issue("Drive 7").certificate)


def test_a_leaf_signs_nothing() -> None:
    """A device's certificate does not make certificates for others: the classic forgery."""
    none = x509.BasicConstraints(ca=False, path_length=None)
    device = issue("Drive 6", ROOT, constraints=none)
    refused("CN=Drive 6 is not a CA", leaf(device), [device])
    without = issue("Drive 6", ROOT, constraints=None)
    refused("CN=Drive 6 is not a CA", leaf(without), [without])


def test_a_ca_that_may_not_sign() -> None:
    """Where key usage is present it has to hold keyCertSign."""
    middle = issue("Middle", ROOT, extensions=[(usage(signs=False), True)])
    refused("CN=Middle may not sign certificates", leaf(middle), [middle])
    allowed = issue("Middle", ROOT, extensions=[(usage(signs=True), True)])
    assert verify(leaf(allowed), [allowed]) == ["Drive 7", "Middle", "Root"]


@pytest.mark.parametrize("length", [0, 1])
def test_path_lengths_that_do_not_suffice(length: int) -> None:
    """More CAs below one than it may have."""
    root = issue("Root", constraints=limited(length))
    middle = issue("Middle", root)
    low = issue("Low", middle)
    path = [middle, low] if length else [middle]
    name = "Low" if length else "Middle"
    message = f"CN={name} stands below a CA that may have none below it"
    refused(message, leaf(path[-1]), path, [root])


def test_time() -> None:
    """Every certificate of the path has to be valid, and the clock may be the culprit."""
    early = refused(
        "the certificate of CN=Drive 7 is valid only from 2026-11-22T05:00:00Z",
        leaf(ROOT),
        now=NOW - DAY - timedelta(seconds=1),
    )
    assert early.hint == "check this machine's clock with: date -u"
    refused(
        "the certificate of CN=Drive 7 expired at 2026-11-24T05:00:00Z",
        leaf(ROOT),
        now=NOW + DAY + timedelta(seconds=1),
    )
    middle = issue("Middle", ROOT, end=NOW - timedelta(seconds=1))
    refused("the certificate of CN=Middle expired at 2026-11-23T04:59:59Z", leaf(middle), [middle])
    root = issue("Root", end=NOW - timedelta(seconds=1))
    refused("the certificate of CN=Root expired at 2026-11-23T04:59:59Z", leaf(root), [], [root])


def test_critical_extensions_that_are_not_understood() -> None:
    """In the leaf, in an intermediate and in the anchor."""
    oid = NameOID.SURNAME.dotted_string
    message = f"has the critical extension {oid}, which is not understood"
    refused(f"CN=Drive 7 {message}", leaf(ROOT, extensions=[(UNKNOWN, True)]))
    middle = issue("Middle", ROOT, extensions=[(UNKNOWN, True)])
    refused(f"CN=Middle {message}", leaf(middle), [middle])
    refused(f"CN=Middle {message}", leaf(middle), [], [middle])


@pytest.mark.parametrize("critical", [True, False])
def test_name_constraints(critical: bool) -> None:
    """They bind what is below, critical or not; what keeps to them is accepted."""
    middle = issue("Middle", ROOT, extensions=[(CONSTRAINTS, critical)])
    for host, permitted in (("drive-7.plant.local", True), ("drive-7.office.local", False)):
        certificate = leaf(
            middle, extensions=[(x509.SubjectAlternativeName([x509.DNSName(host)]), False)]
        )
        if permitted:
            assert verify(certificate, [middle]) == ["Drive 7", "Middle", "Root"]
        else:
            message = "the certificate has a name beyond those that its CA may give"
            refused(message, certificate, [middle])


def test_a_path_without_end() -> None:
    """Eight CAs are enough, for whoever sends hundreds."""
    chain = [ROOT]
    for number in range(8):
        chain.append(issue(f"CA {number}", chain[-1]))
    assert len(verify(leaf(chain[-2]), chain[1:-1])) == 9
    refused("the path has more than 8 CAs", leaf(chain[-1]), chain[1:])


def test_two_cas_that_sign_each_other() -> None:
    """A circle is not followed for ever."""
    one = issue("One")
    other = issue("Other", one)
    crossed = issue("One", other, key=one.key)
    with pytest.raises(Untrusted):
        verify(leaf(crossed), [other, crossed, one])


def test_a_tampered_signature() -> None:
    """One bit in the signed part, or in the signature."""
    whole = leaf(ROOT).public_bytes(Encoding.DER)
    for place in (whole.index(b"Drive 7"), len(whole) - 1):
        bits = bytearray(whole)
        bits[place] ^= 1
        with pytest.raises(Untrusted):
            verify(x509.load_der_x509_certificate(bytes(bits)))


def _cut_off(issuer: Issuer) -> x509.Certificate:
    """Return the certificate with one bit of its signature said not to be used."""
    whole = bytearray(issuer.certificate.public_bytes(Encoding.DER))
    whole[-len(issuer.certificate.signature) - 1] = 1
    return x509.load_der_x509_certificate(bytes(whole))


def test_a_signature_with_unused_bits() -> None:
    """How many there are is not signed: of two certificates that differ only there one counts."""
    message = "the certificate of CN=Drive 7 proves nothing: its signature ends within an octet"
    refused(message, _cut_off(_even("Drive 7")))
    middle = _even("Middle")
    assert verify(leaf(middle), [middle]) == ["Drive 7", "Middle", "Root"]
    message = "no trusted CA issued the certificate of CN=Drive 7 (its issuer is CN=Middle)"
    refused(message, leaf(middle), [Issuer(_cut_off(middle), middle.key)])


def _even(name: str) -> Issuer:
    """Return a CA below the root whose signature ends with a bit that may go unused."""
    while True:
        made = issue(name, ROOT)
        if not made.certificate.signature[-1] & 1:
            return made


X400 = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0xA3, b"\x30\x00")))
TWICE = der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")


@pytest.mark.parametrize(
    "odd",
    [
        der.certificate(X400),
        der.certificate(TWICE, TWICE),
        der.certificate(der.extension(der.BASIC_CONSTRAINTS, b"\xff")),
        der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff"))),
    ],
    ids=["x400", "twice", "constraints", "name"],
)
def test_what_cannot_be_read_is_not_trusted(odd: bytes) -> None:
    """As leaf, as anchor, as issuer: Untrusted, never another exception."""
    certificate = x509.load_der_x509_certificate(odd)
    with pytest.raises(Untrusted):
        verify_chain(certificate, [], [ROOT.certificate], NOW)
    with pytest.raises(Untrusted):
        verify_chain(certificate, [], [certificate], NOW)
    with pytest.raises(Untrusted):
        verify_chain(leaf(LOW), [certificate], [certificate], NOW)


WHOLE = leaf(LOW).public_bytes(Encoding.DER)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), min_size=1))
def test_any_damage_is_untrusted(changes: list[tuple[int, int]]) -> None:
    """However a good certificate is changed, it is Untrusted, or no certificate at all."""
    damaged = bytearray(WHOLE)
    for place, bits in changes:
        damaged[place] ^= bits
    if damaged == WHOLE:
        return
    try:
        certificate = x509.load_der_x509_certificate(bytes(damaged))
    except (ValueError, x509.InvalidVersion):
        return
    with pytest.raises(Untrusted):
        verify_chain(certificate, [MIDDLE.certificate, LOW.certificate], [ROOT.certificate], NOW)


# The two questions below.


def test_directly_issued() -> None:
    """Name and signature, both."""
    assert directly_issued(MIDDLE.certificate, ROOT.certificate)
    assert directly_issued(ROOT.certificate, ROOT.certificate)
    assert not directly_issued(ROOT.certificate, MIDDLE.certificate)
    renamed = issue("Another root", key=ROOT.key)
    assert not directly_issued(MIDDLE.certificate, renamed.certificate)
    same_name = issue("Root")
    assert not directly_issued(MIDDLE.certificate, same_name.certificate)


@pytest.mark.parametrize(
    ("last", "algorithm", "good"),
    [
        (b"\x0b", hashes.SHA256(), True),
        (b"\x05", hashes.SHA1(), False),
        (b"\x04", hashes.MD5(), False),
    ],
)
def test_signatures_over_weak_hashes_vouch_for_nothing(
    last: bytes, algorithm: hashes.HashAlgorithm, good: bool
) -> None:
    """MD5 and SHA-1, with which a second certificate for a signature was made, are not taken."""
    key = rsa.generate_private_key(65537, 2048)
    root = issue("Root", key=key)
    device = issue("Drive 7", Issuer(root.certificate, key)).certificate
    rsa_with = bytes.fromhex("2a864886f70d0101")
    signed = device.tbs_certificate_bytes.replace(rsa_with + b"\x0b", rsa_with + last)
    name = der.sequence(b"\x06\x09" + rsa_with + last, b"\x05\x00")
    signature = key.sign(signed, padding.PKCS1v15(), algorithm)
    made = der.sequence(signed, name, der.tlv(0x03, b"\0", signature))
    assert directly_issued(x509.load_der_x509_certificate(made), root.certificate) is good


def test_self_issued() -> None:
    """By name only, as RFC 5280 has it, and by its value."""
    assert is_self_issued(ROOT.certificate)
    assert is_self_issued(issue("ROOT", ROOT).certificate)
    assert not is_self_issued(MIDDLE.certificate)


@pytest.mark.parametrize("name", ["Root", "ROOT"])
def test_a_next_key_is_no_ca_below(name: str) -> None:
    """A CA's certificate for its own next key counts in no length, however it spells its name."""
    root = issue("Root", constraints=limited(0))
    successor = issue(name, root)
    assert verify(leaf(successor), [successor], [root]) == ["Drive 7", name, "Root"]
