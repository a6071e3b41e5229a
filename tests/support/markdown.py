"""What tests look for in pages of documentation: links, headings and their anchors."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HEADING = re.compile(r"#{1,6} (.+)")
LINK = re.compile(r"\[[^][]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor that code hosts give *heading*."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of the headings in *page*."""
    headings = (HEADING.fullmatch(line) for line in FENCE.sub("", page.read_text()).splitlines())
    return frozenset(slug(heading[1]) for heading in headings if heading)
