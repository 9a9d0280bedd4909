"""`cipsec smartcard list|show`: what readers and cards tell without a PIN, and what fails first."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from cipsec import times
from cipsec.card import pcsc
from cipsec.errors import CardError, NoPcsc, NotPermitted
from tests.card import cards
from tests.cli.conftest import Cipsec
from tests.support.pivcard import PIN, PUK, PivCard

from .conftest import READERS, Desk, InReader

_KEYS = [
    *("reader", "slot", "extensions", "has_card", "kind", "problem", "tries_left", "most_tries"),
    *("puk_tries_left", "default_pin", "default_puk", "subject", "issuer", "serial"),
    *("not_before", "not_after", "days_left", "sha256", "key_type"),
]


def test_list(cipsec: Cipsec, desk: Desk) -> None:
    """A line for each reader, whatever is in it."""
    other = PivCard()
    other.faults.not_piv = True
    cards.provision(desk.insert(PivCard()))
    desk.insert(other, reader=1)
    ran = cipsec("smartcard", "list")
    assert (ran.code, ran.err) == (0, "")
    none = "this card is not a PIV card (6A82)"
    assert ran.rows == [
        [READERS[0], "yes", "piv", "9a", "CN=card-1", "01234567", "6", "3", "-"],
        [READERS[1], "yes", "other", "9a", "-", "-", "-", "-", none],
    ]
    desk.cards = [None, None]
    ran = cipsec("smartcard", "list", "--json", "--reader", "beta")
    [record] = ran.json["cards"]
    assert list(record) == _KEYS
    assert (record["reader"], record["has_card"], record["kind"]) == (READERS[1], False, None)


def test_show(cipsec: Cipsec, card: PivCard) -> None:
    """Subject, issuer, serial, days left, key type, tries; and no PIN is sent for it."""
    made = cards.provision(card)
    ran = cipsec("smartcard", "show", "--json")
    assert ran.code == 0
    [record] = ran.json["cards"]
    assert list(record) == _KEYS
    assert (record["subject"], record["issuer"]) == ("CN=card-1", "CN=card-1")
    assert (record["serial"], record["days_left"]) == ("01234567", 6)
    assert record["key_type"] == "ec-p256"
    assert record["tries_left"] == card.manners.tries
    assert record["not_after"] == times.show_time(made.not_valid_after_utc)
    assert ran.err == "cipsec: warning: the certificate on the card ends in less than 7 days\n"
    assert card.secrets[PIN].tries == card.manners.tries
    people = cipsec("smartcard", "show")
    assert "subject     CN=card-1\n" in people.out
    assert "None" not in people.out


def test_an_expired_certificate(
    cipsec: Cipsec, card: PivCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown, and said."""
    cards.provision(card)
    later = times.now() + timedelta(days=9)
    monkeypatch.setattr(times, "now", lambda: later)
    ran = cipsec("smartcard", "show")
    assert ran.code == 0
    assert ran.err.startswith("cipsec: warning: the certificate on the card expired at ")


def test_an_empty_card(cipsec: Cipsec, card: PivCard) -> None:
    """No certificate is no error, and nothing is made up."""
    ran = cipsec("smartcard", "show", "--json", "--slot", "9c")
    assert (ran.code, ran.err) == (0, "")
    [record] = ran.json["cards"]
    assert (record["slot"], record["problem"], record["subject"]) == ("9c", "no certificate", None)


def test_a_blocked_pin(cipsec: Cipsec, card: PivCard) -> None:
    """No try is left: shown, with what to do."""
    card.block()
    ran = cipsec("smartcard", "show", "--json")
    assert ran.json["cards"][0]["tries_left"] == 0
    assert ran.err == "cipsec: warning: the PIN is blocked; next: cipsec smartcard unblock\n"


def test_what_every_card_is_sold_with(cipsec: Cipsec, extended: PivCard) -> None:
    """A card with the extension tells of its own PIN and PUK."""
    extended.block(PUK, left=1)
    ran = cipsec("smartcard", "show", "--json")
    [record] = ran.json["cards"]
    assert (record["extensions"], record["most_tries"], record["puk_tries_left"]) == (True, 3, 1)
    assert ran.err == (
        "cipsec: warning: the PIN is the one that cards are sold with\n"
        "cipsec: warning: the PUK is the one that cards are sold with\n"
    )


