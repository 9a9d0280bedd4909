"""`cipsec ca provision --smartcard`: key and request by the card, the certificate back onto it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.ca_folder import CaFolder
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.pki.names import show_serial
from tests.card import cards
from tests.cli.conftest import Cipsec
from tests.support import pivkeys
from tests.support.pivcard import PIN, PUK, PivCard
from tests.support.pivcard import Secret as Held

from .conftest import READERS, Desk, Secret

_PROVISION = ["ca", "provision", "card-1", "--smartcard"]
_OWN_KEY = bytes(range(24))


def _make_own(card: PivCard) -> None:
    """Give a card a PIN, PUK and management key of its own."""
    most = card.manners.tries
    card.secrets = {PIN: Held(b"81726354", most, most), PUK: Held(b"abcdefgh", most, most)}
    card.management = pivkeys.Management(0x0A, _OWN_KEY)


@pytest.fixture
def given(secret: Secret) -> list[object]:
    """The options with these."""
    return ["--pin-file", secret("81726354"), "--management-key-file", secret(_OWN_KEY.hex())]


def _held(card: PivCard, slot: Slot = AUTHENTICATION) -> x509.Certificate | None:
    return Piv.select(card).certificate(slot)


@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-2048"])
def test_provision(
    on_ca: Cipsec, ca_folder: CaFolder, card: PivCard, given: list[object], key_type: str
) -> None:
    """What is on the card is on record, and may enroll and nothing else."""
    _make_own(card)
    ran = on_ca(*_PROVISION, *given, "--uses", 3, "--days", 2, "--key-type", key_type, "--json")
    assert ran.code == 0, ran.err
    shown = ran.json["credential"]
    assert (shown["name"], shown["uses"], shown["status"]) == ("card-1", 3, "valid")
    assert (shown["reader"], shown["slot"]) == (READERS[0], "9a")
    held = _held(card)
    assert held is not None
    assert show_serial(held.serial_number) == shown["serial"]
    assert held.public_key() == card.keys[0x9A].public_key()
    assert list(held.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    issuer = ca_folder.provisioning_certificate()
    assert issuer is not None
    held.verify_directly_issued_by(issuer)
    [listed] = on_ca("ca", "credentials", "--json").json["credentials"]
    assert listed["serial"] == shown["serial"]
    assert card.secrets[PIN].tries == card.manners.tries
    assert "81726354" not in ran.out + ran.err
    assert _OWN_KEY.hex() not in ran.out + ran.err


def test_for_people(on_ca: Cipsec, ca_folder: CaFolder, card: PivCard, given: list[object]) -> None:
    """What to type next names the card and the CA; a plain card's PUK is not known."""
    _make_own(card)
    ran = on_ca(*_PROVISION, *given, "--slot", "82")
    assert ran.code == 0
    assert "slot        82\n" in ran.out
    fingerprint = on_ca("ca", "show", "--json").json["ca"]["sha256"]
    following = f"cipsec enroll --smartcard --slot 82 --fingerprint {fingerprint}"
    assert ran.err.splitlines()[-3:] == [
        "cipsec: warning: this card does not tell whether its PUK is the one of every new card",
        "cipsec: whoever has this card and its PIN may enroll with it",
        f"cipsec: next, at the endpoint: {following}",
    ]
    assert _held(card, Slot(0x82)) is not None


def test_new_cards_are_refused(on_ca: Cipsec, extended: PivCard, secret: Secret) -> None:
    """PIN, PUK and management key of every new card; nothing made, no PIN tried, unless allowed."""
    argv = [*_PROVISION, "--pin-file", secret("123456")]
    ran = on_ca(*argv)
    assert (ran.code, ran.out) == (7, "")
    change = "cipsec smartcard change-pin"
    assert ran.err == (
        "cipsec: error: the card's PIN, PUK and management key are those of every new card:"
        " whoever finds it could use or change it\n"
        f"cipsec: hint: {change}; {change} --puk; {change} --management-key -o FILE;"
        " or add --allow-defaults\n"
    )
    assert extended.keys == {}
    assert on_ca("ca", "list").out == ""
    assert on_ca(*argv, "--allow-defaults").code == 0
    assert _held(extended) is not None


def test_one_that_is_new(
    on_ca: Cipsec, extended: PivCard, secret: Secret, given: list[object]
) -> None:
    """Each alone is enough."""
    for what in (PIN, PUK, 0x9B):
        new = PivCard(extensions=True)
        _make_own(extended)
        argv = list(given)
        if what == 0x9B:
            extended.management = new.management
            argv = given[:2]
        else:
            extended.secrets[what] = new.secrets[what]
        if what == PIN:
            argv = ["--pin-file", secret("123456"), *given[2:]]
        ran = on_ca(*_PROVISION, *argv)
        assert ran.code == 7, ran
        assert " is the one of every new card" in ran.err
    assert extended.keys == {}


