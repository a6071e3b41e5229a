"""The pictures of the documentation: `python -m tests.support.generate_pictures` (or `make reference`) draws them.

docs/pictures/speed.svg is drawn from the figures in docs/pictures/speed.json, which are those of the table in
docs/explanation/performance.md; docs/pictures/architecture.svg from the table in the docstring of the package.
tests/docs/test_pictures.py checks that all of them agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import eci_convert

TOP = Path(__file__).parents[2]
PICTURES = TOP / "docs/pictures"
OURS, OTHERS, BAND, BOX = "#1f5fa8", "#b8c4d2", "#eef2f7", "#ffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of the bench: its seconds, and how many times as long other ways take. Figures are text, as printed."""

    name: str
    seconds: str
    others: Mapping[str, str]


def jobs() -> list[Job]:
    """The jobs in docs/pictures/speed.json."""
    rows = json.loads((PICTURES / "speed.json").read_text())
    return [Job(name=row["job"], seconds=row["seconds"], others=row["others"]) for row in rows]


def speed() -> str:
    """The picture of *jobs*: a group a job, a bar a way to do it. Each group has its own scale, ours is dark."""
    left, width, row = 270, 330, 18
    shapes: list[str] = []
    y = 6
    for job in jobs():
        y += 20
        shapes.append(_text(8, y, job.name, weight="bold"))
        longest = max([1.0, *map(float, job.others.values())])
        ways = [("eci-convert", 1.0, f"{job.seconds} s", OURS)]
        ways += [(name, float(ratio), f"{ratio} ×", OTHERS) for name, ratio in job.others.items()]
        for name, ratio, label, colour in ways:
            y += row
            length = ratio / longest * width
            shapes.append(_text(left - 8, y, name, anchor="end"))
            shapes.append(_box(left, y - 11, length, 13, colour))
            shapes.append(_text(left + length + 6, y, label))
        y += 6
    return _svg(left + width + 60, y + 8, "Seconds of eci-convert, and how many times as long other ways take", shapes)


def levels() -> list[tuple[list[str], str]]:
    """The rows of the table in the package's docstring: folders and modules, and what they are; the highest first."""
    table = (eci_convert.__doc__ or "").partition("imports only from those below it")[2]
    rows = re.findall(r"^    ((?:[a-z_]+/? {1,2})+) *  (\S.*)$", table, re.MULTILINE)
    return [(names.split(), what) for names, what in rows]


def architecture() -> str:
    """The picture of *levels*: a band a level, with its folders in it."""
    width, high, gap = 660, 50, 16
    shapes = []
    for number, (names, what) in enumerate(levels()):
        y = 8 + number * (high + gap)
        if number:
            shapes.append(f'<path d="M{width / 2} {y - gap} v{gap - 4} m-5 -5 l5 5 l5 -5" fill="none" stroke="#555"/>')
        shapes.append(_box(8, y, width - 16, high, BAND, radius=6))
        x = 20.0
        for name in names:
            length = 8.2 * len(name) + 18
            shapes.append(_box(x, y + 7, length, 20, BOX, radius=4, stroke=OURS))
            shapes.append(_text(x + length / 2, y + 21, name, anchor="middle", family="monospace"))
            x += length + 10
        shapes.append(_text(20, y + 43, what))
    height = 8 + len(levels()) * (high + gap) - gap + 8
    return _svg(width, height, "The folders of eci_convert by level: a level imports from those below it", shapes)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", family: str = "") -> str:
    more = f' font-weight="{weight}"' if weight else ""
    more += f' font-family="{family}"' if family else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, fill: str, *, radius: int = 0, stroke: str = "") -> str:
    more = f' rx="{radius}"' if radius else ""
    more += f' stroke="{stroke}"' if stroke else ""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" fill="{fill}"{more}/>'


def _svg(width: float, height: float, title: str, shapes: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
    head += f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="13" fill="#222" role="img">'
    head += f"\n<title>{escape(title)}</title>"
    return "\n".join([head, _box(0, 0, width, height, "white"), *shapes, "</svg>", ""])


def pictures() -> Iterator[tuple[Path, str]]:
    """Every picture by its path."""
    yield PICTURES / "speed.svg", speed()
    yield PICTURES / "architecture.svg", architecture()


if __name__ == "__main__":
    for path, text in pictures():
        path.write_text(text)
