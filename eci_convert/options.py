"""Options that every operation has: how bytes are moved, whatever is moved; and the time of what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.progress import NULL_REPORTER, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How bytes are moved.

    *concurrency* is how many blobs are moved at once. *max_size* (bytes) bounds each part, or each blob where images
    are copied as they are; None is no limit. *resume_directory* keeps what arrived over a network until all is done,
    for the case that the process ends too early; None keeps nothing. *conversions_directory* remembers what images
    became in other formats, so that the next copy finds them; None remembers nothing. *dry_run* writes nothing and
    counts what would be.
    """

    reporter: Reporter = NULL_REPORTER
    concurrency: int = 1
    max_size: int | None = None
    resume_directory: Path | None = None
    conversions_directory: Path | None = None
    dry_run: bool = False


def source_date_epoch(environ: Mapping[str, str]) -> int:
    """Seconds since 1970 that every time written is: `SOURCE_DATE_EPOCH` of *environ*, else 0. Raises UsageError.

    >>> source_date_epoch({"SOURCE_DATE_EPOCH": "1600000000"}), source_date_epoch({})
    (1600000000, 0)
    """
    text = environ.get("SOURCE_DATE_EPOCH", "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: it must be a number of seconds since 1970")
    return int(text)
