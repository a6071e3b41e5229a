"""The site of the documentation (mkdocs.yml): pages from outside of docs/, and names with a * in its navigation.

Pages link to one another as code hosts want it, README.md included. Here the pages outside of docs/ become pages of the
site, and links between the two kinds are rewritten. mkdocs calls the functions whose names begin with `on_`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP))  # mkdocs runs this file by its path

from tests.support import flowcharts  # noqa: E402

EXAMPLES = "project/examples.md"
OUTSIDE = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "examples": EXAMPLES,
}
"""What stands outside of docs/ and is part of the site, and where."""

_LINK = re.compile(r"(\[[^][]*\]\()([^()\s]+)(\))")
_FLOWCHART = re.compile(r"^```mermaid\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


def on_config(config: MutableMapping[str, Any]) -> None:
    """Put the pages that match in the place of each name with a * in the navigation."""
    config["nav"] = expanded(config["nav"], [str(page.relative_to(TOP / "docs")) for page in _pages()])


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand outside of docs/."""
    from mkdocs.structure.files import File

    for source, place in OUTSIDE.items():
        text = examples() if place == EXAMPLES else (TOP / source).read_text()
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links between docs/ and what is outside lead to the pages of the site, and draw its flowcharts."""
    return for_site(drawn(markdown), page.file.src_uri)


def expanded(nav: Iterable[Any], pages: Iterable[str]) -> list[Any]:
    """*nav* with the *pages* that a name with a * means, in order, without those that stand in it before or by name."""
    nav = list(nav)
    left = sorted(set(pages) - {name for name in _names(nav) if "*" not in name})

    def matching(pattern: str) -> list[str]:
        found = [page for page in left if fnmatchcase(page, pattern)]
        left[:] = [page for page in left if page not in found]
        return found

    return list(_expanded(nav, matching))


def _expanded(nav: Iterable[Any], matching: Callable[[str], list[str]]) -> Iterator[Any]:
    for entry in nav:
        if isinstance(entry, dict):
            [(title, below)] = entry.items()
            pattern = isinstance(below, str) and "*" in below
            below = [below] if pattern else below
            yield {title: below if isinstance(below, str) else list(_expanded(below, matching))}
        elif "*" in entry:
            yield from matching(entry)
        else:
            yield entry


def _names(nav: Iterable[Any]) -> Iterator[str]:
    """Every page and pattern in *nav*."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from _names([below] if isinstance(below, str) else below)


def for_site(markdown: str, place: str) -> str:
    """*markdown* of the page at *place* of the site, with links that are right there."""
    source = next((outside for outside, other in OUTSIDE.items() if other == place), f"docs/{place}")
    folder = os.path.dirname(source)

    def rewritten(link: re.Match[str]) -> str:
        file, hash_sign, anchor = link[2].partition("#")
        if not file or re.match(r"[a-z]+:", file):
            return link[0]
        target = os.path.normpath(os.path.join(folder, file))
        on_site = OUTSIDE.get(target, target.removeprefix("docs/"))
        return f"{link[1]}{os.path.relpath(on_site, os.path.dirname(place) or '.')}{hash_sign}{anchor}{link[3]}"

    parts = _FENCE.split(markdown)
    return "".join(text if number % 2 else _LINK.sub(rewritten, text) for number, text in enumerate(parts))


def drawn(markdown: str) -> str:
    """*markdown* with each flowchart as a picture."""
    return _FLOWCHART.sub(
        lambda block: f'<div class="flowchart">\n{flowcharts.svg(flowcharts.parsed(block[1]))}\n</div>\n', markdown
    )


def examples() -> str:
    """A page with the programs of examples/."""
    lines = ["# Programs with the library", "", "The programs in `examples/`; the tests run each of them.", ""]
    for program in sorted((TOP / "examples").glob("*.py")):
        lines += [f"## {program.name}", "", "```python", program.read_text().rstrip(), "```", ""]
    return "\n".join(lines)


def _pages() -> Iterator[Path]:
    return (TOP / "docs").rglob("*.md")
