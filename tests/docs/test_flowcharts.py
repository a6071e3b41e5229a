"""The flowcharts of the documentation become pictures in which nothing is lost and no box hides another."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.support import flowcharts, site_hooks
from tests.support.shell_pages import DOCS

CHARTS = [
    (page, text)
    for page in sorted(DOCS.rglob("*.md"))
    for text in re.findall(r"```mermaid\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("text", [text for _, text in CHARTS], ids=[page.stem for page, _ in CHARTS])
def test_every_box_and_arrow_is_drawn(text: str) -> None:
    chart = flowcharts.parsed(text)

    drawing = ElementTree.fromstring(flowcharts.svg(chart))  # noqa: S314

    name = "{http://www.w3.org/2000/svg}%s"
    texts = [element.text for element in drawing.iter(name % "text")]
    assert len(chart.edges) == len(re.findall("--?>|->", text))
    assert sorted(filter(None, texts)) == sorted(
        [*chart.labels.values(), *(edge.words for edge in chart.edges if edge.words)]
    )
    assert len(list(drawing.iter(name % "path"))) == len(chart.edges) + 1
    assert len(set(flowcharts.places(chart).values())) == len(chart.labels)


def test_arrows_point_downwards_and_pass_no_box() -> None:
    for _, text in CHARTS:
        chart = flowcharts.parsed(text)
        where = flowcharts.places(chart)
        for edge in chart.edges:
            (above, column), (below, end) = where[edge.start], where[edge.end]
            assert above < below
            between = {(layer, column) for layer in range(above + 1, below)}
            assert column != end or not between & set(where.values())


def test_what_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="not understood: '  a ==> b'"):
        flowcharts.parsed("flowchart LR\n  a ==> b\n")
    with pytest.raises(ValueError, match="no flowchart"):
        flowcharts.parsed("sequenceDiagram\n")


def test_the_site_shows_pictures() -> None:
    shown = site_hooks.drawn("a\n\n```mermaid\nflowchart LR\n  a --> b\n```\n\n```text\nb\n```\n")

    assert "mermaid" not in shown
    assert shown.count("<svg") == 1
    assert "```text\nb\n```" in shown