def test_over_another(on_ca: Cipsec, card: PivCard, given: list[object]) -> None:
    """What is on the card is named, and kept unless it may go."""
    made = cards.provision(card)
    _make_own(card)
    ran = on_ca(*_PROVISION, *given)
    assert ran.code == 6
    assert "holds the certificate CN=card-1, serial 01234567" in ran.err
    assert _held(card) == made
    assert on_ca(*_PROVISION, *given, "-y").code == 0
    assert _held(card) != made


def test_a_wrong_pin(on_ca: Cipsec, card: PivCard, given: list[object], secret: Secret) -> None:
    """One try, nothing made, nothing on record; the last try is kept."""
    made = cards.provision(card)
    _make_own(card)
    argv = [*_PROVISION, "-y", "--pin-file", secret("99999999"), *given[2:]]
    ran = on_ca(*argv)
    assert ran.code == 7
    assert f"{card.manners.tries - 1} tries are left" in ran.err
    card.block(left=1)
    assert "one try of the PIN is left" in on_ca(*argv).err
    assert card.secrets[PIN].tries == 1
    card.block()
    assert "the PIN of the card is blocked" in on_ca(*argv).err
    assert _held(card) == made
    assert on_ca("ca", "list").out == ""


def test_pulled_at_every_apdu(
    on_ca: Cipsec, desk: Desk, given: list[object], tmp_path: Path
) -> None:
    """Nobody has what is not recorded; what is recorded and not on the card is said, by serial."""
    recorded = 0
    for answered in range(60):
        card = desk.insert(PivCard())
        _make_own(card)
        card.faults.pulled_after = answered
        ran = on_ca(*_PROVISION, *given)
        card.faults.pulled_after = None
        listed = on_ca("ca", "credentials", "--json").json["credentials"]
        valid = [one["serial"] for one in listed if one["status"] == "valid"]
        if ran.code == 0:
            break
        assert (ran.code, ran.out) == (7, "")
        assert card.secrets[PIN].tries == card.manners.tries
        if valid:
            assert f"the certificate {valid[0]} is on record and not " in ran.err
            assert f"cipsec: hint: cipsec ca revoke {valid[0]}" in ran.err
            assert on_ca("ca", "revoke", valid[0], "-y").code == 0
            recorded += 1
        else:
            assert _held(card) is None
            if card.keys:
                assert "cipsec: warning: nothing is on record; a new key without" in ran.err
    assert len(valid) == 1
    assert recorded > 1


def test_a_card_that_refuses(on_ca: Cipsec, card: PivCard, given: list[object]) -> None:
    """A key type it does not have, a management key that is another: nothing on record."""
    _make_own(card)
    if card.manners.rsa_3072:
        assert on_ca(*_PROVISION, *given, "--key-type", "rsa-3072").code == 7
    assert on_ca(*_PROVISION, *given[:2]).code == 7
    card.faults.wrong_signature = True
    ran = on_ca(*_PROVISION, *given)
    assert ran.code == 7
    assert "nothing is on record" in ran.err
    assert on_ca("ca", "list").out == ""


def test_the_name_comes_first(on_ca: Cipsec, card: PivCard, given: list[object]) -> None:
    """A name in force, or a passphrase that is missing, is said before the card is touched."""
    _make_own(card)
    assert on_ca(*_PROVISION, *given).code == 0
    card.log.clear()
    assert on_ca(*_PROVISION, *given, "-y").code == 6
    assert card.log == []


@pytest.mark.parametrize(
    "argv",
    [
        ["--smartcard", "-o", "card"],
        ["-o", "card", "--reader", "alpha"],
        ["-o", "card", "--slot", "9a"],
        ["-o", "card", "--pin-file", "pin"],
        ["-o", "card", "--management-key-file", "key"],
        ["-o", "card", "--allow-defaults"],
        ["--smartcard", "--slot", "9e"],
        ["--smartcard", "--key-type", "dsa"],
        ["--smartcard"],  # nobody can be asked for the PIN
    ],
)
def test_wrong_usage(
    on_ca: Cipsec, card: PivCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Exit 2, nothing made, nothing on record."""
    monkeypatch.chdir(tmp_path)
    ran = on_ca("ca", "provision", "card-1", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "card").exists()
    assert card.keys == {}
    assert on_ca("ca", "list").out == ""