def test_hostile_certificates(cipsec: Cipsec, card: PivCard) -> None:
    """A name that would rule the terminal is shown harmless; bytes that are none are a problem."""
    cards.provision(card)
    held = card.objects[0x5FC105]
    card.objects[0x5FC105] = held.replace(b"card-1", b"\x1b[2Kx")
    ran = cipsec("smartcard", "show")
    assert "\x1b" not in ran.out + ran.err
    card.objects[0x5FC105] = held[:-40] + bytes(40)
    ran = cipsec("smartcard", "show")
    assert (ran.code, "\x1b" in ran.out) == (0, False)
    card.objects[0x5FC105] = b"\x53\x03\x70\x01\xff"
    ran = cipsec("smartcard", "show", "--json")
    assert ran.code == 0
    assert ran.json["cards"][0]["problem"] == "what the card holds as a certificate is not one"


_COMMANDS = [
    ["show"], ["generate"], ["change-pin"], ["unblock"], ["reset", "-y"],
]  # fmt: skip


@pytest.mark.parametrize("argv", _COMMANDS)
def test_which_card(cipsec: Cipsec, desk: Desk, argv: list[str]) -> None:
    """None, several, none of that name, not PIV: said before anything is asked."""
    ran = cipsec("smartcard", *argv)
    assert (ran.code, ran.out) == (7, "")
    assert ran.err.startswith(f"cipsec: error: there is no card in {READERS[0]}, {READERS[1]}\n")
    other = desk.insert(PivCard())
    other.faults.not_piv = True
    ran = cipsec("smartcard", *argv, "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (7, "wrong_card")
    desk.insert(PivCard(), reader=1)
    ran = cipsec("smartcard", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"cipsec: error: there are 2 cards: in {READERS[0]}, {READERS[1]}\n"
        "cipsec: hint: add --reader TEXT, a part of the reader's name\n"
    )
    ran = cipsec("smartcard", *argv, "--reader", "gamma\x1b")
    assert ran.code == 7
    assert "no reader's name contains" in ran.err
    assert "\x1b" not in ran.err


@pytest.mark.parametrize("argv", [["list"], *_COMMANDS])
@pytest.mark.parametrize("error", [NoPcsc("no service", hint="start it"), NotPermitted("no")])
def test_without_pcsc(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch, argv: list[str], error: CardError
) -> None:
    """Exit 7 and what to do; the JSON tells which it is."""

    def fails(_: str | None = None) -> None:
        raise error

    monkeypatch.setattr(pcsc, "readers", fails)
    monkeypatch.setattr(pcsc, "connected", fails)
    ran = cipsec("smartcard", *argv, "--json")
    assert ran.code == 7
    assert ran.json["error"] == {"kind": error.kind, "message": error.message, "hint": error.hint}


@pytest.mark.parametrize("slot", ["9e", "9b", "zz", "", "\x1b[2K", "96"])
def test_slots_that_are_none(cipsec: Cipsec, card: PivCard, slot: str) -> None:
    """Exit 2, and the card is not asked."""
    for argv in (["list"], ["show"], ["generate"]):
        ran = cipsec("smartcard", *argv, "--slot", slot)
        assert (ran.code, ran.out) == (2, "")
        assert "\x1b" not in ran.err
    assert card.log == []


def test_without_the_extra(cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 7 and how to install it, for every command."""
    monkeypatch.setitem(sys.modules, "smartcard", None)
    for argv in (["list"], *_COMMANDS):
        ran = cipsec("smartcard", *argv)
        assert (ran.code, ran.out) == (7, "")
        first, second = ran.err.splitlines()
        missing = "smartcards need the extra cipsec[smartcard], which is not installed"
        assert first == f"cipsec: error: {missing}"
        assert "pip install 'cipsec[smartcard]'" in second


def test_another_program_has_one_of_two(
    cipsec: Cipsec, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list tells of the other one, and why not of this."""
    desk.insert(PivCard())
    desk.insert(PivCard(), reader=1)
    connected = desk.connected

    def one_is_taken(text: str | None = None) -> AbstractContextManager[InReader]:
        if text == READERS[0]:
            raise CardError("another program has it")
        return connected(text)

    monkeypatch.setattr(pcsc, "connected", one_is_taken)
    ran = cipsec("smartcard", "list", "--json")
    assert ran.code == 0
    assert [one["problem"] for one in ran.json["cards"]] == [
        "another program has it",
        "no certificate",
    ]
