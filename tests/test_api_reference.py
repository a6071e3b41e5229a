"""docs/reference/python-api.md is what the code says."""

from __future__ import annotations

import pytest

import eci_convert as ec
from tests.support import generate_api_reference


def test_the_reference_is_current() -> None:
    text = generate_api_reference.DOCUMENT.read_text()
    assert generate_api_reference.rendered() == text, "run python -m tests.support.generate_api_reference"


@pytest.mark.parametrize("name", [name for name in ec.__all__ if name != "__version__"])
def test_every_public_name_is_in_it(name: str) -> None:
    assert name in generate_api_reference.rendered()


def test_arguments_of_which_there_are_several_are_marked() -> None:
    assert "tag(image: str, *names: str, dry_run: bool" in generate_api_reference.rendered()
    assert "    *references: str,\n" in generate_api_reference.rendered()
