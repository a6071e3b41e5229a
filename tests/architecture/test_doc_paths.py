"""Modules and folders that the documentation names exist in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import eci_convert

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "eci_convert"
PAGES = sorted((TOP / "docs").rglob("*.md"))

CODE = re.compile(r"\*\*Code:\*\* (.*)")
PATH = re.compile(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?)`")
SOURCE = re.compile(r"`((?:eci_convert|tests|integration)/(?:[a-z_0-9]+/)*(?:[a-z_0-9]+\.\w+)?)`")
BOX = re.compile(r'\b\w+\["([^"]+)"\]')


def is_module(dotted: str) -> bool:
    path = PACKAGE.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_paths_in_a_page_exist(page: Path) -> None:
    text = page.read_text()

    assert not [path for path in SOURCE.findall(text) if not (TOP / path).exists()]
    for line in CODE.findall(text):
        assert PATH.findall(line), f"no path in {line!r}"
        assert not [path for path in PATH.findall(line) if not (PACKAGE / path).exists()]


def test_boxes_of_the_data_flow_are_modules() -> None:
    labels = BOX.findall((TOP / "docs/explanation/data-flow.md").read_text())

    names = [name for label in labels for name in label.partition(":")[0].split(", ")]
    assert names
    assert not [name for name in names if not is_module(name)]


def present() -> set[str]:
    """The folders and the public modules at the top of the package."""
    return {path.stem for path in PACKAGE.glob("[a-z]*") if path.is_dir() or path.suffix == ".py"}


def test_folders_of_the_architecture_are_those_of_the_package() -> None:
    rows = re.findall(r"^\| +\d+ \| ([^|]+) \|", (TOP / "docs/explanation/architecture.md").read_text(), re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/.]+)`", row)}

    assert {name.removesuffix(".py") for name in named} >= present()
    assert not {name for name in named if not (PACKAGE / name).exists()}


def test_the_picture_in_the_package_docstring_has_all_of_the_package() -> None:
    picture = (eci_convert.__doc__ or "").partition("imports only from those below it")[2]
    rows = re.findall(r"^    ((?:[a-z_]+/? {1,2})+) *  ", picture, re.MULTILINE)

    named = {name.rstrip("/") for row in rows for name in row.split()}
    assert named - {"eci_convert"} == present()
