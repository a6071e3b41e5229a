"""Whatever a stream is made of, it is inflated as by one decoder; on several cores where it was flushed fully."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.compression import gzip_read
from eci_convert.compression.codec import Codec, compressed
from eci_convert.compression.decoder import INFLATE_ERRORS, decode_member, deflate_decoder
from eci_convert.compression.gzip_read import Segments, gzip_decompressed
from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.errors import CorruptStreamError
from eci_convert.streams.blocks import ZERO_BLOCK
from tests.conftest import CountByThread
from tests.support.chunking import close, cut, cut_by, noise, repetitive, sizes, text

MIB = 1 << 20
MARK = b"\0\0\xff\xff"
FLUSHES = {"full": zlib.Z_FULL_FLUSH, "sync": zlib.Z_SYNC_FLUSH, "partial": zlib.Z_PARTIAL_FLUSH}
stretches = st.lists(
    st.tuples(
        repetitive | st.sampled_from([MARK, b"x" + MARK * 3, bytes(70_000), noise(3000), MARK + noise(50) + MARK]),
        st.sampled_from([*FLUSHES, "none"]),
        st.integers(0, 9),
    ),
    max_size=8,
)
"""What goes into a stream, how each stretch ends, and the level (0 stores)."""
Part = tuple[bytes, str, int]


def deflated(parts: Iterable[Part]) -> bytes:
    """One deflate stream of *parts*. Another level is another compressor, which begins behind a full flush."""
    made, level, stream = b"", -1, zlib.compressobj(1, zlib.DEFLATED, -15)
    for data, flush, wanted in parts:
        if wanted != level:
            made += stream.flush(zlib.Z_FULL_FLUSH) if level >= 0 else b""
            level, stream = wanted, zlib.compressobj(wanted, zlib.DEFLATED, -15)
        made += stream.compress(data)
        made += stream.flush(FLUSHES[flush]) if flush in FLUSHES else b""
    return made + stream.flush()


def member(raw: bytes, data: bytes) -> bytes:
    return gzip.compress(b"", mtime=0)[:10] + raw + zlib.crc32(data).to_bytes(4, "little") + trailing(data)


def trailing(data: bytes) -> bytes:
    return (len(data) & 0xFFFFFFFF).to_bytes(4, "little")


def stored_behind(data: bytes, payload: bytes) -> bytes:
    """*data* deflated, and *payload* in a stored block that begins in the middle of a byte."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    empty = stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)
    length = len(payload)
    return empty[:-4] + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + payload


def inflated(chunks: Iterable[bytes], threads: int = 2) -> tuple[bytes, bytes]:
    """What we make of a bare stream, for which no checksum answers, and what is left behind it."""
    source, made = LookaheadReader(chunks), b""
    cutting = Segments(source, threads)
    try:
        for segment in cutting:
            assert segment.crc == zlib.crc32(segment.data)
            made += segment.data
    finally:
        cutting.close()
    made += b"".join(decode_member(source, deflate_decoder(made[-32768:]), "deflate", INFLATE_ERRORS))
    source.at_least(1 << 30)
    return made, bytes(source.view())


def expected(raw: bytes) -> tuple[bytes, bytes] | None:
    """What one decoder makes of all of it, and what is left behind; None if it is malformed."""
    source = LookaheadReader([raw])
    try:
        made = b"".join(decode_member(source, deflate_decoder(), "deflate", INFLATE_ERRORS))
    except CorruptStreamError:
        return None
    source.at_least(1 << 30)
    return made, bytes(source.view())


@pytest.fixture
def tried(by_thread: CountByThread) -> Counter[str]:
    """How often each thread tried to inflate a segment."""
    return by_thread(gzip_read, "_proved")


@given(stretches, sizes)
def test_any_stream_is_inflated_however_it_was_flushed_and_is_cut(parts: list[Part], cuts: list[int]) -> None:
    raw, data = deflated(parts), b"".join(data for data, *_ in parts)

    assert inflated(cut_by(raw + b"behind", cuts)) == (data, b"behind")
    assert b"".join(gzip_decompressed(cut_by(2 * member(raw, data) + bytes(9), cuts), 2)) == 2 * data


