"""The smartcard commands at a terminal, over real PC/SC: what is asked, in which order, unseen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.ca_folder import CaFolder
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION
from tests.card import cards
from tests.cli.conftest import Cipsec
from tests.support import vpcd
from tests.support.pivcard import PIN, PUK, PivCard
from tests.support.terminal import at_terminal
from tests.support.vpcd import READERS, Pcscd

pytestmark = pytest.mark.programs

_PIN_ASKED, _PUK_ASKED = "PIN of the card: ", "PUK of the card: "
_NEW_PIN = (("New PIN: ", "81726354\n"), ("New PIN again: ", "81726354\n"))
_NEW_PUK = (("New PUK: ", "abcdefgh\n"), ("New PUK again: ", "abcdefgh\n"))


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    """A private pcscd; skips loudly where there can be none."""
    with vpcd.pcscd() as running:
        yield running


def test_all_without_a_person(cipsec: Cipsec, daemon: Pcscd, tmp_path: Path) -> None:
    """List, generate, import and show through pcscd, in process."""
    (tmp_path / "pin").write_text("123456\n")
    assert cipsec("smartcard", "show").code == 7
    card = PivCard()
    inserted = daemon.insert(card)
    ran = cipsec("smartcard", "list", "--json")
    assert [(one["reader"], one["kind"]) for one in ran.json["cards"]] == [
        (READERS[0], "piv"),
        (READERS[1], None),
    ]
    request = tmp_path / "card.csr"
    argv = ["smartcard", "generate", "--pin-file", tmp_path / "pin", "-o", request]
    assert cipsec(*argv).code == 0
    assert x509.load_pem_x509_csr(request.read_bytes()).is_signature_valid
    daemon.insert(PivCard(), reader=1)
    assert cipsec("smartcard", "show").code == 2
    assert cipsec("smartcard", "show", "--reader", "00 01").code == 0
    inserted.pull()
    daemon.kill()
    ran = cipsec("smartcard", "show", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (7, "no_pcsc")


def test_change_and_unblock(daemon: Pcscd) -> None:
    """Old, new, and new again; what is typed does not appear."""
    card = PivCard()
    daemon.insert(card)
    done = at_terminal(["smartcard", "change-pin"], (_PIN_ASKED, "123456\n"), *_NEW_PIN)
    assert done.code == 0, done.screen
    assert done.restored
    assert "123456" not in done.screen
    assert "81726354" not in done.screen
    assert "cipsec: the PIN has 3 tries left\n" in done.screen  # a plain card hides the most
    done = at_terminal(["smartcard", "change-pin"], (_PIN_ASKED, "123456\n"), *_NEW_PIN)
    assert done.code == 7
    assert "the PIN is wrong; 2 tries are left" in done.screen
    assert done.screen.count(_PIN_ASKED) == 1
    card.block()
    done = at_terminal(["smartcard", "unblock"], (_PUK_ASKED, "12345678\n"), *_NEW_PIN)
    assert done.code == 0, done.screen
    assert card.secrets[PIN].tries == 3
    differ = (("New PIN: ", "818181\n"), ("New PIN again: ", "828282\n"))
    done = at_terminal(["smartcard", "unblock"], (_PUK_ASKED, "12345678\n"), *differ)
    assert done.code == 2
    assert "the two entries differ" in done.screen


def test_no_and_yes(daemon: Pcscd) -> None:
    """No changes nothing, exit 10; the reset asks twice."""
    card = PivCard(extensions=True)
    cards.provision(card)
    daemon.insert(card)
    before = card.keys[0x9A]
    done = at_terminal(["smartcard", "generate"], ("Go on? [y/N] ", "n\n"))
    assert done.code == 10
    assert "holds the certificate CN=card-1, serial 01234567" in done.screen
    assert "cipsec: nothing was changed\n" in done.screen
    sure = (("from the card in Virtual PCD 00 00? [y/N] ", "y\n"), ("Really? [y/N] ", "\n"))
    assert at_terminal(["smartcard", "reset"], *sure).code == 10
    assert card.keys[0x9A] is before
    sure = (sure[0], ("Really? [y/N] ", "yes\n"))
    assert at_terminal(["smartcard", "reset"], *sure).code == 0
    assert card.keys == {}


def test_provision_a_new_card(daemon: Pcscd, ca_folder: CaFolder, tmp_path: Path) -> None:
    """PIN, PUK and management key are changed on the way, and the certificate is on the card."""
    card = PivCard(extensions=True)
    daemon.insert(card)
    argv = ["ca", "provision", "card-1", "--smartcard", "--ca-dir", str(ca_folder.path)]
    done = at_terminal(
        argv,
        (_PIN_ASKED, "123456\n"),
        ("are those of every new card. Change now? [y/N] ", "y\n"),
        ("New file for the new management key: ", f"{tmp_path / 'management.key'}\n"),
        *_NEW_PUK,
        *_NEW_PIN,
    )
    assert done.code == 0, done.screen
    assert card.secrets[PIN].value == b"81726354"
    assert card.secrets[PUK].value == b"abcdefgh"
    assert (tmp_path / "management.key").read_text().strip() == card.management.key.hex()
    for secret in ("123456", "81726354", "abcdefgh", card.management.key.hex()):
        assert secret not in done.screen
    held = Piv.select(card).certificate(AUTHENTICATION)
    assert held is not None
    assert held.subject.rfc4514_string() == "CN=card-1"
    done = at_terminal(
        [*argv[:2], "card-2", *argv[3:]],
        ("Go on? [y/N] ", "y\n"),
        ("Management key of the card, in hex: ", f"{card.management.key.hex()}\n"),
        (_PIN_ASKED, "81726354\n"),
    )
    assert done.code == 0, done.screen


def test_no_to_changing(daemon: Pcscd, ca_folder: CaFolder) -> None:
    """A new card stays as it is, and gets nothing."""
    card = PivCard()
    daemon.insert(card)
    argv = ["ca", "provision", "card-1", "--smartcard", "--ca-dir", str(ca_folder.path)]
    no = ("PIN and management key are those of every new card. Change now? [y/N] ", "n\n")
    done = at_terminal(argv, (_PIN_ASKED, "123456\n"), no)
    assert done.code == 7
    assert "or add --allow-defaults" in done.screen
    assert card.keys == {}


def test_interrupted_at_the_pin(daemon: Pcscd) -> None:
    """Ctrl-C: the terminal is as before, and no try is spent."""
    card = PivCard()
    daemon.insert(card)
    done = at_terminal(["smartcard", "change-pin"], (_PIN_ASKED, "\x03"))
    assert (done.code, done.restored) == (130, True)
    assert "Traceback" not in done.screen
    assert card.secrets[PIN].tries == 3
