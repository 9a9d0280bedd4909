"""Enrolling with a card in process: the order of questions, a card that goes, what is left."""

from __future__ import annotations

import json
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.card import journal
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY, Pin
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, Slot
from cipsec.endpoint.card import Card
from cipsec.endpoint.enroll import Wish
from cipsec.endpoint.folder import Folder
from cipsec.endpoint.obtain import Patience
from cipsec.endpoint.server import Server
from cipsec.endpoint.trust import Trust
from cipsec.errors import (
    CardError,
    CipsecError,
    CredentialsRefused,
    LastTry,
    NoCard,
    Pending,
    PinBlocked,
    Rejected,
    Unreachable,
    Untrusted,
    WrongCard,
    WrongPin,
)
from cipsec.pki.fingerprint import sha256
from cipsec.pki.keys import KeyType
from tests.endpoint.acting import WAIT, Recorder, again, assert_matches, get, wish
from tests.support import provisioned
from tests.support.canned import EstServer, Plant, Reply, Seen, named, text
from tests.support.pivcard import PIN, PivCard
from tests.support.provisioned import certificate_on, of_plant, pins_shown

TYPES = [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass
class Placed:
    """What `Connect` yields."""

    piv: Piv
    reader: str


@dataclass
class Slotted:
    """A reader with or without a card, and who holds it."""

    card: PivCard | None
    typed: str = provisioned.PIN
    present: bool = False
    asked: int = 0
    taken: bool = False
    warned: list[str] = field(default_factory=list)

    @contextmanager
    def connect(self) -> Iterator[Placed]:
        """Connect to what is in it; a card is without power before and after."""
        if self.taken:
            raise CardError("another program has the card for itself", hint="end that program")
        if self.card is None:
            raise NoCard("there is no card in Reader 1")
        self.card.power_up()
        yield Placed(Piv.select(self.card), "Reader 1")

    def pin(self, piv: Piv) -> Pin:
        """Remember, and answer."""
        piv.spare_pin(force=True)
        self.asked += 1
        return Pin(self.typed)

    def warn(self, line: str) -> None:
        """Remember."""
        self.warned.append(line)

    def credential(self, *, slot: Slot = AUTHENTICATION, force: bool = False) -> Card:
        """Return what the card in it is to a new command."""
        return Card(self.connect, self, slot=slot, force=force)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, of this test alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def reader(plant: Plant) -> Slotted:
    """A reader with a card of the plant."""
    return Slotted(of_plant(plant))


def tries(card: PivCard | None) -> int:
    """Return the tries left of the PIN."""
    assert card is not None
    return card.secrets[PIN].tries


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key_type", TYPES)
def test_enroll(
    plant: Plant, tmp_path: Path, folder: Folder, key_type: KeyType, version: ssl.TLSVersion
) -> None:
    """The server sees the card's certificate; the new key is a file, and not the card's."""
    reader = Slotted(of_plant(plant, key_type=key_type))
    assert reader.card is not None
    with EstServer(plant, tmp_path, tls=version, demand_client=False).running() as server:
        identity = get(folder, wish(server, card=reader.credential()))
    assert_matches(identity)
    own = certificate_on(reader.card)
    assert server.posts()[0].client == own.public_bytes(Encoding.DER)
    assert identity.issued.certificate.public_key() != own.public_key()
    assert (reader.asked, pins_shown(reader.card)) == (1, 1)


def test_renew(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """The card authenticates in place of the identity."""
    get(folder, wish(server))
    assert_matches(again(folder, card=reader.credential()))
    assert reader.card is not None
    (_, post) = server.posts()
    assert post.operation == "simplereenroll"
    assert post.client == certificate_on(reader.card).public_bytes(Encoding.DER)


def test_the_journal(server: EstServer, folder: Folder, reader: Slotted, data: Path) -> None:
    """One line for each certificate, private; a damaged line hides no other."""
    path = files.default_card_journal()
    assert list(journal.entries(path)) == []
    get(folder, wish(server, card=reader.credential()))
    with path.open("ab") as file:
        file.write(b'{"time": "20')
    again(folder, card=reader.credential())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.is_relative_to(data)
    first, second = journal.entries(path)
    assert reader.card is not None
    assert first.card_sha256 == sha256(certificate_on(reader.card))
    assert (first.reader, first.card_subject, first.server) == (
        "Reader 1",
        "CN=card-1",
        server.url,
    )
    assert [first.sha256, second.sha256] == [sha256(issued) for issued in server.issued]
    assert provisioned.PIN not in path.read_text().replace(first.card_sha256, "")


def test_a_journal_that_cannot_be_written(
    server: EstServer, folder: Folder, reader: Slotted, data: Path
) -> None:
    """The identity is kept, and the person told."""
    data.write_text("not a folder")
    assert_matches(get(folder, wish(server, card=reader.credential())))
    assert any("misses this enrollment" in line for line in reader.warned)


def _expired(plant: Plant) -> PivCard:
    return of_plant(plant, start=-timedelta(days=9), end=-timedelta(days=2))


def _early(plant: Plant) -> PivCard:
    return of_plant(plant, start=timedelta(days=1))


def _elsewhere(plant: Plant) -> PivCard:
    return of_plant(plant, slot=Slot(0x9C))


def _blocked(plant: Plant) -> PivCard:
    card = of_plant(plant)
    card.block()
    return card


def _one_left(plant: Plant) -> PivCard:
    card = of_plant(plant)
    card.block(left=1)
    return card


def _not_piv(plant: Plant) -> PivCard:
    card = of_plant(plant)
    card.faults.not_piv = True
    return card


def _odd_key(plant: Plant) -> PivCard:
    card = PivCard()
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    ours = ec.generate_private_key(ec.SECP521R1()).public_key()
    piv.write_certificate(AUTHENTICATION, plant.issue(ours, named("odd")))
    return card


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_expired, (CardError, "the certificate on the card ended at ")),
        (_early, (CardError, "not valid before ")),
        (_elsewhere, (CardError, "slot 9a of the card holds no certificate")),
        (_blocked, (PinBlocked, "is blocked")),
        (_one_left, (LastTry, "one try of the PIN is left")),
        (_not_piv, (WrongCard, "not a PIV card")),
        (_odd_key, (WrongCard, "not used on cards")),
        (lambda _: None, (NoCard, "there is no card")),
    ],
)
def test_nothing_is_asked_of_a_card_that_is_not_good(
    plant: Plant,
    server: EstServer,
    folder: Folder,
    make: Callable[[Plant], PivCard | None],
    error: tuple[type[CardError], str],
) -> None:
    """No PIN, no server, no file; the same for a renewal."""
    reader = Slotted(make(plant))
    with pytest.raises(error[0], match=error[1]):
        get(folder, wish(server, card=reader.credential()))
    assert (reader.asked, server.seen, folder.exists()) == (0, [], False)
    get(folder, wish(server))
    with pytest.raises(error[0], match=error[1]):
        again(folder, card=reader.credential())
    assert (reader.asked, folder.draft()) == (0, None)


