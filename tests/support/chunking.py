"""Bytes, and the ways to cut them."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator

from hypothesis import strategies as st


def cut(data: bytes, size: int) -> list[bytes]:
    """*data* in pieces of *size* bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def cut_by(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """*data* in pieces of *sizes*, empty ones too, and then the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


sizes = st.lists(st.integers(0, 5000), max_size=12)
"""Pieces to cut a stream by."""

repetitive = st.lists(
    st.tuples(st.sampled_from([b"\0", b"kernel ", b"a"]) | st.binary(max_size=40), st.integers(0, 3000)), max_size=6
).map(lambda runs: b"".join(piece * count for piece, count in runs))
"""Content with runs, up to some 100 kB."""


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same every time."""
    return random.Random(seed).randbytes(length)


def text(length: int, seed: int = 1) -> bytes:
    """Bytes that compress to about a third, the same every time."""
    words = [b"kernel", b"initrd", b"disk", b"root", b"\0\0\0", b"boot", b"layer", b"\n"]
    source = random.Random(seed)
    return b" ".join(source.choices(words, k=length // 4))[:length].ljust(length, b"x")


class Closed(Exception):
    """What `endless` raises when it is read on."""


def endless(piece: bytes) -> Iterator[bytes]:
    """*piece* again and again."""
    while True:
        yield piece


def close(stage: Iterator[bytes]) -> None:
    """Leave *stage*, a generator, before its end."""
    assert isinstance(stage, Generator)
    stage.close()
