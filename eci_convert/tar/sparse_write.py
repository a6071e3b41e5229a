"""Writes sparse members, for archives that only transfer content: holes are not sent.

GNU tar manual, "Storing Sparse Files", PAX format 1.0, which Go's archive/tar, and so every engine, expands. Layers are
never written so: their diff ids would be those of the packed bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from eci_convert.errors import LocalError
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.tar.header import TAR_BLOCK
from eci_convert.tar.sparse_read import SparseMap
from eci_convert.tar.writer import TarMember, member_header

MAX_MAP_ENTRIES: Final = 10_000
"""Entries of a map: readers accept 1 MiB of text at most."""
_GAP = 64 << 10
_MIN_SAVING = 1 << 20


def sparse_map(data: Iterable[tuple[int, int]], size: int) -> SparseMap:
    """*data*, (offset, length) in ascending order, with small gaps closed and limited to `MAX_MAP_ENTRIES` entries;
    empty if the holes of *size* bytes are not worth it. GNU tar requires entries to begin at a block, so they consist
    of whole blocks."""
    entries, gap = list[tuple[int, int]](), _GAP
    for offset, length in data:
        if length:
            _append(entries, *_whole_blocks(offset, offset + length, size), gap)
        while len(entries) > MAX_MAP_ENTRIES:
            gap, finer, entries = 2 * gap, entries, []
            for entry in finer:
                _append(entries, *entry, gap)
    return entries if size - sum(length for _, length in entries) >= _MIN_SAVING else []


def sparse_header(member: TarMember, entries: SparseMap) -> bytes:
    """The header blocks of *member*, whose content has data only at *entries*, and the map at the start of the
    content."""
    directory, _, file = member.name.rpartition("/")
    numbers = [len(entries) + 1, *(number for entry in entries for number in entry), member.size, 0]
    text = b"".join(b"%d\n" % number for number in numbers)
    text += bytes(-len(text) % TAR_BLOCK)
    packed = TarMember(
        name=f"{directory}/GNUSparseFile.0/{file}" if directory else f"GNUSparseFile.0/{file}",
        size=len(text) + packed_size(entries),
    )
    return member_header(packed, {"name": member.name, "realsize": str(member.size), "major": "1", "minor": "0"}) + text


def packed_size(entries: SparseMap) -> int:
    """The number of bytes at *entries*."""
    return sum(length for _, length in entries)


def only_data(chunks: Iterable[bytes], entries: SparseMap) -> Iterator[bytes]:
    """The part of *chunks* that is at *entries*. Raises LocalError if there is anything but zeros between them."""
    rest, at = iter(entries), 0
    start = stop = 0
    for chunk in chunks:
        begin, end = at, at + len(chunk)
        while at < end:
            if at >= stop:
                start, stop = next(((offset, offset + length) for offset, length in rest), (end, end))
            upto = min(end, start if at < start else stop)
            if at >= start:
                yield chunk if upto - at == len(chunk) else chunk[at - begin : upto - begin]
            elif chunk is not ZERO_BLOCK and chunk.count(0, at - begin, upto - begin) != upto - at:
                raise LocalError("a file changed while it was read: data where a hole was")
            at = upto


def _append(entries: list[tuple[int, int]], offset: int, length: int, gap: int) -> None:
    """Appends to *entries*, or extends the last one if the gap is smaller than *gap* bytes."""
    if entries and offset - sum(entries[-1]) < gap:
        entries[-1] = (entries[-1][0], offset + length - entries[-1][0])
    else:
        entries.append((offset, length))


def _whole_blocks(start: int, stop: int, size: int) -> tuple[int, int]:
    start -= start % TAR_BLOCK
    return start, min(stop + -stop % TAR_BLOCK, size) - start
