"""A CA, and servers that are stopped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.est.asking import Start
from tests.support.canned import EstServer, Plant


@pytest.fixture(scope="module")
def plant() -> Plant:
    """The CA of these tests."""
    return Plant()


@pytest.fixture
def start(plant: Plant, tmp_path: Path) -> Iterator[Start]:
    """Start servers that are stopped at the end."""
    with ExitStack() as stack:

        def begin(answers: dict[str, Any] | None = None, **options: Any) -> EstServer:
            server = EstServer(plant, tmp_path, answers=answers or {}, **options)
            return stack.enter_context(server.running())

        yield begin
