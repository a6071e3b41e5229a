"""PAX extended header records: `LENGTH KEY=VALUE\\n` (POSIX.1-2017 pax, "pax Extended Header")."""

from __future__ import annotations

import re
from collections.abc import Iterable

from eci_convert.errors import CorruptStreamError
from eci_convert.tar.header import text_field

_TEXTS = {"path", "linkpath", "uname", "gname"}
_DECIMAL = re.compile(r"[0-9]{1,64}", re.ASCII)
_TIME = re.compile(r"(-?)([0-9]{1,64})(?:\.([0-9]*))?", re.ASCII)
_LARGEST = (1 << 63) - 1

Records = list[tuple[str, str]]


def parse_records(data: bytes) -> Records:
    """The records of an extended header in order, including duplicates. Raises CorruptStreamError."""
    records: Records = []
    start = 0
    while start < len(data):
        digits, space, _ = data[start : start + 21].partition(b" ")
        if not space or not digits.isdigit():
            raise CorruptStreamError(f"pax header: {data[start : start + 21]!r} does not begin with a length")
        end = start + int(digits)
        record = data[start + len(digits) + 1 : end]
        if end > len(data) or not record.endswith(b"\n"):
            raise CorruptStreamError(f"pax header: a record of {int(digits)} bytes has a wrong length")
        records.append(_record(record[:-1]))
        start = end
    return records


def _record(record: bytes) -> tuple[str, str]:
    key, equals, value = record.partition(b"=")
    if not key or not equals:
        raise CorruptStreamError(f"pax header: {record[:80]!r} is not KEY=VALUE")
    if b"\0" in key or (text_field(key) in _TEXTS and b"\0" in value):
        raise CorruptStreamError(f"pax header: NUL in {record[:80]!r}")
    return text_field(key), text_field(value)


def decimal(value: str, what: str) -> int:
    """A count or an offset. Raises CorruptStreamError for signs, spaces, other digits and more than 63 bits."""
    if not _DECIMAL.fullmatch(value) or int(value) > _LARGEST:
        raise CorruptStreamError(f"pax header: {what} is {value[:80]!r}, which is not a number")
    return int(value)


def integer(value: str, what: str) -> int:
    """An integer with or without a sign. Raises CorruptStreamError for anything else, and for more than 63 bits."""
    return -decimal(value[1:], what) if value.startswith("-") else decimal(value, what)


def whole_seconds(value: str) -> int:
    """A time rounded down to seconds since the epoch. Raises CorruptStreamError for infinities, exponents and the
    like."""
    match = _TIME.fullmatch(value)
    if not match or int(match[2]) > _LARGEST:
        raise CorruptStreamError(f"pax header: mtime is {value[:80]!r}")
    seconds = int(match[2])
    if not match[1]:
        return seconds
    return -seconds - 1 if (match[3] or "").strip("0") else -seconds


def format_records(records: Iterable[tuple[str, str]]) -> bytes:
    """*records* sorted by key, as Go's archive/tar writes them.

    >>> format_records([("path", "ä")])
    b'11 path=\\xc3\\xa4\\n'
    """
    return b"".join(
        _formatted(f" {key}={value}\n".encode("utf-8", "surrogateescape")) for key, value in sorted(records)
    )


def _formatted(rest: bytes) -> bytes:
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) > len(str(len(rest))):
        length += 1
    return str(length).encode() + rest
