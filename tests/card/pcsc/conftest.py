"""Fixtures: a private pcscd with two readers, and a provisioned card in the first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.card import cards
from tests.support import vpcd
from tests.support.pivcard import CARD_A, CARD_B, PivCard
from tests.support.vpcd import Pcscd


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    """The daemon, its readers empty; skips loudly where there can be none."""
    with vpcd.pcscd() as running:
        yield running


@pytest.fixture(params=[CARD_A, CARD_B], ids=["card-a", "card-b"])
def card(request: pytest.FixtureRequest) -> PivCard:
    """A provisioned card, not in a reader yet."""
    card = PivCard(request.param)
    cards.provision(card)
    return card
