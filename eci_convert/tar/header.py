"""512-byte tar header blocks, parsed strictly: ustar, v7 and GNU.

POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format". Where tools disagree, the
interpretation is that of Go's archive/tar, which container engines use; what Go rejects is rejected.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eci_convert.errors import CorruptStreamError

TAR_BLOCK: Final = 512
GNU_MAGIC: Final = b"ustar  \0"
ZERO_HEADER: Final = bytes(TAR_BLOCK)
_USUAL = re.compile(rb"[0-7]+[ \0]+")
_SIGNED = struct.Struct("148b8x356b")
_SPACES = 8 * 0x20
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHeader:
    """The fields of a header block, before extension headers are applied. *typeflag* is one byte."""

    block: bytes
    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    typeflag: bytes
    linkname: str


def parse_header(block: bytes) -> RawHeader:
    """The parsed header *block*. Raises CorruptStreamError for a checksum mismatch or an invalid number."""
    _check(block)
    if block[257:262] == b"ustar":
        number(block[329:337], "device")
        number(block[337:345], "device")
    return RawHeader(
        block=block,
        name=_name(block),
        mode=number(block[100:108], "mode"),
        uid=number(block[108:116], "uid"),
        gid=number(block[116:124], "gid"),
        size=not_negative(number(block[124:136], "size"), "size"),
        mtime=number(block[136:148], "mtime"),
        typeflag=block[156:157],
        linkname=text_field(until_nul(block[157:257])),
    )


def number(field: bytes, what: str) -> int:
    """A number in octal digits, or in base-256 (two's complement after a set high bit). Raises CorruptStreamError."""
    if _USUAL.fullmatch(field):  # the common format, checked at half the cost of the general one
        return int(field.rstrip(b" \0"), 8)
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if abs(value) > _LARGEST:
            raise CorruptStreamError(f"tar header: {what} does not fit in 64 bits")
        return value
    digits = until_nul(field.strip(b" \0"))
    if not digits:
        return 0
    if digits.translate(None, b"01234567"):
        raise CorruptStreamError(f"tar header: {what} is {digits!r}, which is not an octal number")
    return int(digits, 8)


def not_negative(value: int, what: str) -> int:
    """*value*. Raises CorruptStreamError if it is negative."""
    if value < 0:
        raise CorruptStreamError(f"tar header: {what} is {value}")
    return value


def until_nul(field: bytes) -> bytes:
    """*field* up to its first NUL."""
    return field.partition(b"\0")[0]


def text_field(data: bytes) -> str:
    """*data* decoded so that it encodes to the same bytes again."""
    return data.decode("utf-8", "surrogateescape")


def _check(block: bytes) -> None:
    expected = number(block[148:156], "checksum")
    unsigned = _sum(block) - sum(block[148:156]) + _SPACES
    if unsigned != expected and sum(_SIGNED.unpack(block)) + _SPACES != expected:
        raise CorruptStreamError("tar header: checksum mismatch")


def _sum(block: bytes) -> int:
    """The sum of all bytes, computed from Adler-32 at a tenth of the cost: most header bytes are NUL."""
    if TAR_BLOCK - block.count(0) <= 256:
        return (zlib.adler32(block) & 0xFFFF) - 1
    return sum(block)


def _name(block: bytes) -> str:
    name = until_nul(block[:100])
    prefix = _prefix(block)
    return text_field(prefix + b"/" + name if prefix else name)


def _prefix(block: bytes) -> bytes:
    if block[257:263] == b"ustar\0":
        return until_nul(block[345 : 345 + (131 if block[508:512] == b"tar\0" else 155)])  # star stores times after it
    if block[257:265] == GNU_MAGIC and block[156:157] != b"S":
        # Go before 1.8, and thus old Docker versions, wrote a prefix where GNU tar stores times (digits).
        field = until_nul(block[345:500])
        if field and field.isascii() and field[:12].strip(b" 01234567"):
            return field
    return b""


class EntryType(StrEnum):
    """The type of a member."""

    FILE = "file"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    DIR = "dir"
    CHAR = "char"
    BLOCK = "block"
    FIFO = "fifo"
    OTHER = "other"
