"""The output of `inspect`: a summary, a tree of platforms and parts, or one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eci_convert.cli import extract_common, output
from eci_convert.cli.extract_common import location_of
from eci_convert.dialects import untried
from eci_convert.display import terminal
from eci_convert.model import Part, part_label
from eci_convert.oci.digest import Digest
from eci_convert.operations.inspect import MAX_IMAGES, ImageSummary, Inspection
from eci_convert.operations.part_sizes import PartFacts, declared_facts, image_size, parts_of

Facts = Mapping[Part, PartFacts]
"""What was measured of the parts of the chosen image; of others, what they declare."""

_BAR = 16
_BARS = 4
"""The column of the bars."""
_SHORT = 12


def inspection_json(chosen: Inspection, every: Sequence[ImageSummary], facts: Facts) -> dict[str, Any]:
    """The fields of cli.md, "Results", and for an index a tree of its images."""
    manifest = chosen.image.manifest
    return extract_common.result_fields(chosen) | {
        "serves": list(chosen.serves),
        "created": chosen.created or None,
        "author": chosen.author or None,
        "size": image_size(chosen.image),
        "platforms": [str(platform) for platform in chosen.platforms],
        "parts": _parts_json(chosen, facts),
        "command_line": chosen.artifact.command_line,
        "labels": dict(chosen.image.config.labels),
        "annotations": dict(manifest.annotations),
        "config": dict(chosen.image.config.fields),
        "images": [
            {
                "platform": str(one.image.platform) if one.image.platform else None,
                "digest": str(one.image.descriptor.digest),
                "dialect": one.dialect or None,
                "serves": list(one.serves),
                "created": one.created or None,
                "size": image_size(one.image) if one.is_readable else None,
                "parts": _parts_json(one, facts),
                "error": None if one.is_readable else one.unknown,
            }
            for one in every
        ],
    }


def _parts_json(summary: ImageSummary, facts: Facts) -> list[dict[str, Any]]:
    rows = []
    for part in parts_of(summary.artifact):
        part_facts = facts.get(part) or declared_facts(part, summary.image)
        source = location_of(part)
        rows.append(
            extract_common.part(part)
            | {
                "type": str(part_facts.disk_type) if part_facts.disk_type else None,
                "size": part_facts.size,
                "digest": str(part_facts.digest) if part_facts.digest else None,
                "source": {"blob": source["blob"] or _text(part_facts.blob), "path": part_facts.path or source["path"]},
            }
        )
    return rows


def print_inspection(chosen: Inspection, every: Sequence[ImageSummary], facts: Facts, *, no_trunc: bool) -> None:
    """The same for people: on a terminal with short digests, unless *no_trunc*, and bars beside the sizes."""
    on_terminal = sys.stdout.isatty()
    short = on_terminal and not no_trunc
    others = [name for name in chosen.serves if name != chosen.dialect]
    also = f" (also {', '.join(others)})" if others else ""
    size = image_size(chosen.image)
    output.line(f"reference: {chosen.reference}")
    output.line(f"digest:    {shorten_digest(str(chosen.digest), short)}")
    output.line(f"dialect:   {chosen.dialect or 'none: ' + chosen.unknown}{also}")
    output.line(f"platforms: {', '.join(map(str, chosen.platforms)) or 'none named'}")
    for name, value in (
        ("created", chosen.created),
        ("author", chosen.author),
        ("size", "" if size is None else output.size(size)),
        ("cmdline", chosen.artifact.command_line or ""),
    ):
        if value:
            output.line(f"{name + ':':<11}{value}")
    if len(every) > 1:
        output.line("images:")
        output.table(_fitting(list(_tree(chosen, every, facts, short=short, bars=on_terminal)), bars=on_terminal))
        if len(every) == MAX_IMAGES:
            output.line(f"  … (the first {MAX_IMAGES} are shown)")
    elif chosen.artifact.parts:
        output.line("parts:")
        rows = _rows(chosen, facts, short=short, bars=on_terminal, most=_largest([chosen], facts))
        header = ("  ROLE", "NAME", "TYPE", "SIZE", *([""] if on_terminal else []), "DIGEST", "WHERE")
        table = [header, *(("  " + role, *rest) for role, *rest in rows)]
        output.table(_fitting(table, bars=on_terminal))
    output.mapping("labels", chosen.image.config.labels)
    output.mapping("annotations", chosen.image.manifest.annotations)
    if not chosen.dialect:
        for hint in untried(chosen.image):
            output.info(hint)


def _fitting(rows: list[tuple[str, ...]], *, bars: bool) -> list[tuple[str, ...]]:
    """*rows*, on a terminal without columns that would make its lines wrap: first the bars, then digests of nothing."""
    if not bars:
        return rows
    columns = terminal.dimensions(sys.stdout)[0]
    if output.table_width(rows) > columns:
        rows = [(*row[:_BARS], *row[_BARS + 1 :]) for row in rows]
    if output.table_width(rows) > columns and not any(row[_BARS] not in ("", "-", "DIGEST") for row in rows):
        rows = [(*row[:_BARS], *row[_BARS + 1 :]) for row in rows]
    return rows


def _tree(
    chosen: Inspection, every: Sequence[ImageSummary], facts: Facts, *, short: bool, bars: bool
) -> Iterator[tuple[str, ...]]:
    """One row an image, and below it one a part, joined by lines."""
    most = _largest(every, facts)
    padding = ("",) if bars else ()
    for number, summary in enumerate(every, 1):
        corner, rail = ("└─", "  ") if number == len(every) else ("├─", "│ ")
        size = image_size(summary.image) if summary.is_readable else None
        digest, size_text = str(summary.image.descriptor.digest), "-" if size is None else output.size(size)
        mark = " (shown above)" if summary is chosen else ""
        platform = f"{corner} {summary.image.platform or 'no platform'}"
        dialect = (summary.dialect or ("no parts declared" if summary.is_readable else summary.unknown)) + mark
        yield platform, dialect, "", size_text, *padding, shorten_digest(digest, short), ""
        rows = _rows(summary, facts, short=short, bars=bars, most=most)
        for count, (role, *rest) in enumerate(rows, 1):
            yield f"{rail} {'└─' if count == len(rows) else '├─'} {role}", *rest


def _rows(summary: ImageSummary, facts: Facts, *, short: bool, bars: bool, most: int) -> list[tuple[str, ...]]:
    rows = []
    for part in parts_of(summary.artifact):
        part_facts = facts.get(part) or declared_facts(part, summary.image)
        source = location_of(part)
        blob, path = source["blob"] or _text(part_facts.blob), part_facts.path or source["path"]
        bar = (_bar(part_facts.size, most),) if bars else ()
        rows.append(
            (
                part_label(part),
                part.name,
                str(part_facts.disk_type or "-"),
                "-" if part_facts.size is None else output.size(part_facts.size),
                *bar,
                shorten_digest(str(part_facts.digest), short) if part_facts.digest else "-",
                ":".join(filter(None, (shorten_digest(blob, short) if blob else None, path))) or "-",
            )
        )
    return rows


def _largest(every: Sequence[ImageSummary], facts: Facts) -> int:
    sizes = [
        (facts.get(part) or declared_facts(part, summary.image)).size or 0
        for summary in every
        for part in parts_of(summary.artifact)
    ]
    return max(sizes, default=0)


def _bar(size: int | None, most: int) -> str:
    """A bar as long as *size* is beside *most*; what is not nothing has an eighth of a block at least.

    >>> _bar(50, 100), _bar(1, 10**9), _bar(None, 5)
    ('████████', '▏', '')
    """
    if not size or not most:
        return ""
    eighths = max(1, round(size * _BAR * 8 / most))
    return "█" * (eighths // 8) + "▏▎▍▌▋▊▉"[eighths % 8 - 1 : eighths % 8]


def shorten_digest(digest: str, short: bool) -> str:
    """*digest*, with its first 12 digits only where *short*."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHORT]}" if short and encoded else digest


def _text(digest: Digest | None) -> str | None:
    return str(digest) if digest else None
