"""Tests of diff.py that need more images than a command line."""

from __future__ import annotations

from typing import cast

import pytest

from eci_convert.errors import LimitExceededError
from eci_convert.oci.platform import Platform
from eci_convert.operations.diff import _shared
from eci_convert.operations.inspect import MAX_IMAGES, Inspection


class Inspected:
    """As much of an Inspection as says which platforms are compared."""

    def __init__(self, count: int) -> None:
        self.platforms = tuple(Platform.parse(f"linux/arm/v{number}") for number in range(count))


def shared(count: int) -> int:
    one = cast("Inspection", Inspected(count))
    return len(_shared(one, one, None))


def test_platforms_that_would_not_be_compared_are_an_error() -> None:
    """That nothing differs would be said of images that were not looked at."""
    assert shared(MAX_IMAGES) == MAX_IMAGES
    with pytest.raises(LimitExceededError, match="65 platforms"):
        shared(MAX_IMAGES + 1)
