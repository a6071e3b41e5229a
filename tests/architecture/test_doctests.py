"""Every example in a docstring of the package is true."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import eci_convert

PACKAGE = Path(eci_convert.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if ">>>" in path.read_text()]


def name(path: Path) -> str:
    relative = path.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


@pytest.mark.parametrize("path", sorted(MODULES), ids=name)
def test_the_examples_of_a_module(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(import_module(name(path)))
    assert tried, "an example that nothing finds"
    assert not failed
