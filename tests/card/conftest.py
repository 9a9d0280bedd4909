"""Fixtures: a card by each of two readings of the standard, selected, and its certificate."""

from __future__ import annotations

import pytest

from cipsec.card.piv import Piv
from tests.support.pivcard import CARD_A, CARD_B, PivCard


@pytest.fixture(params=[CARD_A, CARD_B], ids=["card-a", "card-b"])
def card(request: pytest.FixtureRequest) -> PivCard:
    """A plain card: no extensions, no keys, PIN 123456."""
    return PivCard(request.param)


@pytest.fixture
def piv(card: PivCard) -> Piv:
    """The application on `card`."""
    return Piv.select(card)
