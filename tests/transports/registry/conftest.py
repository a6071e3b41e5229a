"""A faulty registry, and short waits: how long we would be patient is not what these tests are about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry.http import retry
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import User


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "INITIAL_DELAY", 0.002)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, or would have been."""
    seconds: list[float] = []
    monkeypatch.setattr(retry, "sleep", seconds.append)
    return seconds


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture
def other() -> Iterator[FaultyRegistry]:
    """A second server on another port: it must never hear of the first one's secrets."""
    with a_registry() as running:
        yield running


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home")
