"""Laws of the chunked body: however it is cut, what comes out is what went in, or an error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.errors import TransportError
from eci_convert.transports.docker_daemon.response_body import RECEIVE_SIZE, dechunked

CHUNKS = st.lists(st.binary(min_size=1, max_size=200), max_size=20)


def chunked(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def in_pieces(stream: bytes, cuts: list[int]) -> Callable[[memoryview], int]:
    """What receives *stream* in pieces that end at *cuts*."""
    ends = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    waiting = [stream[start:end] for start, end in pairwise(ends)]

    def fill(view: memoryview) -> int:
        if not waiting:
            return 0
        piece = waiting.pop(0)
        count = min(len(view), len(piece))
        view[:count] = piece[:count]
        if piece[count:]:
            waiting.insert(0, piece[count:])
        return count

    return fill


@given(CHUNKS, st.lists(st.integers(0, 10000)), st.sampled_from([b"", b"Trailer: x\r\n"]))
def test_the_content_comes_out_however_it_is_cut(chunks: list[bytes], cuts: list[int], trailer: bytes) -> None:
    assert b"".join(dechunked(in_pieces(chunked(chunks, trailer), cuts))) == b"".join(chunks)


@given(CHUNKS, st.integers(0, 10000))
def test_a_body_that_is_cut_anywhere_is_an_error(chunks: list[bytes], cut: int) -> None:
    stream = chunked(chunks)

    with pytest.raises(TransportError, match="unexpected EOF"):
        list(dechunked(in_pieces(stream[: cut % len(stream)], [])))


@given(CHUNKS.filter(bool), st.integers(0, 10000), st.integers(0, 255))
def test_a_byte_that_changed_between_chunks_is_no_reason_to_hang(chunks: list[bytes], at: int, value: int) -> None:
    stream = bytearray(chunked(chunks))
    stream[at % len(stream)] = value

    try:
        found = b"".join(dechunked(in_pieces(bytes(stream), [])))
    except TransportError:
        return
    assert len(found) <= len(stream)


def test_pieces_are_of_one_mib_whatever_the_chunks_are() -> None:
    content = bytes(range(256)) * (10 << 10)
    chunks = [content[start : start + (32 << 10)] for start in range(0, len(content), 32 << 10)]

    pieces = list(dechunked(in_pieces(chunked(chunks), [])))

    assert {len(piece) for piece in pieces[:-1]} == {RECEIVE_SIZE}
    assert b"".join(pieces) == content


def test_a_chunk_that_claims_to_be_huge_takes_no_memory() -> None:
    with pytest.raises(TransportError, match="unexpected EOF"):
        list(dechunked(in_pieces(b"7fffffffffffffff\r\nabc", [])))


def test_a_trailer_without_end_is_an_error() -> None:
    with pytest.raises(TransportError, match="too many trailers"):
        list(dechunked(in_pieces(b"0\r\n" + b"x: y\r\n" * 1000, [])))
