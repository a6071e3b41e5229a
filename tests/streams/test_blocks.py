"""The first bytes of a stream that can be read once, and then all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.streams.blocks import PeekableStream


@given(chunks=st.lists(st.binary(max_size=5)), counts=st.lists(st.integers(0, 20), max_size=3))
def test_what_was_looked_at_is_still_to_be_read(chunks: list[bytes], counts: list[int]) -> None:
    stream, content = PeekableStream(iter(chunks)), b"".join(chunks)

    for count in counts:
        assert stream.peek(count) == content[:count]
    assert b"".join(stream) == content


def test_no_more_is_read_than_is_asked_for() -> None:
    chunks = iter([b"abc", b"def", b"ghi"])

    assert PeekableStream(chunks).peek(4) == b"abcd"

    assert next(chunks) == b"ghi"


def test_chunks_pass_as_they_are() -> None:
    stream = PeekableStream([b"abc", b"def", b"ghi"])
    stream.peek(2)

    assert list(stream) == [b"abc", b"def", b"ghi"]


def test_what_breaks_comes_out() -> None:
    def broken() -> list[bytes]:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        PeekableStream(chunk for _ in range(1) for chunk in broken()).peek(1)