@given(stretches, st.data())
def test_a_damaged_stream_is_what_one_decoder_says_without_any_checksum(parts: list[Part], draw: st.DataObject) -> None:
    damaged = bytearray(deflated(parts))
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    raw = bytes(damaged[: draw.draw(st.integers(0, len(damaged)))])

    if wanted := expected(raw):
        assert inflated([raw]) == wanted
    else:
        with pytest.raises(CorruptStreamError, match=r"unexpected EOF|Invalid"):
            inflated([raw])


def test_both_libraries_inflate_all_of_it(library: str) -> None:
    for seed in range(30):
        source = random.Random(seed)
        kinds = [
            text(source.randrange(200_000), seed),
            noise(source.randrange(5000)),
            bytes(source.randrange(MIB)),
            MARK,
        ]
        parts = [(source.choice(kinds), source.choice([*FLUSHES, "none"]), source.randrange(10)) for _ in range(12)]
        assert inflated(cut(deflated(parts), 30_000)) == (b"".join(data for data, *_ in parts), b"")


class TestOurs:
    def test_layers_that_we_packed_are_inflated_by_several_threads(self, tried: Counter[str]) -> None:
        data = text(5 * MIB + 99)
        made = compressed([data], Codec.parse("gzip"))

        assert b"".join(gzip_decompressed(made, 2)) == data
        assert tried == {"MainThread": 1, "undo": 4}, "the last block ends the stream and is no segment"

    @pytest.mark.skipif(not shutil.which("pigz"), reason="no pigz")
    def test_so_is_what_pigz_makes_with_independent_blocks(self, tried: Counter[str]) -> None:
        data = text(2 * MIB)
        made = subprocess.run(["pigz", "-i", "-c"], input=data, capture_output=True, check=True).stdout

        assert b"".join(gzip_decompressed(cut(made, 100_000), 2)) == data
        assert tried["undo"] >= 14, "128 KiB each"

    def test_what_repeats_is_inflated_once_and_zeros_are_the_shared_ones(self, tried: Counter[str]) -> None:
        made = list(compressed([text(MIB), *[ZERO_BLOCK] * 50, text(MIB), *[ZERO_BLOCK] * 50], Codec.parse("gzip")))

        blocks = list(gzip_decompressed(made, 2))

        assert sum(tried.values()) == 4, "two texts, zeros, and the zeros before the end of the stream"
        assert sum(block is ZERO_BLOCK for block in blocks) == 99

    def test_stored_blocks_need_no_decoder_and_hide_no_marks(self, tried: Counter[str]) -> None:
        data = b"".join(MARK + b"\3\0" + noise(1000, seed) for seed in range(3000))
        made = list(compressed([data], Codec.parse("gzip")))

        assert b"".join(gzip_decompressed(made, 2)) == data
        assert len(b"".join(made)) > len(data)
        assert not tried

    def test_one_segment_alone_begins_no_thread(self, tried: Counter[str]) -> None:
        raw = deflated([(b"kernel" * 99, "full", 6)])

        assert b"".join(gzip_decompressed([member(raw, b"kernel" * 99)], 2)) == b"kernel" * 99
        assert tried == {"MainThread": 1}


