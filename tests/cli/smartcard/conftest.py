"""Fixtures: two readers whose cards are simulated in process, and secrets in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cipsec.card import pcsc
from cipsec.card.choice import Reader, choose
from cipsec.errors import NoCard
from tests.support.pivcard import CARD_A, CARD_B, PivCard

READERS = ("Alpha 00 00", "Beta 00 01")

Secret = Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class InReader:
    """A card in a reader, as `pcsc.connected` gives it: pulled, it says so like PC/SC."""

    card: PivCard
    reader: str

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Hand one APDU on."""
        try:
            return self.card.transmit(apdu)
        except NoCard:
            raise NoCard(f"the card in {self.reader} is not there, or was pulled") from None


class Desk:
    """The readers; `insert` puts a card into the first or second."""

    def __init__(self) -> None:
        self.cards: list[PivCard | None] = [None, None]

    def insert(self, card: PivCard, reader: int = 0) -> PivCard:
        """Put a card in."""
        self.cards[reader] = card
        return card

    def readers(self) -> tuple[Reader, ...]:
        """Stand in for `pcsc.readers`."""
        pairs = zip(READERS, self.cards, strict=True)
        return tuple(Reader(name=name, has_card=card is not None) for name, card in pairs)

    @contextmanager
    def connected(self, text: str | None = None) -> Iterator[InReader]:
        """Stand in for `pcsc.connected`: the card has power while the block lasts."""
        reader = choose(self.readers(), text)
        card = self.cards[READERS.index(reader.name)]
        assert card is not None
        card.power_up()
        yield InReader(card, reader.name)
        card.power_up()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two empty readers in place of PC/SC's."""
    made = Desk()
    monkeypatch.setattr(pcsc, "readers", made.readers)
    monkeypatch.setattr(pcsc, "connected", made.connected)
    return made


@pytest.fixture(params=[CARD_A, CARD_B], ids=["card-a", "card-b"])
def card(request: pytest.FixtureRequest, desk: Desk) -> PivCard:
    """A plain, new card in the first reader."""
    return desk.insert(PivCard(request.param))


@pytest.fixture
def extended(desk: Desk) -> PivCard:
    """A new card with the vendor's extension in the first reader."""
    return desk.insert(PivCard(extensions=True))


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    """Write a PIN, PUK or key to a file of its own."""

    def write(text: str) -> Path:
        path = tmp_path / f"secret-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"{text}\n")
        return path

    return write
