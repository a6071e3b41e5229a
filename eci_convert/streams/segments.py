"""The segments of a deflate stream (RFC 1951): what can be inflated without what is before it.

A compressor that flushes fully (zlib's Z_FULL_FLUSH, `pigz -i`, `deflate` here) ends at a byte, writes an empty stored
block, whose last bytes are 00 00 FF FF, and refers to nothing before it from then on. Those bytes are looked for. They
may be there by chance or by malice, so what they seem to end must prove that it ends there: a decoder that knows
nothing but the segment is given a last stored block with a secret in it behind it. It gives the secret back, and says
that this was the end, only if it stood between two blocks, at the first bit of a byte. If moreover the segment
begins where the one before it was proved to end, a decoder of the whole stream would have made the same of it.

Stored blocks say how long they are: a row of them is a segment whose end needs no proof.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from eci_convert.streams.abreast import Abreast, Piece, Undone
from eci_convert.streams.crc import crc32
from eci_convert.streams.inflate import BLOCK, INFLATE_ERRORS, inflater
from eci_convert.streams.window import Window

_MARK: Final = b"\0\0\xff\xff"
_SECRET: Final = os.urandom(16)
_PROOF: Final = b"\x01\x10\0\xef\xff" + _SECRET
_LONGEST = BLOCK
"""Compressed bytes: who flushes more rarely is not waited for."""
_MOST_STORED = 64
"""Stored blocks in a segment. A MiB needs 17, and a row of empty ones would have no end."""


class Segments:
    """The segments that come next in *source*, as `Abreast` has them. A source without any is not searched again."""

    def __init__(self, source: Window, threads: int | None = None) -> None:
        self._source = source
        self._abreast = Abreast(source, lambda marks: _cut(source, marks), _inflated, threads)
        self._promising = True

    def __iter__(self) -> Iterator[Undone]:
        if self._promising:
            yield from self._abreast
            self._promising = self._abreast.pays and _last_block_next(self._source)

    def close(self) -> None:
        """Ends the threads, soon."""
        self._abreast.close()


def _cut(source: Window, marks: int) -> Piece | None:
    """What may be a segment, up to the last of *marks* marks, of which one in every 4 GiB is there by chance."""
    if _last_block_next(source):
        return None
    if _is_stored(source.view()):
        return source.take(length) if (length := _stored(source)) else None
    end = 0
    for _ in range(marks):
        found = source.find(_MARK, end, _LONGEST)
        if found < 0:
            return None
        end = found + len(_MARK)
    return source.take(end)


def _last_block_next(source: Window) -> bool:
    """Whether what comes next is the last block of the stream, or nothing at all."""
    return not source.at_least(1) or bool(source.view()[0] & 1)


def _is_stored(piece: Piece) -> bool:
    """Whether *piece* begins with a stored block, not the last one."""
    return not piece[0] & 7


def _stored(source: Window) -> int:
    """How long the stored blocks are that come next, some of them, that hold no more than 1 MiB: 0 if there is none."""
    end = held = 0
    for _ in range(_MOST_STORED):
        if not source.at_least(end + 5):
            break
        head = source.view()[end : end + 5]
        length = head[1] | head[2] << 8
        if not _is_stored(head) or length ^ 0xFFFF != head[3] | head[4] << 8 or held + length > BLOCK:
            break
        if not source.at_least(end + 5 + length):
            break
        end, held = end + 5 + length, held + length
    return end


def _inflated(piece: Piece) -> Undone | None:
    """What *piece* holds, or None if it is no segment."""
    data = _unstored(piece) if _is_stored(piece) else _proved(piece)
    return None if data is None else Undone(data, crc32(data))


def _unstored(piece: Piece) -> bytes:
    held, at = [], 0
    while at < len(piece):
        end = at + 5 + (piece[at + 1] | piece[at + 2] << 8)
        held.append(piece[at + 5 : end])
        at = end
    return b"".join(held)


def _proved(piece: Piece) -> bytes | None:
    decoder = inflater()
    try:
        data = decoder.decompress(piece, BLOCK + 1)
        if decoder.eof or len(data) > BLOCK:
            return None
        secret = decoder.decompress(_PROOF, len(_SECRET) + 1)
    except INFLATE_ERRORS:
        return None
    return data if decoder.eof and not decoder.unused_data and secret == _SECRET else None
