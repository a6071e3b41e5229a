"""What code cites exists in the documentation, and so does what pages link to. The form: CONTRIBUTING.md#citations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.markdown import FENCE, HEADING, LINK, anchors, slug

TOP = Path(__file__).parents[2]
THREATS = "docs/explanation/security.md"
ECI = "docs/specs/eci.md"

CITATION = re.compile(r"(?<![\w./-])((?:docs/[\w./-]+|README|CONTRIBUTING|SECURITY|CHANGELOG)\.md)(?:#([\w.-]*\w))?")
THREAT = re.compile(r"\b[Tt]hreats? (\d+(?:, \d+)*)")
DEFECT = re.compile(r"\bECI (D\d+)\b")
SECTION = re.compile(r"§")
UNSHIPPED = re.compile(r"(?<!docs/)\b(?:specs|design)/[\w-]+\.md|\bthreats\.md")

ROW = re.compile(r"\| *([^|\s][^|]*)")


def code_files() -> list[Path]:
    folders = ("eci_convert", "tests", "integration", "examples")
    files = [path for folder in folders for path in (TOP / folder).rglob("*.py") if not path.stem.endswith("_pb2")]
    return sorted([*files, TOP / "pyproject.toml", TOP / "Makefile"])


def pages() -> list[Path]:
    return sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


@cache
def places(page: Path) -> frozenset[str]:
    """The places in *page* that can be cited: anchors, and the first word of a heading or of a row of a table."""
    names: set[str] = set()
    for line in FENCE.sub("", page.read_text()).splitlines():
        if heading := HEADING.fullmatch(line):
            names |= {slug(heading[1]), heading[1].split()[0].rstrip(".")}
        elif row := ROW.match(line):
            names.add(row[1].split()[0])
    return frozenset(names)


def citations(text: str) -> Iterator[tuple[str, str]]:
    """Every page that *text* cites, and the place in it, "" for all of it."""
    for match in CITATION.finditer(text):
        yield match[1], match[2] or ""
    for match in THREAT.finditer(text):
        yield from ((THREATS, number) for number in match[1].split(", "))
    for match in DEFECT.finditer(text):
        yield ECI, match[1]


def problems(text: str) -> Iterator[str]:
    """What is wrong with the citations in *text*."""
    for page, place in citations(text):
        if not (TOP / page).is_file():
            yield f"{page}: no such page"
        elif place and place not in places(TOP / page):
            yield f"{page}#{place}: no such heading or row"
    for match in UNSHIPPED.finditer(text):
        yield f"{match[0]}: not a page of this repository"
    for match in SECTION.finditer(text):
        before = " ".join(text[: match.start()].split()[-2:])
        if not re.fullmatch(r"\W*RFC \d+", before):
            yield f"{before} §: of a page of ours, cite PAGE#PLACE"


def test_the_anchor_of_a_heading() -> None:
    assert slug("2.3 Layer `annotations`, [all](x.md)") == "23-layer-annotations-all"


def test_the_forms_of_a_citation() -> None:
    text = f"x ({ECI}#2.3), {ECI}#D1. README.md#exit-codes; {THREATS}#decisions. Threats 86, 87: y. ECI D2: z"

    assert list(citations(text)) == [
        (ECI, "2.3"), (ECI, "D1"), ("README.md", "exit-codes"), (THREATS, "decisions"),
        (THREATS, "86"), (THREATS, "87"), (ECI, "D2"),
    ]  # fmt: skip
    assert not list(problems(text))


@pytest.mark.parametrize(
    "text",
    [
        f"{ECI}#2.99", "docs/specs/nothing.md", "README.md#nothing", "threat 0", "Threats 86, 999: x", "ECI D99",
        "specs/" + "eci.md", "threats" + ".md, row 3", "eci.md §" + " 2.3",
    ],
)  # fmt: skip
def test_a_citation_that_leads_nowhere_is_found(text: str) -> None:
    assert len(list(problems(text))) == 1


def test_every_citation_leads_to_something() -> None:
    by_file = {name(path): list(problems(path.read_text())) for path in code_files() if path != Path(__file__)}

    assert not {path: listed for path, listed in by_file.items() if listed}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_leads_to_something(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), f"{name(page)} links to {target}"
        assert not anchor or anchor in anchors(other), f"{name(page)} links to {target}: no such heading"


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in pages()
        for target in LINK.findall(page.read_text())
        if not re.match(r"[a-z]+:|#", target)
    }

    written = set((TOP / "docs").rglob("*.md")) - {TOP / "docs/index.md"}
    assert not {name(page) for page in written - linked}
