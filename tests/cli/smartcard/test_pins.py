"""`cipsec smartcard change-pin|unblock|reset`: one try each, and no secret on any stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.card import cards
from tests.cli.conftest import Cipsec
from tests.support.pivcard import PIN, PUK, PivCard

from .conftest import Secret


def test_change_pin(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """Both from files; neither is shown."""
    ran = cipsec(
        *("smartcard", "change-pin", "--pin-file", secret("123456")),
        *("--new-file", secret("81726354"), "--json"),
    )
    assert ran.code == 0
    assert ran.json["cards"][0]["tries_left"] == card.manners.tries
    assert ran.err.endswith("cipsec: the PIN is changed\n")
    assert "81726354" not in ran.out + ran.err
    assert card.secrets[PIN].value == b"81726354"


def test_change_puk(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """The same for the PUK, by an option."""
    ran = cipsec(
        *("smartcard", "change-pin", "--puk", "--puk-file", secret("12345678")),
        *("--new-file", secret("81726354")),
    )
    assert (ran.code, ran.out) == (0, "")
    assert card.secrets[PUK].value == b"81726354"


def test_a_wrong_pin(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """One try, and how many are left; the next time that is said before."""
    argv = [
        "smartcard",
        "change-pin",
        "--pin-file",
        secret("654321"),
        "--new-file",
        secret("818181"),
    ]
    left = card.manners.tries - 1
    ran = cipsec(*argv)
    assert (ran.code, ran.out) == (7, "")
    assert f"cipsec: error: the PIN is wrong; {left} tries are left\n" in ran.err
    assert card.secrets[PIN].tries == left
    assert f"cipsec: the PIN has {left} tries left\n" in cipsec(*argv).err
    assert "654321" not in ran.err


def test_the_last_try(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """It is kept unless forced; then a wrong one blocks, and that is not tried again."""
    card.block(left=1)
    argv = [
        "smartcard",
        "change-pin",
        "--pin-file",
        secret("654321"),
        "--new-file",
        secret("818181"),
    ]
    ran = cipsec(*argv)
    assert ran.code == 7
    assert ran.err == (
        "cipsec: error: one try of the PIN is left: a wrong one would block it\n"
        "cipsec: hint: add --force when you are sure\n"
    )
    assert card.secrets[PIN].tries == 1
    ran = cipsec(*argv, "--force", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (7, "pin_blocked")
    before = len(card.log)
    ran = cipsec(*argv, "--force")
    assert ran.code == 7
    assert "cipsec: hint: cipsec smartcard unblock\n" in ran.err
    assert not [apdu for apdu in card.log[before:] if apdu[1] in (0x20, 0x24) and len(apdu) > 6]


def test_unblock(cipsec: Cipsec, card: PivCard, secret: Secret) -> None:
    """A blocked PIN gets a successor by the PUK."""
    card.block()
    argv = ["smartcard", "unblock", "--new-file", secret("81726354"), "--puk-file"]
    ran = cipsec(*argv, secret("87654321"))
    assert ran.code == 7
    assert f"the PUK is wrong; {card.manners.tries - 1} tries are left" in ran.err
    ran = cipsec(*argv, secret("12345678"))
    assert (ran.code, ran.out, ran.err) == (0, "", "cipsec: the card has the new PIN\n")
    assert card.secrets[PIN].value == b"81726354"


def test_tries_of_the_puk(cipsec: Cipsec, extended: PivCard, secret: Secret) -> None:
    """Where a card tells them, the last one is kept too."""
    extended.block(PUK, left=2)
    argv = ["smartcard", "unblock", "--new-file", secret("81726354"), "--puk-file"]
    ran = cipsec(*argv, secret("87654321"))
    assert ran.err.startswith("cipsec: the PUK has 2 tries left\n")
    assert "one try of the PUK is left" in cipsec(*argv, secret("87654321")).err
    assert extended.secrets[PUK].tries == 1


@pytest.mark.parametrize("new", ["1234", "123456789", "abcdef", "١٢٣٤٥٦", "123456", "", "12 456"])
def test_new_pins_that_are_none(cipsec: Cipsec, card: PivCard, secret: Secret, new: str) -> None:
    """Exit 2, the old PIN not tried, and neither shown."""
    ran = cipsec(
        *("smartcard", "change-pin", "--pin-file", secret("123456"), "--new-file", secret(new))
    )
    assert (ran.code, ran.out) == (2, "")
    assert not new.strip() or new not in ran.err
    assert card.secrets[PIN].value == b"123456\xff\xff"


@pytest.mark.parametrize(
    "argv",
    [
        ["change-pin", "--puk", "--management-key", "-o", "x"],
        ["change-pin", "--management-key"],
        ["change-pin", "--management-key", "-o", "-"],
        ["change-pin", "-o", "x"],
        ["change-pin"],
        ["change-pin", "--puk"],
        ["unblock"],
        ["reset"],
        ["change-pin", "--pin", "123456"],
    ],
)
def test_wrong_usage(
    cipsec: Cipsec,
    extended: PivCard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
) -> None:
    """Exit 2, and the card is as before."""
    monkeypatch.chdir(tmp_path)
    ran = cipsec("smartcard", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert {each.tries for each in extended.secrets.values()} == {3}
    assert list(tmp_path.iterdir()) == []


def test_change_the_management_key(cipsec: Cipsec, extended: PivCard, tmp_path: Path) -> None:
    """A new one at random, in a private file that opens the card afterwards."""
    target = tmp_path / "management.key"
    argv = ["smartcard", "change-pin", "--management-key", "-o"]
    ran = cipsec(*argv, target)
    assert (ran.code, ran.out) == (0, "")
    assert target.stat().st_mode & 0o777 == 0o600
    digits = target.read_text().strip()
    assert extended.management.key.hex() == digits
    assert digits not in ran.err
    ran = cipsec(*argv, tmp_path / "next")
    assert (ran.code, ran.err.splitlines()[-1]) == (
        7,
        "cipsec: hint: add --management-key-file FILE",
    )
    assert not (tmp_path / "next").exists()
    assert cipsec(*argv, tmp_path / "next", "--management-key-file", target).code == 0
    assert cipsec(*argv, target, "--management-key-file", tmp_path / "next").code == 6


def test_a_plain_card_keeps_its_management_key(
    cipsec: Cipsec, card: PivCard, tmp_path: Path
) -> None:
    """It cannot change it, and no file is left that says otherwise."""
    ran = cipsec("smartcard", "change-pin", "--management-key", "-o", tmp_path / "key")
    assert ran.code == 7
    assert ran.err.endswith("cipsec: hint: use its maker's program\n")
    assert not (tmp_path / "key").exists()


def test_reset(cipsec: Cipsec, extended: PivCard) -> None:
    """Everything goes; the PIN is that of a new card, which is warned of at the next look."""
    cards.provision(extended)
    assert cipsec("smartcard", "reset").code == 2
    assert extended.keys
    ran = cipsec("smartcard", "reset", "-y", "--json")
    assert ran.code == 0
    assert ran.json["cards"][0]["problem"] == "no certificate"
    assert not extended.keys
    assert extended.secrets[PIN].value == b"123456\xff\xff"


def test_reset_a_plain_card(cipsec: Cipsec, card: PivCard) -> None:
    """It cannot, and loses no try by being asked."""
    ran = cipsec("smartcard", "reset", "-y")
    assert ran.code == 7
    assert ran.err.endswith("cipsec: hint: use its maker's program\n")
    assert {each.tries for each in card.secrets.values()} == {card.manners.tries}


def test_pulled_in_a_reset(cipsec: Cipsec, extended: PivCard) -> None:
    """It says that PIN and PUK may be blocked, and that it can be done again."""
    extended.faults.pulled_after = 6
    ran = cipsec("smartcard", "reset", "-y")
    assert ran.code == 7
    assert ran.err.startswith("cipsec: error: the reset is not finished, and PIN and PUK may be")
    extended.faults.pulled_after = None
    assert cipsec("smartcard", "reset", "-y").code == 0


def test_secrets_on_stdin(
    cipsec: Cipsec, card: PivCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A line for each, in the order in which they are needed."""
    (tmp_path / "both").write_text("123456\n81726354\n")
    with (tmp_path / "both").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ran = cipsec("smartcard", "change-pin", "--pin-file", "-", "--new-file", "-")
    assert ran.code == 0
    assert card.secrets[PIN].value == b"81726354"


@pytest.mark.parametrize(
    "content", [b"", b"\n123456\n", b"\xff\xfe\n", b"1" * 100000, b"123456\0\n"]
)
def test_pin_files_that_are_none(
    cipsec: Cipsec, card: PivCard, tmp_path: Path, secret: Secret, content: bytes
) -> None:
    """Refused, and nothing of it is shown or tried."""
    (tmp_path / "pin").write_bytes(content)
    new = secret("81726354")
    for file in (tmp_path / "pin", tmp_path, tmp_path / "missing"):
        ran = cipsec("smartcard", "change-pin", "--pin-file", file, "--new-file", new)
        assert (ran.code in (2, 6), ran.out) == (True, "")
        assert "123456" not in ran.err
        assert "1111" not in ran.err
    assert card.secrets[PIN].tries == card.manners.tries
    assert card.secrets[PIN].value == b"123456\xff\xff"
