"""The results as a table for a terminal and a README, and as a picture."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from xml.sax.saxutils import escape

from integration.bench.measure import Job, Result

_ROW = 18
_LEFT = 330
_WIDTH = 460


def table(found: Sequence[tuple[Job, Sequence[Result]]]) -> str:
    """Markdown: a row a contender, its seconds, how many times as long as ours it took, and its memory."""
    lines = ["| job | way | seconds | times ours | MiB |", "|---|---|---:|---:|---:|"]
    for job, results in found:
        ours = results[0].seconds
        for place, result in enumerate(results):
            name = f"{job.name} (goal: {job.goal})" if place == 0 else ""
            if math.isnan(result.seconds):
                lines.append(f"| {name} | {result.contender} | failed | | |")
            else:
                ratio = f"{result.seconds / ours:.2f}"
                lines.append(f"| {name} | {result.contender} | {result.seconds:.2f} | {ratio} | {result.memory:.0f} |")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on."""
    return f"{platform.platform()}, {platform.machine()}, Python {platform.python_version()}"


def svg(found: Sequence[tuple[Job, Sequence[Result]]]) -> str:
    """A bar a contender, a group a job; ours is dark. Each group has its own scale, for only ratios last."""
    rows: list[str] = []
    y = 24
    for job, results in found:
        known = [result for result in results if not math.isnan(result.seconds)]
        if not known:
            continue
        rows.append(f'<text x="8" y="{y}" font-weight="bold">{escape(job.name)}</text>')
        longest = max(result.seconds for result in known)
        for place, result in enumerate(known):
            y += _ROW
            width = max(1.0, result.seconds / longest * _WIDTH)
            colour = "#1f5fa8" if place == 0 else "#b8c4d2"
            rows.append(f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(result.contender)}</text>')
            rows.append(f'<rect x="{_LEFT}" y="{y - 11}" width="{width:.1f}" height="13" fill="{colour}"/>')
            rows.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y}">{result.seconds:.1f} s</text>')
        y += _ROW + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 70}" height="{y}" '
    style = 'font-family="sans-serif" font-size="12" fill="#222">'
    return "\n".join([head + style, '<rect width="100%" height="100%" fill="white"/>', *rows, "</svg>", ""])
