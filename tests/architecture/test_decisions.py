"""Every page of docs/decisions is numbered, listed, says what it is about in the same order, and has a number in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Numbers", "Consequences"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_its_sections_and_a_number(page: Path) -> None:
    text = page.read_text()
    number = int(page.stem[:4])

    assert text.startswith(f"# {number}. ")
    assert re.search(r"^\*\*Status:\*\* .*\*\*Code:\*\* `", text, re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    numbers = text.partition("## Numbers\n")[2].partition("\n## ")[0]
    assert re.search(r"\d", numbers), "what was measured"


def test_every_decision_is_listed_under_its_number_and_title() -> None:
    listed = re.findall(r"^\| (\d+) \| \[([^]]+)\]\(([^)]+)\) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert [name for _, _, name in listed] == [page.name for page in PAGES]
    for number, title, name in listed:
        assert int(number) == int(name[:4])
        heading = (FOLDER / name).read_text().splitlines()[0]
        assert heading.startswith(f"# {number}. ")
        assert title, heading