def test_no_pin_for_a_server_that_is_not_trusted(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """Neither for a stranger, nor for one that is away."""
    stranger = replace(wish(server, card=reader.credential()), trust=Trust(fingerprint="0" * 64))
    with pytest.raises(Untrusted):
        get(folder, stranger)
    away = replace(wish(server, card=reader.credential()), server=Server.parse("127.0.0.1:9"))
    with pytest.raises(Unreachable):
        get(folder, away)
    assert reader.card is not None
    assert (reader.asked, pins_shown(reader.card), folder.exists()) == (0, 0, False)


def test_a_wrong_pin(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """One try, no second by itself, no request; the right one then goes on."""
    reader.typed = "654321"
    with pytest.raises(WrongPin, match="2 tries are left"):
        get(folder, wish(server, card=reader.credential()))
    assert (tries(reader.card), server.posts()) == (2, [])
    reader.typed = provisioned.PIN
    assert_matches(get(folder, wish(server, card=reader.credential())))
    assert tries(reader.card) == 3


def test_the_last_try_by_force(plant: Plant, server: EstServer, folder: Folder) -> None:
    """Spent when asked to."""
    reader = Slotted(_one_left(plant))
    assert_matches(get(folder, wish(server, card=reader.credential(force=True))))
    assert tries(reader.card) == 3


def test_the_last_try_while_a_request_waits(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """The hint is not `--force`, which would drop the request."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server, card=reader.credential()), wait=False)
    assert reader.card is not None
    reader.card.block(left=1)
    with pytest.raises(LastTry) as refused:
        get(folder, wish(server, card=reader.credential()), wait=False)
    assert refused.value.hint == "if you know the PIN: cipsec smartcard change-pin --force"


def test_pin_at_each_use(server: EstServer, folder: Folder, plant: Plant) -> None:
    """Slot 9c wants the PIN for each signature: asked once, shown for each handshake."""
    reader = Slotted(of_plant(plant, slot=Slot(0x9C)))
    assert_matches(get(folder, wish(server, card=reader.credential(slot=Slot(0x9C)))))
    assert reader.asked == 1


def test_another_key_than_the_certificate(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """A certificate whose key is not in the slot: said by name, nothing sent."""
    assert reader.card is not None
    reader.card.keys[0x9A] = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(WrongCard, match="does not fit the certificate"):
        get(folder, wish(server, card=reader.credential()))
    assert server.posts() == []


def test_a_certificate_of_another_ca(server: EstServer, folder: Folder) -> None:
    """The server refuses it."""
    reader = Slotted(of_plant(Plant("Elsewhere")))
    with pytest.raises(CredentialsRefused, match="refuses the client certificate"):
        get(folder, wish(server, card=reader.credential()))
    assert tries(reader.card) == 3


def test_pulled_at_each_apdu(server: EstServer, plant: Plant, tmp_path: Path) -> None:
    """NoCard each time, no try spent, what is on disk is whole; the next run ends well."""
    answered = 0
    while True:
        folder, reader = Folder(tmp_path / str(answered)), Slotted(of_plant(plant))
        assert reader.card is not None
        reader.card.faults.pulled_after = answered
        try:
            get(folder, wish(server, card=reader.credential()))
            break
        except NoCard:
            assert tries(reader.card) == 3
        reader.card.faults.pulled_after = None
        assert_matches(get(folder, wish(server, card=reader.credential())))
        answered += 1
    assert answered > 10
    assert len(server.issued) == answered + 1


def test_pulled_while_waiting(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """At a terminal it is asked for again and the same PIN serves; without one it is said."""
    server.answers["simpleenroll"] = lambda _: WAIT
    card, waits = reader.card, iter(range(100))

    def meanwhile() -> None:
        match next(waits):
            case 0:
                reader.card = None
            case 2:
                server.answers.clear()
                reader.card = card

    reader.present = True
    person = Recorder(on_wait=meanwhile)
    assert_matches(get(folder, wish(server, card=reader.credential()), person))
    assert (reader.asked, len(server.posts())) == (1, 2)
    assert person.told[1:] == ["the card CN=card-1 is needed again: there is no card in Reader 1"]


def test_pulled_while_waiting_with_nobody_there(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """An error that says what to do; the request stays."""
    server.answers["simpleenroll"] = lambda _: WAIT

    def pull() -> None:
        reader.card = None

    with pytest.raises(NoCard, match="is needed again") as said:
        get(folder, wish(server, card=reader.credential()), Recorder(on_wait=pull))
    again_by = f"cipsec enroll --identity {folder.path} --smartcard"
    assert said.value.hint == f"put it in, and: {again_by}"
    draft = folder.draft()
    assert draft is not None
    assert draft.state.pending


def test_a_card_that_another_program_has(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """While waiting: it ends the command and not the request, and the hint says so."""
    server.answers["simpleenroll"] = lambda _: WAIT

    def take() -> None:
        reader.taken = True

    with pytest.raises(CardError, match="another program") as said:
        get(folder, wish(server, card=reader.credential()), Recorder(on_wait=take))
    go_on = f"cipsec enroll --identity {folder.path} --smartcard"
    assert said.value.hint == f"end that program; the request is kept, go on with it: {go_on}"


def test_another_card_is_not_shown_the_pin(
    server: EstServer, folder: Folder, reader: Slotted, plant: Plant
) -> None:
    """Put in while waiting: asked for the first again."""
    server.answers["simpleenroll"] = lambda _: WAIT
    other = of_plant(plant, "card-2")

    def swap() -> None:
        reader.card = other

    with pytest.raises(WrongCard, match="is another one than CN=card-1"):
        get(folder, wish(server, card=reader.credential()), Recorder(on_wait=swap))
    assert (pins_shown(other), tries(other)) == (0, 3)


def test_a_request_remembers_its_card(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """Without the card the next run says so; with it the same key gets its certificate."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending) as waits:
        get(folder, wish(server, card=reader.credential()), wait=False)
    again_by = f"cipsec enroll --identity {folder.path} --smartcard"
    assert str(waits.value.hint).endswith(again_by)
    state = json.loads((folder.path / "next" / "state.json").read_text())
    assert state["card"]["subject"] == "CN=card-1"
    server.answers.clear()
    with pytest.raises(CardError, match="was made with the smartcard CN=card-1") as said:
        get(folder, wish(server))
    drop = f"cipsec enroll -f --identity {folder.path}"
    assert str(said.value.hint) == f"put it in, and: {again_by}; or drop it: {drop}"
    assert len(server.posts()) == 1
    assert_matches(get(folder, wish(server, card=reader.credential())))
    assert len({post.request.spki for post in server.posts()}) == 1


def test_a_renewal_remembers_its_card(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """The same for `renew`."""
    get(folder, wish(server))
    server.answers["simplereenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        again(folder, card=reader.credential(), patience=Patience(wait=False))
    server.answers.clear()
    with pytest.raises(CardError, match="was made with the smartcard"):
        again(folder)
    assert_matches(again(folder, card=reader.credential()))


def test_a_state_of_before_cards(server: EstServer, folder: Folder) -> None:
    """Is read as it was."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False)
    path = folder.path / "next" / "state.json"
    value = json.loads(path.read_text())
    del value["card"]
    path.write_text(json.dumps(value))
    draft = folder.draft()
    assert draft is not None
    assert draft.state.card is None


@pytest.mark.parametrize("damage", [1, "x", [], {"subject": 1}, {"subject": "x"}])
def test_a_damaged_state(server: EstServer, folder: Folder, damage: object) -> None:
    """Is said to be damaged."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False)
    path = folder.path / "next" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"card": damage}))
    with pytest.raises(CipsecError, match="damaged"):
        folder.draft()


def test_refused(server: EstServer, folder: Folder, reader: Slotted) -> None:
    """A refusal is final; the journal holds what was issued, and nothing was."""
    server.answers["simpleenroll"] = lambda _: text(403, "card-1 is spent")
    with pytest.raises(Rejected, match="is spent"):
        get(folder, wish(server, card=reader.credential()))
    assert folder.draft() is None
    assert not files.default_card_journal().exists()


def test_what_a_card_got_is_tried_again_without_it(
    server: EstServer, folder: Folder, reader: Slotted
) -> None:
    """Its use is spent, so nothing is dropped, and nothing is asked for in its place."""
    old = get(folder, wish(server)).issued.certificate
    refusal = text(403, "who are you")
    issued = [old.public_bytes(Encoding.DER)]

    def cacerts(seen: Seen) -> Reply:
        mine = server.issued[-1].public_bytes(Encoding.DER)
        return refusal if seen.client == mine != issued[0] else server.default(seen)

    server.answers["cacerts"] = cacerts
    with pytest.raises(Rejected) as caught:
        get(folder, wish(server, card=reader.credential()), force=True)
    assert "--smartcard" not in (caught.value.hint or "")
    with pytest.raises(Rejected, match="the old one stays in use"):
        get(folder, Wish())
    draft = folder.draft()
    assert draft
    assert draft.state.card
    assert len(server.issued) == 2
    server.answers.clear()
    identity = get(folder, Wish())
    assert identity.issued.certificate == server.issued[-1]
    assert (len(server.issued), reader.asked) == (2, 1)
