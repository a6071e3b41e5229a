"""Formats sizes, rates and times; bytes in binary units."""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SHORT = 999.95
"""Three digits before the point are the most that a column has."""


def size(count: int) -> str:
    """*count* bytes as people read them.

    >>> size(2 * 1024**3)
    '2.0 GiB'
    """
    unit = _unit(count)
    return f"{_amount(count, unit)} {UNITS[unit]}"


def size_of(done: int, total: int) -> str:
    """*done* of *total* bytes, both in the unit of *total*.

    >>> size_of(512 * 1024**2, 2 * 1024**3)
    '0.5 of 2.0 GiB'
    """
    unit = _unit(total, _SHORT)
    return f"{_amount(done, unit)} of {_amount(total, unit)} {UNITS[unit]}"


def rate(speed: float) -> str:
    """*speed* bytes a second.

    >>> rate(3 * 1024**2)
    '3.0 MiB/s'
    """
    unit = _unit(int(speed), _SHORT)
    return f"{_amount(int(speed), unit)} {UNITS[unit]}/s"


def duration(seconds: float) -> str:
    """*seconds* as people read them.

    >>> duration(7.4), duration(75), duration(3675)
    ('7 s', '1:15', '1:01:15')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def percent(done: int, total: int | None) -> str:
    """How much *done* is of *total*; 100 % is said only when nothing is left.

    >>> percent(2999, 3000), percent(3000, 3000), percent(1, None)
    ('99 %', '100 %', '')
    """
    if total is None:
        return ""
    return f"{min(done, total) * 100 // total if total else 100} %"


def _unit(count: int, most: float = 1024.0) -> int:
    """The number of the unit in which *count* is less than *most*, if there is one."""
    unit, limit = 0, most
    while count >= limit and unit < len(UNITS) - 1:
        unit, limit = unit + 1, limit * 1024
    return unit


def _amount(count: int, unit: int) -> str:
    return f"{count / 1024**unit:.1f}" if unit else str(count)
