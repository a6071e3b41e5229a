"""Flowcharts in mermaid's words as SVG, so that the site needs neither mermaid nor a network.

The little of mermaid that the pages use: `a["label"]`, `a --> b`, `a -.-> b`, `a -. words .-> b`. Layers go from the
top to the bottom. A box stands in the column of what leads to it, if that is free; the column stays free as far down as
the arrows of the box go, so that they cross no other box.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_NODE = r'(\w+)(?:\["([^"]+)"\])?'
_EDGE = re.compile(rf"\s*{_NODE} (-->|-\.->|-\. (.+) \.->) {_NODE}")
_HIGH, _ROW, _GAP, _LETTER = 30, 62, 26, 7.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An arrow from one box to another; *is_dashed* where it carries no bytes."""

    start: str
    end: str
    is_dashed: bool
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowchart:
    """Boxes by name, with their labels, and the arrows between them."""

    labels: Mapping[str, str]
    edges: Sequence[Edge]


def parsed(text: str) -> Flowchart:
    """The flowchart that *text* draws. Raises ValueError for a line that is more of mermaid than is understood."""
    head, *lines = [line for line in text.splitlines() if line.strip()]
    if not head.startswith("flowchart "):
        raise ValueError(f"no flowchart: {head!r}")
    labels: dict[str, str] = {}
    edges = []
    for line in lines:
        match = _EDGE.fullmatch(line)
        if not match:
            raise ValueError(f"not understood: {line!r}")
        start, start_label, arrow, words, end, end_label = match.groups()
        for name, label in ((start, start_label), (end, end_label)):
            labels[name] = label or labels.get(name, name)
        edges.append(Edge(start=start, end=end, is_dashed=arrow != "-->", words=words or ""))
    return Flowchart(labels=labels, edges=edges)


def places(chart: Flowchart) -> dict[str, tuple[int, int]]:
    """The layer and the column of each box."""
    layers = dict.fromkeys(chart.labels, 0)
    for _ in chart.labels:
        for edge in chart.edges:
            layers[edge.end] = max(layers[edge.end], layers[edge.start] + 1)
    taken: set[tuple[int, int]] = set()
    columns: dict[str, int] = {}
    for name in sorted(chart.labels, key=lambda name: layers[name]):
        above = [columns[edge.start] for edge in chart.edges if edge.end == name]
        column = above[0] if above else max(columns.values(), default=-1) + 1
        while (layers[name], column) in taken:
            column += 1
        columns[name] = column
        ends = [layers[edge.end] for edge in chart.edges if edge.start == name]
        taken |= {(layer, column) for layer in range(layers[name], max(ends, default=layers[name] + 1))}
    return {name: (layers[name], columns[name]) for name in chart.labels}


def svg(chart: Flowchart) -> str:
    """*chart* as a picture."""
    where = places(chart)
    columns = sorted({column for _, column in where.values()})
    widths = [max(_width(chart.labels[name]) for name in where if where[name][1] == column) for column in columns]
    lefts = [8 + sum(widths[:number]) + _GAP * number for number in range(len(columns))]
    middles = {
        name: (lefts[columns.index(column)] + widths[columns.index(column)] / 2, 8 + layer * _ROW)
        for name, (layer, column) in where.items()
    }
    shapes = [_arrow(edge, middles, where) for edge in chart.edges]
    shapes += [_box(*middles[name], label) for name, label in chart.labels.items()]
    width, height = lefts[-1] + widths[-1] + 8, 16 + _HIGH + _ROW * max(layer for layer, _ in where.values())
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img">'
    tip = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join([head, f'<defs>{tip}<path d="M0 0 L8 4 L0 8 z"/></marker></defs>', *shapes, "</svg>"])


def _width(label: str) -> float:
    return len(label) * _LETTER + 20


def _box(x: float, y: float, label: str) -> str:
    width = _width(label)
    box = f'<rect x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_HIGH}" rx="4"/>'
    return f'{box}<text x="{x:.0f}" y="{y + 20:.0f}">{escape(label)}</text>'


def _arrow(edge: Edge, middles: Mapping[str, tuple[float, float]], where: Mapping[str, tuple[int, int]]) -> str:
    (x, y), (to_x, to_y) = middles[edge.start], middles[edge.end]
    y += _HIGH
    passes = where[edge.end][0] - where[edge.start][0] > 1  # other layers: it goes down first, and across below them
    bend = 0.6 * _ROW
    controls = (0.9 * (to_y - y), 8) if passes else (bend, bend)
    path = [(x, y), (x, y + controls[0]), (to_x, to_y - controls[1]), (to_x, to_y)]
    first, *others = [f"{at:.0f} {down:.0f}" for at, down in path]
    curve = f"M{first} C{' '.join(others)}" if x != to_x else f"M{first} L{others[-1]}"
    kind = ' class="dashed"' if edge.is_dashed else ""
    line = f'<path d="{curve}"{kind} marker-end="url(#tip)"/>'
    if edge.words:
        middle = f'x="{(x + to_x) / 2 + 6:.0f}" y="{(y + to_y) / 2 + 4:.0f}"'
        line += f'<text class="words" {middle}>{escape(edge.words)}</text>'
    return line
