"""TransferOptions, the options common to all operations; and SOURCE_DATE_EPOCH."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.progress import NULL_REPORTER, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How data is transferred.

    *concurrency* is the number of blobs transferred at once. *max_size* (bytes) limits each part, or each blob if
    images are copied unchanged; None is no limit. *resume_directory* holds partial downloads, so that the next run can
    resume them; None: they are not kept. *conversions_directory* caches which manifest an image was converted to, so
    that the next copy reuses it; None: no cache. *dry_run* writes nothing and counts what would be written.
    """

    reporter: Reporter = NULL_REPORTER
    concurrency: int = 1
    max_size: int | None = None
    resume_directory: Path | None = None
    conversions_directory: Path | None = None
    dry_run: bool = False


def source_date_epoch(environ: Mapping[str, str]) -> int:
    """The time recorded in everything written, in seconds since 1970: `SOURCE_DATE_EPOCH` of *environ*, else 0.

    Raises UsageError.

    >>> source_date_epoch({"SOURCE_DATE_EPOCH": "1600000000"}), source_date_epoch({})
    (1600000000, 0)
    """
    text = environ.get("SOURCE_DATE_EPOCH", "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: it must be a number of seconds since 1970")
    return int(text)
