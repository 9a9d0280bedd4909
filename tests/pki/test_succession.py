"""Roots that follow from trusted ones, and every way of forging the link to one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec import times
from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca.rollover import successor
from cipsec.pki import csr, keys
from cipsec.pki.chain import verify_chain
from cipsec.pki.names import parse_subject
from cipsec.pki.succession import follow, link_to
from tests.support import upper, vendor
from tests.support.vendor import Party

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)
P256 = keys.KeyType.EC_P256
Pair = tuple[x509.Certificate, keys.PrivateKey]


def root(name: str = "CN=Line 4", *, made: datetime = NOW - 100 * DAY, days: int = 900) -> Pair:
    """Return a root."""
    key = keys.generate(P256)
    return self_signed(parse_subject(name), key, now=made, validity=days * DAY), key


def follows(
    old: Pair, *, made: datetime = NOW, days: int = 7300
) -> tuple[Pair, list[x509.Certificate]]:
    """Return the next root of a CA, and the links."""
    key = keys.generate(P256)
    next_ = successor(Authority(*old), old[1], key, now=made, end=made + days * DAY)
    return (next_.certificate, key), [next_.new_with_old, next_.old_with_new]


OLD = root()
NEW, LINKS = follows(OLD)
LINK, BACK = LINKS


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_followed(order: list[int]) -> None:
    """The new root comes in by its link, in whatever order the certificates come."""
    every = [OLD[0], NEW[0], LINK, BACK]
    found = follow([OLD[0]], [every[n] for n in order], NOW)
    assert found.adopted == (NEW[0],)
    assert found.refused == ()


def test_the_other_way_round() -> None:
    """Who trusts the new root takes up the old one by OldWithNew."""
    assert follow([NEW[0]], [OLD[0], NEW[0], *LINKS], NOW).adopted == (OLD[0],)


def test_nothing_new() -> None:
    """Roots that are trusted, and links by themselves, bring nothing."""
    found = follow([OLD[0], NEW[0]], [OLD[0], NEW[0], *LINKS], NOW)
    assert (found.adopted, found.refused) == ((), ())
    assert follow([OLD[0]], LINKS, NOW).adopted == ()


def test_several_in_a_row() -> None:
    """Who slept through a roll-over follows two links at once; one that is missing ends it."""
    third, links = follows(NEW, made=NOW + DAY, days=7301)
    offered = [third[0], *links, NEW[0], *LINKS]
    now = NOW + 2 * DAY
    assert follow([OLD[0]], offered, now).adopted == (NEW[0], third[0])
    found = follow([OLD[0]], [c for c in offered if c != LINK], now)
    assert found.adopted == ()
    assert {one.root for one in found.refused} == {NEW[0], third[0]}


def forged(
    signer: keys.PrivateKey,
    *,
    subject: str = "CN=Line 4",
    issuer: str = "CN=Line 4",
    key: PublicKeyTypes | None = None,
    ca: bool | None = True,
    signs: bool = True,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    critical: bool = False,
) -> x509.Certificate:
    """Return a link with something wrong about it."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(parse_subject(subject))
        .issuer_name(parse_subject(issuer))
        .public_key(keys.served(key or NEW[0].public_key()))
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        )
    usage = x509.KeyUsage(False, False, False, False, False, signs, True, False, False)
    builder = builder.add_extension(usage, critical=True)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return builder.sign(signer, hashes.SHA256())


ATTACKER = keys.generate(P256)


def test_the_forger_can_do_it_right() -> None:
    """With the old key, and nothing wrong, the link is good: what follows tests what it says."""
    assert follow([OLD[0]], [NEW[0], forged(OLD[1])], NOW).adopted == (NEW[0],)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (forged(ATTACKER), "no trusted CA issued"),
        (forged(NEW[1]), "no trusted CA issued"),
        (forged(OLD[1], subject="CN=Line 5"), "another name"),
        (forged(OLD[1], issuer="CN=Line 5"), "another name"),
        (forged(OLD[1], subject="CN=LINE 4"), "another name"),
        (forged(OLD[1], key=ATTACKER.public_key()), "no certificate joins it"),
        (forged(OLD[1], ca=False), "is not a CA"),
        (forged(OLD[1], ca=None), "is not a CA"),
        (forged(OLD[1], signs=False), "may not sign"),
        (forged(OLD[1], end=NOW - timedelta(seconds=1)), "expired"),
        (forged(OLD[1], begin=NOW + timedelta(seconds=1)), "valid only from"),
        (forged(OLD[1], critical=True), "not understood"),
        (BACK, "no certificate joins it"),
    ],
)
def test_forged_links(link: x509.Certificate, reason: str) -> None:
    """Each brings no anchor, and the reason is said."""
    found = follow([OLD[0]], [OLD[0], NEW[0], link], NOW)
    assert found.adopted == ()
    assert found.refused[0].root == NEW[0]
    assert reason in found.refused[0].reason
    assert link_to(NEW[0], [link], [OLD[0]], NOW) is None