class TestOthers:
    def test_a_stream_that_refers_back_across_its_flushes_is_tried_at_its_beginning_only(
        self, tried: Counter[str]
    ) -> None:
        stream, data = zlib.compressobj(6, zlib.DEFLATED, -15), [text(100_000, seed) for seed in range(60)]
        raw = b"".join(stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH) for piece in data) + stream.flush()

        assert b"".join(gzip_decompressed(cut(member(raw, b"".join(data)), 50_000), 2)) == b"".join(data)
        assert 2 <= sum(tried.values()) <= 8

    def test_a_stream_without_flushes_is_not_tried(self, tried: Counter[str]) -> None:
        data = text(4 * MIB)

        assert b"".join(gzip_decompressed(cut(gzip.compress(data), 90_000), 2)) == data
        assert not tried

    def test_a_stream_that_is_flushed_at_every_line_is_soon_left_to_one_decoder(self, tried: Counter[str]) -> None:
        lines = [text(700, seed) for seed in range(1000)]
        raw = deflated([(line, "full", 6) for line in lines])

        assert b"".join(gzip_decompressed([member(raw, b"".join(lines))], 2)) == b"".join(lines)
        assert 64 <= sum(tried.values()) <= 72

    def test_a_row_of_empty_stored_blocks_is_not_gathered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gathered: list[int] = []
        unstored = gzip_read._unstored

        def counting(piece: memoryview) -> bytes:
            gathered.append(len(piece))
            return unstored(piece)

        monkeypatch.setattr(gzip_read, "_unstored", counting)
        raw = b"\0\0\0\xff\xff" * 300_000 + deflated([(b"end", "none", 6)])

        assert inflated(cut(raw, 100_000)) == (b"end", b"")
        assert max(gathered) < 1000
        assert len(gathered) < 100

    def test_thousands_of_members_with_flushes_are_linear_work(self) -> None:
        one = member(deflated([(b"x", "sync", 6), (b"x", "none", 6)]), b"xx")

        assert b"".join(gzip_decompressed([one * 20_000], 2)) == b"xx" * 20_000

    def test_a_mark_that_is_there_by_chance_costs_a_second_try_and_no_more(self, tried: Counter[str]) -> None:
        raw = stored_behind(b"kernel " * 9, b"abc" + MARK + b"de") + deflated(
            [(text(20_000, n), "full", 6) for n in range(9)]
        )

        assert inflated([raw]) == expected(raw)
        assert tried["MainThread"] == 2
        assert 8 <= tried["undo"] <= 8 + 4, "those that were ahead are tried again"

    def test_more_than_a_mebibyte_between_two_flushes_comes_in_blocks_all_the_same(self, tried: Counter[str]) -> None:
        raw = deflated([(bytes(9 * MIB), "full", 6), (bytes(9 * MIB), "full", 6)])

        blocks = list(gzip_decompressed([member(raw, bytes(18 * MIB))], 2))

        assert b"".join(blocks) == bytes(18 * MIB)
        assert max(map(len, blocks)) <= MIB


class TestMalice:
    """A reader that took a mark at its word would see another content than everybody else."""

    @pytest.mark.parametrize("before", [b"", b"k" * 100])
    @pytest.mark.parametrize("left", [0, 1, 4, 5, 20, 21, 22, 40])
    def test_a_stream_within_a_stored_block_stays_one(self, before: bytes, left: int) -> None:
        smuggled = deflated([(b"another content", "full", 6)])
        payload = b"abc" + MARK + smuggled
        payload = payload[: 7 + left] if left else payload
        raw = stored_behind(before + b"kernel " * 9, payload) + deflated([(b"the content", "full", 6)])

        assert inflated([raw]) == expected(raw)
        content = expected(raw)
        assert content
        assert content[0] == zlib.decompressobj(-15).decompress(raw)

    def test_a_stream_that_ends_before_the_mark_ends_there(self) -> None:
        raw = deflated([(b"content", "none", 6)])
        more = deflated([(b"another", "full", 6)])

        assert inflated([raw + more]) == (b"content", more)

    @given(st.binary(max_size=60), st.binary(max_size=60))
    def test_bytes_before_and_behind_a_mark_mean_what_one_decoder_says(self, before: bytes, behind: bytes) -> None:
        raw = before + MARK + behind + MARK + b"\3\0"

        if wanted := expected(raw):
            assert inflated([raw]) == wanted
        else:
            with pytest.raises(CorruptStreamError, match=r"unexpected EOF|Invalid"):
                inflated([raw])


def test_no_thread_outlives_the_stage_and_it_can_be_left_early() -> None:
    made = list(compressed([text(8 * MIB)], Codec.parse("gzip")))
    before = set(threading.enumerate())

    stage = gzip_decompressed(made, 3)
    next(stage), next(stage), next(stage)
    assert set(threading.enumerate()) - before
    close(stage)

    assert not set(threading.enumerate()) - before


def test_no_more_is_fetched_than_a_few_segments_ahead() -> None:
    fetched = 0

    def source() -> Iterator[bytes]:
        nonlocal fetched
        for piece in compressed([text(40 * MIB)], Codec.parse("gzip")):
            fetched += 1
            yield piece

    stage = gzip_decompressed(source(), 2)
    for _ in range(10):
        next(stage)

    assert fetched <= 17
    close(stage)


def test_an_exception_of_the_source_comes_through() -> None:
    made = b"".join(compressed([text(3 * MIB)], Codec.parse("gzip")))

    def failing() -> Iterator[bytes]:
        yield made[: len(made) // 2]
        raise CorruptStreamError("the connection")

    with pytest.raises(CorruptStreamError, match="the connection"):
        list(gzip_decompressed(failing(), 2))
