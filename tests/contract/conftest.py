"""Every test of the contract suites runs once for every row of `places.PLACES`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.places import PLACES, Place, Row


@pytest.fixture(params=PLACES, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    """What the transport under test can do."""
    row: Row = request.param
    return row


@pytest.fixture
def place(row: Row, tmp_path: Path) -> Iterator[Place]:
    """An empty place of the transport under test."""
    directory = tmp_path / "place"
    directory.mkdir()
    with row.opened(directory) as opened:
        yield opened
