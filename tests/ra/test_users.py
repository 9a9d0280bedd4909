"""Users: how passwords are hashed and made, what names there can be, and what limits say."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest

from cipsec.errors import UsageError
from cipsec.ra import users
from cipsec.ra.users import check_name, hash_password, verify_password
from cipsec.store.users import UserRow

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
ANNA = UserRow("anna", "a hash", 0, 0)


# Hashing.


def test_hashes_are_argon2id() -> None:
    """19 MiB, two passes, one lane (OWASP), 16 bytes of salt, 32 of hash, in PHC format."""
    hashed = hash_password("correct horse")
    kind, version, parameters, salt, tag = hashed.split("$")[1:]
    assert (kind, version, parameters) == ("argon2id", "v=19", "m=19456,t=2,p=1")
    assert (len(salt), len(tag)) == (22, 43)
    assert hash_password("correct horse") != hashed
    assert verify_password("correct horse", hashed)
    assert not verify_password("correct horsf", hashed)
    assert not verify_password("", hashed)


@pytest.mark.parametrize("password", ["12345678", "Pässwort", "😀😀", "a\0b c\n d", "x" * 1024])
def test_passwords(password: str) -> None:
    """Any text of eight to 1,024 bytes is a password, and all of it counts."""
    hashed = hash_password(password)
    assert verify_password(password, hashed)
    assert not verify_password(password[:-1], hashed)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "ä" * 513])
def test_weak_and_endless_passwords_are_refused(password: str) -> None:
    """Shorter is guessed, longer is work for nothing."""
    with pytest.raises(UsageError, match="a password has 8 to 1024 bytes") as raised:
        hash_password(password)
    assert password not in str(raised.value) or not password


@pytest.mark.parametrize("hashed", ["", "correct horse", "$argon2id$v=19$m=19456,t=2,p=1$AA$AA"])
def test_a_damaged_hash_opens_nothing(hashed: str) -> None:
    """What is no hash is matched by no password."""
    assert not verify_password("correct horse", hashed)


def test_generated_passwords() -> None:
    """A hundred bits, no two alike, of letters that are told apart on paper and typed unshifted."""
    made = {users.generate_password() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[a-km-np-z2-9]{5}(-[a-km-np-z2-9]{5}){3}", one) for one in made)
    assert len(set("".join(made))) == 33


# Names.


@pytest.mark.parametrize("name", ["a", "anna", "Anna.B-7_x+y@plant", "7", "Ünal", "x" * 64])
def test_names(name: str) -> None:
    """Letters, digits and a few signs, beginning with a letter or digit."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:b", "-a", "_a", ".a", "a\n", "a\0", "a/b", "x" * 65, "a\u202eb"]
)
def test_names_that_are_none(name: str) -> None:
    """Nothing that HTTP Basic, a table or a terminal could read otherwise."""
    with pytest.raises(UsageError, match="is not a user name"):
        check_name(name)


# Limits.


def test_what_a_password_proves() -> None:
    """Who, for how many enrollments, and under what they are counted: another password is new."""
    proof = users.proof(dataclasses.replace(ANNA, uses=3))
    assert (proof.name, proof.uses) == ("anna", 3)
    assert re.fullmatch(r"user:anna:[0-9a-f]{16}", proof.key)
    assert users.proof(ANNA).key == proof.key
    assert users.proof(dataclasses.replace(ANNA, password="another")).key != proof.key
    assert "a hash" not in repr(proof) + repr(ANNA)


def test_no_limits() -> None:
    """Without any the password is good at every label, and always."""
    for label in ("", "line-3"):
        assert users.objection(ANNA, label, NOW + timedelta(days=36500)) is None


@pytest.mark.parametrize(
    ("seconds", "objection"),
    [(-3600, None), (-1, None), (0, None), (1, "ended"), (1e9, "ended")],
)
def test_the_end(seconds: float, objection: str | None) -> None:
    """Good to its last second, not beyond, and good again where the clock was set back."""
    row = dataclasses.replace(ANNA, until=int(NOW.timestamp()))
    said = users.objection(row, "", NOW + timedelta(seconds=seconds))
    assert said == (objection and "the password of anna ended at 2026-11-23T05:00:00Z")


@pytest.mark.parametrize(
    ("labels", "label", "objection"),
    [
        ('["line-3"]', "line-3", None),
        ('["line-3", "line-4"]', "line-4", None),
        ('["line-3"]', "line-4", "the password of anna is not for the label line-4"),
        ('["line-3"]', "", "the password of anna is not for the path without a label"),
        ('["", "line-3"]', "", None),
        ("[]", "", "the password of anna is not for the path without a label"),
        ("not JSON", "line-3", "the password of anna is not for the label line-3"),
        ('"line-3"', "line-3", "the password of anna is not for the label line-3"),
        ("[7]", "7", "the password of anna is not for the label 7"),
        ("null", "7", "the password of anna is not for the label 7"),
    ],
)
def test_labels(labels: str, label: str, objection: str | None) -> None:
    """Only those on the list; a list that is damaged allows none."""
    assert users.objection(dataclasses.replace(ANNA, labels=labels), label, NOW) == objection


def test_labels_as_text() -> None:
    """Each once, in order; no limit is no list."""
    assert users.labels_text(None) is None
    text = users.labels_text(("line-4", "", "line-3", "line-4"))
    assert users.labels(dataclasses.replace(ANNA, labels=text)) == ("", "line-3", "line-4")


def test_status() -> None:
    """What a list of users says."""
    row = dataclasses.replace(ANNA, uses=2, until=int(NOW.timestamp()) + 60)
    assert users.status(row, NOW, used=1) == "valid"
    assert users.status(row, NOW, used=2) == "used up"
    assert users.status(row, NOW + timedelta(minutes=2), used=2) == "ended"
    assert users.status(ANNA, NOW, used=10_000) == "valid"
