"""What `build`, `push` and `copy` tell when they are done."""

from __future__ import annotations

from eci_convert.cli import show
from eci_convert.cli.arguments import Call
from eci_convert.pack import Packed

DIALECTS = {"artifacts": "eci-artifacts", "legacy": "eci-legacy"}
"""What an image of a format is read as, where the two have different names."""


def published(call: Call, reference: str, format: str, packed: Packed, *, sentence: str, dry_run: bool) -> None:
    """One image now stands in a place, or would, if it were not for *dry_run*; *sentence* says it to people."""
    if call.json:
        return show.json(
            {
                "reference": reference,
                "digest": str(packed.descriptor.digest),
                "dialect": DIALECTS.get(format, format) or None,
                "bytes_written": packed.bytes_written,
                "bytes_reused": packed.bytes_reused,
            }
            | ({"dry_run": True} if dry_run else {})
        )
    if dry_run:
        moved = f"{show.size(packed.bytes_written)} would be written to {reference}"
        return show.line(f"{moved}, {show.size(packed.bytes_reused)} are there already")
    return show.line(sentence)
