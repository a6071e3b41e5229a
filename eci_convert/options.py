"""The time of everything that is written."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.errors import UsageError


def source_date_epoch(environ: Mapping[str, str]) -> int:
    """Seconds since 1970 that every time written is: `SOURCE_DATE_EPOCH` of *environ*, else 0. Raises UsageError.

    >>> source_date_epoch({"SOURCE_DATE_EPOCH": "1600000000"}), source_date_epoch({})
    (1600000000, 0)
    """
    text = environ.get("SOURCE_DATE_EPOCH", "") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: it must be a number of seconds since 1970")
    return int(text)
