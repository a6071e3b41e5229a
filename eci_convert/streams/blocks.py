"""The block of zeros that stands for every MiB of every hole: whoever meets it need not look into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

BLOCK_SIZE: Final = 1 << 20
"""How long blocks are, in bytes."""
ZERO_BLOCK: Final = bytes(BLOCK_SIZE)


_HEAD = 1 << 20


def peek_head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, 1 MiB if there are so many, and all of them still to be read."""
    head = b""
    while len(head) < _HEAD and (chunk := next(chunks, b"")):
        head += chunk
    return head, chain((head,), chunks) if head else chunks


def peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of *chunks*, six if there are so many, for `detect_compression`; and all, still to be read."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= 6:
            break
    return head, chain((head,), rest) if head else iter(())


def reblocked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """*chunks* cut anew at every MiB. Chunks that are cut there already are passed on uncopied."""
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
