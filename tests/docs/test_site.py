"""The site of the documentation is whole: its navigation has every page, and its links lead to something.

Without mkdocs, which `make docs` installs and has check the same again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import site_hooks
from tests.support.markdown import FENCE, LINK, anchors
from tests.support.site_hooks import EXAMPLES, OUTSIDE, TOP

DOCS = TOP / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
SITE = {page: f"docs/{page}" for page in PAGES} | {place: source for source, place in OUTSIDE.items()}
"""Every page of the site, and where it comes from."""


def navigation() -> list[str]:
    """The pages and patterns in the navigation of mkdocs.yml."""
    text = (TOP / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    return re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", text, re.MULTILINE)


def links(page: str) -> Iterator[tuple[str, str]]:
    """What the page of the site links to inside of it: a path from its top, and an anchor or ""."""
    source = TOP / SITE[page]
    text = site_hooks.examples() if page == EXAMPLES else source.read_text()
    for target in LINK.findall(FENCE.sub("", site_hooks.for_site(text, page))):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page, anchor


def test_every_page_stands_in_the_navigation_once() -> None:
    names = navigation()

    listed = site_hooks.expanded(names, PAGES)
    assert sorted(listed) == sorted(SITE)
    assert not [name for name in names if "*" in name and not site_hooks.expanded([name], PAGES)]


def test_a_pattern_means_the_pages_that_stand_nowhere_before_it() -> None:
    nav = ["index.md", {"How to": ["howto/first.md", "howto/*.md"]}, {"Specifications": "more/*.md"}, "*.md"]

    listed = site_hooks.expanded(nav, ["howto/b.md", "howto/first.md", "howto/a.md", "more/x.md", "index.md", "z.md"])

    assert listed == [
        "index.md",
        {"How to": ["howto/first.md", "howto/a.md", "howto/b.md"]},
        {"Specifications": ["more/x.md"]},
        "z.md",
    ]


@pytest.mark.parametrize("page", SITE)
def test_every_link_inside_the_site_leads_to_a_page_and_a_heading(page: str) -> None:
    for target, anchor in links(page):
        if target in SITE:
            assert not anchor or anchor in anchors(TOP / SITE[target]), f"{page}: {target}#{anchor}"
        else:
            assert (DOCS / target).is_file(), f"{page} links to {target}, which is not on the site"


def test_links_to_what_is_outside_of_docs_and_back() -> None:
    fenced = "```text\n[c](../../README.md)\n```"

    there = site_hooks.for_site(f"[a](../../README.md#speed) [b](attach.md)\n{fenced}", "howto/ci.md")
    back = site_hooks.for_site(
        "[a](docs/howto/ci.md#github-actions) [b](https://example.org) [c](#z)", "project/readme.md"
    )

    assert there == f"[a](../project/readme.md#speed) [b](attach.md)\n{fenced}"
    assert back == "[a](../howto/ci.md#github-actions) [b](https://example.org) [c](#z)"


def test_pictures_exist_and_are_described() -> None:
    for page, source in SITE.items():
        text = "" if page == EXAMPLES else (TOP / source).read_text()
        for described, target in re.findall(r"!\[([^]]*)\]\(([^()\s]+)\)", FENCE.sub("", text)):
            assert described, f"{page}: {target}"
            assert ((TOP / source).parent / target).is_file(), f"{page}: {target}"


def test_the_sdist_has_the_site() -> None:
    assert '"/mkdocs.yml"' in (TOP / "pyproject.toml").read_text()
    assert Path(site_hooks.__file__).relative_to(TOP).parts[0] == "tests"
    assert str(Path(site_hooks.__file__).relative_to(TOP)) in (TOP / "mkdocs.yml").read_text()
