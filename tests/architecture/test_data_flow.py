"""docs/explanation/data-flow.md agrees with the code: its boxes are modules, and its arrows are imports.

A dashed arrow is a call: something in the first box imports something in the second. A dashed arrow with a word on it
and a solid one hand over a value or bytes: one imports the other, or a module that imports both stands between them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import eci_convert

PACKAGE = Path(eci_convert.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "data-flow.md"
BOX = re.compile(r'\b(\w+)\["([^"]+)"\]')
ARROW = re.compile(r"(\w+) (-\.->|-->|-\. \w+ \.->) (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """From a box to another, each the dotted names of modules or folders."""

    picture: str
    start: tuple[str, ...]
    end: tuple[str, ...]
    is_call: bool

    def __str__(self) -> str:
        return f"{self.picture}: {','.join(self.start)} {'calls' if self.is_call else 'to'} {','.join(self.end)}"


def pictures(page: str) -> Iterator[tuple[str, str]]:
    """The heading and the text of each picture."""
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        for picture in re.findall(r"```mermaid\n(.*?)```", section, re.DOTALL):
            yield section.split(":")[0], picture


def arrows(page: str) -> Iterator[Arrow]:
    for heading, picture in pictures(page):
        boxes = {name: tuple(label.partition(":")[0].split(", ")) for name, label in BOX.findall(picture)}
        for start, kind, end in ARROW.findall(BOX.sub(r"\1", picture)):
            yield Arrow(picture=heading, start=boxes[start], end=boxes[end], is_call=kind == "-.->")


@cache
def imports() -> dict[str, frozenset[str]]:
    """What each module of the package imports from it, wherever in the module; names in it count as modules too."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if path.stem.endswith("_pb2"):
            continue
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[own] = frozenset(name.removeprefix("eci_convert.") for name in names if name.startswith("eci_convert."))
    return found


def is_in(name: str, box: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in box)


def importers(box: tuple[str, ...]) -> set[str]:
    """The modules that import something of *box*."""
    return {module for module, names in imports().items() if any(is_in(name, box) for name in names)}


def agrees(arrow: Arrow) -> bool:
    if any(is_in(module, arrow.start) for module in importers(arrow.end)):
        return True
    backwards = any(is_in(module, arrow.end) for module in importers(arrow.start))
    return not arrow.is_call and (backwards or bool(importers(arrow.start) & importers(arrow.end)))


def test_all_arrows_are_read() -> None:
    text = PAGE.read_text()

    assert len(list(arrows(text))) == sum(picture.count("->") for _, picture in pictures(text)) > 20


@pytest.mark.parametrize("arrow", list(arrows(PAGE.read_text())), ids=str)
def test_an_arrow_is_in_the_code(arrow: Arrow) -> None:
    assert agrees(arrow)


@pytest.mark.parametrize(
    ("start", "end", "is_call"),
    [("reading.blobs", "operations.copy", True), ("oci", "cli", True), ("streams.blocks", "cli.completion", False)],
)
def test_an_arrow_that_is_wrong_is_found(start: str, end: str, is_call: bool) -> None:
    assert not agrees(Arrow(picture="", start=(start,), end=(end,), is_call=is_call))


def test_every_picture_has_twelve_boxes_at_most_and_uses_all() -> None:
    for heading, picture in pictures(PAGE.read_text()):
        boxes = [name for name, _ in BOX.findall(picture)]
        ends = {end for start, _, other in ARROW.findall(BOX.sub(r"\1", picture)) for end in (start, other)}
        assert len(boxes) <= 12, heading
        assert set(boxes) == ends, heading
