"""Sizes as people read them."""

from __future__ import annotations


def format_size(count: int) -> str:
    """*count* bytes as people read them.

    >>> format_size(2 * 1024**3)
    '2.0 GiB'
    """
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
