"""Blocks of one size, and the shared block of zeros that stands for every MiB of a hole, recognisable without comparing
bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

BLOCK_SIZE: Final = 1 << 20
"""The size of blocks in bytes."""
ZERO_BLOCK: Final = bytes(BLOCK_SIZE)


_HEAD = 1 << 20


def peek_head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first 1 MiB of *chunks*, fewer at the end, and all of them, still to be read."""
    head = b""
    while len(head) < _HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head, chain((head,), chunks) if head else chunks


def peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, at least six unless there are fewer, for `detect_compression`; and all, still to be
    read."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= 6:
            break
    return head, chain((head,), rest) if head else iter(())


class PeekableStream:
    """*chunks*, to be iterated once. Before that, `peek` returns the first bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._peeked: deque[bytes] = deque()

    def peek(self, count: int) -> bytes:
        """The first *count* bytes; fewer only if there are no more. Raises the exceptions of *chunks*."""
        while sum(map(len, self._peeked)) < count and (chunk := next(self._chunks, None)) is not None:
            self._peeked.append(chunk)
        return b"".join(self._peeked)[:count]

    def __iter__(self) -> Iterator[bytes]:
        while self._peeked:
            yield self._peeked.popleft()
        yield from self._chunks


def reblocked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """*chunks* cut at every MiB. Chunks that are cut there already are passed on without copying."""
    pieces: list[bytes] = []
    have = 0
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            piece = chunk[at : at + BLOCK_SIZE - have] if at or len(chunk) > BLOCK_SIZE - have else chunk
            at += len(piece)
            have += len(piece)
            pieces.append(piece)
            if have == BLOCK_SIZE:
                yield b"".join(pieces) if len(pieces) > 1 else piece
                pieces, have = [], 0
    if pieces:
        yield b"".join(pieces)
