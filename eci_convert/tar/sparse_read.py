"""Sparse members: GNU's old format and PAX 0.0, 0.1 and 1.0.

GNU tar manual, "Storing Sparse Files". A map is a list of (offset, length) in ascending order; everything else is
zeros. An inconsistent map is refused: packed bytes of a member are never taken for its content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from eci_convert.errors import CorruptStreamError, LimitExceededError
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.tar.header import GNU_MAGIC, TAR_BLOCK, not_negative, number
from eci_convert.tar.input import ByteReader, MemberContent
from eci_convert.tar.pax import Records, decimal

MAP_LIMIT: Final = 1 << 20
"""The longest map in bytes as stored, as in Go's archive/tar."""
_ENTRY = 24

SparseMap = Sequence[tuple[int, int]]


def checked_map(entries: SparseMap, real_size: int, packed_size: int) -> SparseMap:
    """*entries* if they ascend, stay within *real_size* and add up to *packed_size* bytes. Raises
    CorruptStreamError."""
    end = 0
    for offset, length in entries:
        if offset < end or offset + length > real_size:
            raise CorruptStreamError(f"sparse map: {length} bytes at {offset} overlap or go beyond {real_size}")
        end = offset + length
    if sum(length for _, length in entries) != packed_size:
        raise CorruptStreamError(f"sparse map: does not match the {packed_size} bytes stored")
    return entries


def expanded(packed: MemberContent, entries: SparseMap, real_size: int) -> Iterator[bytes]:
    """The content of a sparse member: *packed* with zeros inserted. The map must have been checked."""
    position = 0
    for offset, length in entries:
        yield from _zeros(offset - position)
        position = offset + length
        while length:
            piece = packed.read_some(length)
            length -= len(piece)
            yield piece
    yield from _zeros(real_size - position)


def _zeros(length: int) -> Iterator[bytes]:
    while length >= len(ZERO_BLOCK):
        yield ZERO_BLOCK
        length -= len(ZERO_BLOCK)
    if length:
        yield ZERO_BLOCK[:length]


def old_gnu_map(block: bytes, source: ByteReader) -> tuple[SparseMap, int]:
    """The map of a member of type S, and its real size. Reads the extension blocks after *block*."""
    if block[257:265] != GNU_MAGIC:
        raise CorruptStreamError("tar header: GNU sparse member in an archive of another format")
    entries = _old_entries(block[386:482])
    real_size = not_negative(number(block[483:495], "real size"), "real size")
    more, read = block[482], 0
    while more:
        read += TAR_BLOCK
        if read > MAP_LIMIT:
            raise LimitExceededError(f"sparse map: longer than {MAP_LIMIT} bytes")
        extension = source.read_exactly(TAR_BLOCK)
        entries += _old_entries(extension[:504])
        more = extension[504]
    return entries, real_size


def _old_entries(data: bytes) -> list[tuple[int, int]]:
    entries = []
    for start in range(0, len(data), _ENTRY):
        entry = data[start : start + _ENTRY]
        if not entry[0]:
            break
        offset, length = number(entry[:12], "sparse offset"), number(entry[12:], "sparse length")
        entries.append((not_negative(offset, "sparse offset"), not_negative(length, "sparse length")))
    return entries


def pax_0_map(records: Records) -> SparseMap:
    """The map of format 0.0, one record for each number, or of 0.1, one record for all."""
    by_key = dict(records)
    if "GNU.sparse.map" in by_key:
        numbers = by_key["GNU.sparse.map"].split(",") if by_key["GNU.sparse.map"] else []
    else:
        fields = [(key, value) for key, value in records if key in ("GNU.sparse.offset", "GNU.sparse.numbytes")]
        if any(key != ("GNU.sparse.offset", "GNU.sparse.numbytes")[i % 2] for i, (key, _) in enumerate(fields)):
            raise CorruptStreamError("sparse map: offsets and lengths do not alternate")
        numbers = [value for _, value in fields]
    entries = _pairs([decimal(value, "sparse map") for value in numbers])
    if "GNU.sparse.numblocks" in by_key and decimal(by_key["GNU.sparse.numblocks"], "numblocks") != len(entries):
        raise CorruptStreamError(f"sparse map: {len(entries)} entries, expected {by_key['GNU.sparse.numblocks']!r}")
    return entries


def pax_1_map(source: ByteReader, stored: int) -> tuple[SparseMap, int]:
    """The map of format 1.0, at the start of the *stored* bytes of content, and how many bytes of them it takes."""
    blocks, taken = bytearray(), 0
    needed: int | None = None
    lines = 0
    while needed is None or lines < needed:
        taken += TAR_BLOCK
        if taken > MAP_LIMIT:
            raise LimitExceededError(f"sparse map: longer than {MAP_LIMIT} bytes")
        if taken > stored:
            raise CorruptStreamError("sparse map: longer than its member")
        block = source.read_exactly(TAR_BLOCK)
        blocks += block
        lines += block.count(b"\n")
        if needed is None and b"\n" in blocks:
            needed = 1 + 2 * decimal(text_of(blocks.partition(b"\n")[0]), "sparse map count")
    numbers = [decimal(text_of(line), "sparse map") for line in bytes(blocks).split(b"\n")[1:needed]]
    return _pairs(numbers), taken


def text_of(line: bytes | bytearray) -> str:
    """*line* as text, one character for each byte: only digits are valid in it."""
    return line.decode("latin-1")


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise CorruptStreamError("sparse map: an offset without a length")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