def test_a_weak_signature() -> None:
    """A link signed with SHA-1 could be anybody's."""
    key = keys.generate(keys.KeyType.RSA_2048)
    name = parse_subject("CN=Line 4")
    old = self_signed(name, key, now=NOW - DAY, validity=900 * DAY), key
    new, (link, _) = follows(old)
    assert follow([old[0]], [new[0], link], NOW).adopted == (new[0],)
    weak = vendor.weakly_signed(Party(link, new[1]), Party(*old)).certificate
    found = follow([old[0]], [new[0], weak], NOW)
    assert found.adopted == ()
    assert "SHA1" in found.refused[0].reason


def test_paths_by_a_link() -> None:
    """A self-issued CA does not count against pathlen 0 (RFC 5280 section 6.1.4 (l))."""
    request = csr.build(keys.generate(P256), parse_subject("CN=Drive 7"))
    asked = csr.parse(request.public_bytes(Encoding.DER))
    issued = Authority(*NEW).issue(asked, profile.endpoint(30 * DAY, DAY), now=NOW)
    leaf = x509.load_der_x509_certificate(issued.der)
    for known in ([LINK], [LINK, BACK], [BACK, LINK]):
        assert verify_chain(leaf, known, [OLD[0]], NOW) == [leaf, LINK, OLD[0]]
        assert verify_chain(leaf, known, [NEW[0]], NOW) == [leaf, NEW[0]]


def test_one_good_link_among_forged_ones() -> None:
    """An attacker cannot keep endpoints from the next root by adding rubbish."""
    bad = [forged(ATTACKER), forged(OLD[1], ca=False)]
    assert follow([OLD[0]], [*bad, LINK, NEW[0]], NOW).adopted == (NEW[0],)


def test_the_root_itself_has_to_be_good() -> None:
    """A self-signed certificate of the linked key that is no CA's, or is over, is no root."""
    for own in (
        forged(NEW[1], ca=False),
        forged(NEW[1], signs=False),
        forged(NEW[1], end=NOW - timedelta(seconds=1)),
    ):
        found = follow([OLD[0]], [own, LINK], NOW)
        assert found.adopted == ()
        assert [one.root for one in found.refused] == [own]


def test_a_root_that_has_ended_vouches_for_nobody() -> None:
    """The old root's word counts until its end, whatever its clockless holder kept."""
    end = OLD[0].not_valid_after_utc
    offered = [NEW[0], forged(OLD[1], end=end + 10 * DAY)]
    assert follow([OLD[0]], offered, end - DAY).adopted == (NEW[0],)
    found = follow([OLD[0]], offered, end + DAY)
    assert found.adopted == ()
    assert "expired" in found.refused[0].reason


def test_another_ca_with_the_same_name() -> None:
    """Names prove nothing: anybody may call a root of his `Line 4`, and link it to himself."""
    impostor = root()
    next_, links = follows(impostor)
    found = follow([OLD[0]], [impostor[0], next_[0], *links], NOW)
    assert found.adopted == ()
    assert {one.root for one in found.refused} == {impostor[0], next_[0]}


def test_an_issuing_ca_is_trusted() -> None:
    """The root above it comes in with it, as before; another one does not."""
    above, other = vendor.ca("Plant root"), vendor.ca("Plant root")
    issuing = vendor.ca("Line 4", above)
    found = follow([issuing.certificate], [above.certificate, other.certificate], NOW)
    assert found.adopted == (above.certificate,)
    assert [one.root for one in found.refused] == [other.certificate]


def _with_exponent(exponent: int) -> rsa.RSAPrivateKey:
    """Return an RSA key whose public exponent is of somebody's choice."""
    made = upper.rsa_key().private_numbers()
    p, q = made.p, made.q
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    parts = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


@pytest.mark.parametrize("exponent", [65537, (1 << 521) - 1])
def test_a_root_above_with_a_key_made_to_fit(exponent: int) -> None:
    """A signature that is there is no proof of a key that was made for it (Menezes, Smart 2004)."""
    above = upper.root(key=_with_exponent(exponent))
    issuing = above.below("CN=Line 4")
    found = follow([issuing.certificate], [above.certificate], times.now())
    assert len(found.adopted) == (exponent == 65537)
    assert all("proves nothing" in refused.reason for refused in found.refused)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bytes(flips: list[tuple[int, int]]) -> None:
    """No change of a link leads to a new anchor, nor anywhere but to a reason."""
    der = bytearray(LINK.public_bytes(Encoding.DER))
    for position, value in flips:
        der[position % len(der)] ^= value
    if bytes(der) == LINK.public_bytes(Encoding.DER):
        return
    try:
        link = x509.load_der_x509_certificate(bytes(der))
    except (ValueError, x509.InvalidVersion):
        return
    assert follow([OLD[0]], [NEW[0], link], NOW).adopted == ()
