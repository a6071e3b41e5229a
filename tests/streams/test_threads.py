"""Both sides run at the same time, and neither outlives the other."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from eci_convert.compression.codec import Compression, decompressed
from eci_convert.errors import CorruptStreamError
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.threads import prefetch
from tests.support.chunking import close, cut, cut_by, endless, repetitive, sizes


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Source:
    """A generator that remembers how it ended, and in which thread."""

    def __init__(
        self, piece: bytes = b"x" * 1000, failing_after: int | None = None, error: Exception | None = None
    ) -> None:
        self.fetched = 0
        self.threads: set[int] = set()
        self.closed = False
        self._piece, self._failing_after, self._error = piece, failing_after, error

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in endless(self._piece):
                if self.fetched == self._failing_after:
                    assert self._error
                    raise self._error
                self.fetched += 1
                self.threads.add(threading.get_ident())
                yield chunk
        finally:
            self.threads.add(threading.get_ident())
            self.closed = True


@settings(max_examples=30)
@given(repetitive, sizes)
def test_what_goes_in_comes_out(data: bytes, cuts: list[int]) -> None:
    assert b"".join(prefetch(cut_by(data, cuts), 3000)) == data


def test_the_source_runs_in_another_thread() -> None:
    source = Source()
    stage = prefetch(iter(source), 2000)
    next(stage)
    close(stage)

    assert threading.get_ident() not in source.threads
    assert len(source.threads) == 1, "closed where it ran"


def test_the_source_is_fetched_while_the_consumer_is_busy_up_to_the_depth() -> None:
    source = Source()
    stage = prefetch(iter(source), 5000)
    next(stage)
    deadline = time.monotonic() + 10
    while source.fetched < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)

    assert 6 <= source.fetched <= 7
    close(stage)


def test_a_chunk_that_is_longer_than_the_depth_passes() -> None:
    assert list(prefetch([b"x" * 100, b"y" * 100], 10)) == [b"x" * 100, b"y" * 100]


def test_holes_take_no_room() -> None:
    source = Source(ZERO_BLOCK)
    stage = prefetch(iter(source), 1 << 20)
    next(stage)
    deadline = time.monotonic() + 10
    while source.fetched < 500 and time.monotonic() < deadline:
        time.sleep(0.001)

    assert source.fetched >= 500
    close(stage)


def test_an_empty_chunk_is_not_the_end() -> None:
    assert b"".join(prefetch([b"a", b"", b"b"])) == b"ab"


def test_an_exception_of_the_source_comes_in_its_place() -> None:
    error = CorruptStreamError("bad")
    passed: list[bytes] = []

    with pytest.raises(CorruptStreamError) as caught:
        passed.extend(prefetch(iter(Source(failing_after=3, error=error))))
    assert caught.value is error

    stage = prefetch(iter(Source(failing_after=3, error=CorruptStreamError("bad"))))
    assert [len(next(stage)) for _ in range(3)] == [1000] * 3
    with pytest.raises(CorruptStreamError, match="bad"):
        next(stage)


def test_closing_stops_and_closes_the_source() -> None:
    source = Source()
    stage = prefetch(iter(source), 4000)
    next(stage)

    close(stage)

    assert source.closed


def test_an_exception_of_the_consumer_stops_and_closes_the_source() -> None:
    source = Source()

    def consume() -> None:
        for _ in prefetch(iter(source), 4000):
            raise ValueError("no space")

    with pytest.raises(ValueError, match="no space"):
        consume()
    gc.collect()

    assert source.closed


def test_stages_of_stages_are_closed_together() -> None:
    source = Source()
    stage = prefetch(decompressed(prefetch(iter(source), 4000), Compression.NONE), 4000)
    next(stage)

    close(stage)

    assert source.closed


@pytest.mark.parametrize("stage", ["prefetch(endless)", "iter(HashingStream(endless, threaded=True))", "packed"])
def test_a_program_that_ends_with_a_stage_half_read_ends(stage: str) -> None:
    """Whatever holds on to it: a name in a module, a cycle, a traceback."""
    program = f"""
        import itertools, sys
        from eci_convert.compression.codec import Codec, compressed
        from eci_convert.streams.hashing import HashingStream
        from eci_convert.streams.threads import prefetch
        endless = itertools.repeat(b"x" * 1_000_000)
        packed = compressed(HashingStream(endless, threaded=True), Codec.parse("gzip"))
        stage = {stage}
        cycle = [stage]
        cycle.append(cycle)
        next(stage)
        sys.exit(3)
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)

    assert done.returncode == 3


def test_a_stage_that_was_never_begun_has_no_thread() -> None:
    source = Source()
    stage = prefetch(iter(source))

    close(stage)

    assert not source.fetched


def test_small_chunks_are_not_lost_between_threads() -> None:
    data = bytes(range(256)) * 200

    assert b"".join(prefetch(prefetch(cut(data, 7), 64), 64)) == data
