"""The next root and the links to it: as RFC 4210 section 4.4 says, and as openssl verifies them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca.rollover import Successor, made_at, successor
from cipsec.errors import LocalState, UsageError
from cipsec.pki import keys, names
from tests.support import programs, vendor

NOW = times.now().replace(microsecond=0)
OLD_LIFE, LIFE = timedelta(days=900), timedelta(days=7300)
SUBJECT = names.parse_subject("CN=Line 4,OU=Halle 2,O=Werk Süd")


def old_root(kind: keys.KeyType) -> tuple[x509.Certificate, keys.PrivateKey]:
    """Return a root of a year ago."""
    key = keys.generate(kind)
    made = NOW - timedelta(days=365)
    return self_signed(SUBJECT, key, now=made, validity=OLD_LIFE), key


def follow(
    old: tuple[x509.Certificate, keys.PrivateKey], kind: keys.KeyType, life: timedelta = LIFE
) -> Successor:
    """Return the next root of `old`."""
    key = keys.generate(kind)
    return successor(Authority(*old), old[1], key, now=NOW, end=NOW + life)


@pytest.mark.parametrize(
    ("before", "after"),
    [("ec-p256", "ec-p256"), ("rsa-2048", "ec-p384"), ("ec-p384", "rsa-2048")],
)
def test_openssl_verifies_the_links(before: str, after: str, tmp_path: Path) -> None:
    """Each under the one root and not under the other, strictly, whatever the kinds of keys."""
    programs.need("openssl")
    old = old_root(keys.KeyType(before))
    made = follow(old, keys.KeyType(after))
    certificates = {
        "old": old[0],
        "new": made.certificate,
        "new-with-old": made.new_with_old,
        "old-with-new": made.old_with_new,
    }
    for name, one in certificates.items():
        (tmp_path / name).write_bytes(one.public_bytes(Encoding.PEM))
    for anchor, link, good in (
        ("old", "new-with-old", True),
        ("new", "old-with-new", True),
        ("new", "new-with-old", False),
        ("old", "old-with-new", False),
    ):
        files = (tmp_path / anchor, tmp_path / link)
        done = programs.run("openssl", "verify", "-x509_strict", "-CAfile", *files)
        assert (done.returncode == 0) is good, (anchor, link)


def test_what_the_links_say(tmp_path: Path) -> None:
    """Name, key and limits are the root's; the time is that of RFC 4210 section 4.4."""
    old = old_root(keys.KeyType.EC_P256)
    made = follow(old, keys.KeyType.EC_P384)
    new = made.certificate
    assert new.subject == new.issuer == old[0].subject
    assert made_at(new) == NOW
    for link, root, issuer in (
        (made.new_with_old, new, old[0]),
        (made.old_with_new, old[0], new),
    ):
        assert keys.spki(link.public_key()) == keys.spki(root.public_key())
        assert (
            link.subject.public_bytes() == link.issuer.public_bytes() == root.subject.public_bytes()
        )
        link.verify_directly_issued_by(issuer)
        for kind in (x509.BasicConstraints, x509.KeyUsage, x509.SubjectKeyIdentifier):
            found = link.extensions.get_extension_for_class(kind)
            assert found == root.extensions.get_extension_for_class(kind)
        pointer = link.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert pointer.key_identifier == own.digest
    assert made.new_with_old.not_valid_before_utc == new.not_valid_before_utc
    assert made.new_with_old.not_valid_after_utc == old[0].not_valid_after_utc
    assert made.old_with_new.not_valid_before_utc == old[0].not_valid_before_utc
    assert made.old_with_new.not_valid_after_utc == old[0].not_valid_after_utc
    every = [old[0], new, made.new_with_old, made.old_with_new]
    assert len({one.serial_number for one in every}) == 4


def test_it_has_to_last_longer() -> None:
    """RFC 7030 section 4.1.3 knows the newest root by its end."""
    old = old_root(keys.KeyType.EC_P256)
    left = old[0].not_valid_after_utc - NOW
    for life in (left, left - timedelta(days=1)):
        with pytest.raises(UsageError, match="beyond"):
            follow(old, keys.KeyType.EC_P256, life)
    follow(old, keys.KeyType.EC_P256, left + timedelta(seconds=1))


def test_a_root_that_has_ended() -> None:
    """Nobody would follow its signature."""
    key = keys.generate(keys.KeyType.EC_P256)
    ended = self_signed(SUBJECT, key, now=NOW - timedelta(days=9), validity=timedelta(days=8))
    with pytest.raises(LocalState, match="expired"):
        follow((ended, key), keys.KeyType.EC_P256)


def test_an_intermediate() -> None:
    """Its next key is certified by the CA above it, and that is said."""
    root = vendor.ca("Plant root")
    below = vendor.ca("Line 4", root)
    with pytest.raises(UsageError, match="not a root") as caught:
        follow((below.certificate, below.key), keys.KeyType.EC_P256)
    assert "ca rollover" in (caught.value.hint or "")
