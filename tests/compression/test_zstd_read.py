"""Frames are undone side by side where they say what they are, and to the same bytes wherever they come from."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.compression import zstd_read
from eci_convert.compression.codec import Codec, compressed
from eci_convert.compression.libzstd import zstd
from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.compression.zstd_read import zstd_decompressed
from eci_convert.errors import CorruptStreamError
from eci_convert.streams.blocks import ZERO_BLOCK
from tests.conftest import CountByThread
from tests.support.chunking import cut, cut_by, noise, sizes, text

MIB = 1 << 20
CONTENTS = [
    b"",
    b"kernel",
    bytes(70_000),
    text(65_536),
    text(200_000),
    noise(66_000),
    noise(9),
    bytes(MIB),
    text(MIB + 1),
]
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


def frame(content: bytes, *, sized: bool = True, checked: bool = True, level: int = 1) -> bytes:
    parameter = zstd.CompressionParameter
    maker = zstd.ZstdCompressor(options={parameter.compression_level: level, parameter.checksum_flag: checked})
    if sized:
        return maker.compress(content, maker.FLUSH_FRAME)
    return maker.compress(content) + maker.flush()


Part = tuple[bytes, bool, bool, bool]
"""Content, whether its size is declared, whether it has a checksum, whether a skippable frame follows."""
frames = st.lists(
    st.tuples(st.sampled_from(CONTENTS), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6
)


def stream(parts: list[Part]) -> bytes:
    made = (
        (frame(content, sized=sized, checked=checked), SKIPPABLE * noted) for content, sized, checked, noted in parts
    )
    return b"".join(each + note for each, note in made)


def outcome(undo: Iterator[bytes]) -> bytes | None:
    try:
        return b"".join(undo)
    except CorruptStreamError:
        return None


@pytest.fixture
def tried(by_thread: CountByThread) -> Counter[str]:
    """How often each thread tried to undo a frame."""
    return by_thread(zstd_read, "_content")


@given(frames, sizes)
def test_frames_of_all_kinds_are_undone_in_their_order(parts: list[Part], cuts: list[int]) -> None:
    assert b"".join(zstd_decompressed(cut_by(stream(parts), cuts), 2)) == b"".join(content for content, *_ in parts)


@given(frames, st.data())
def test_damage_is_found_or_undone_as_the_reader_does(parts: list[Part], draw: st.DataObject) -> None:
    made = bytearray(stream(parts))
    for _ in range(draw.draw(st.integers(1, 3))):
        made[draw.draw(st.integers(0, len(made) - 1))] = draw.draw(st.integers(0, 255))
    cut_short = bytes(made[: draw.draw(st.integers(1, len(made)))])

    assert outcome(zstd_decompressed([cut_short], 2)) == outcome(zstd_read._read(LookaheadReader([cut_short])))


def test_layers_that_we_packed_are_undone_by_several_threads(tried: Counter[str]) -> None:
    data = text(3 * MIB) + 40 * ZERO_BLOCK + text(2 * MIB) + b"end"

    blocks = list(zstd_decompressed(compressed([data], Codec.parse("zstd")), 2))

    assert b"".join(blocks) == data
    assert sum(block is ZERO_BLOCK for block in blocks) == 40
    assert tried == {"MainThread": 1, "undo": 5}


def test_a_window_over_128_mebibytes_is_refused_in_a_short_frame_too() -> None:
    made = bytearray(frame(text(MIB)))
    assert not made[4] >> 5 & 1, "it has a window of its own"
    made[5] = (28 - 10) << 3

    with pytest.raises(CorruptStreamError, match="requires too much memory"):
        list(zstd_decompressed([bytes(made)], 2))


@pytest.mark.parametrize("content", [b"k" * 1000, text(MIB + 1)], ids=["short", "long"])
def test_other_frames_are_left_to_the_reader(content: bytes, tried: Counter[str]) -> None:
    assert b"".join(zstd_decompressed(cut(frame(content) * 9, 10_000), 2)) == content * 9
    assert not tried


@pytest.mark.parametrize("behind", [b"\0", bytes(4096), b"\x28\xb5\x2f", SKIPPABLE[:7]], ids=repr)
@pytest.mark.parametrize("content", [b"kernel", text(70_000)], ids=["read", "in parallel"])
def test_padding_and_cut_frames_behind_a_frame_are_errors(content: bytes, behind: bytes) -> None:
    with pytest.raises(CorruptStreamError, match=r"^zstd: "):
        list(zstd_decompressed([frame(content), behind], 2))


def test_tens_of_thousands_of_frames_are_one_stream() -> None:
    assert b"".join(zstd_decompressed([frame(b"x") * 20_000], 2)) == b"x" * 20_000


def test_a_frame_holds_as_much_as_its_header_declares() -> None:
    made = bytearray(frame(text(70_000), checked=False))
    assert made[4] >> 6 == 2, "four bytes declare the size"
    start = 5 + (not made[4] >> 5 & 1)
    for declared in (69_999, 70_001):
        made[start : start + 4] = declared.to_bytes(4, "little")
        with pytest.raises(CorruptStreamError, match=r"^zstd: "):
            list(zstd_decompressed([bytes(made)], 2))


def test_where_there_is_no_zstd_library_the_error_says_what_is_missing() -> None:
    program = """
import sys
sys.modules["backports.zstd"] = sys.modules["_zstd"] = None  # importing them raises ImportError
from eci_convert.compression.codec import Codec, compressed, decompressed
from eci_convert.errors import LocalError
gzipped = b"".join(compressed([b"kernel"], Codec.parse("gzip")))
assert b"".join(decompressed([gzipped], None)) == b"kernel"
for stage in (compressed([b"kernel"], Codec.parse("zstd")), decompressed([b"\\x28\\xb5\\x2f\\xfd" + bytes(20)], None)):
    try:
        b"".join(stage)
    except LocalError as error:
        print(error, *getattr(error, "__notes__", ()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    line = "zstd compression needs the package backports.zstd, which is not installed hint: pip install backports.zstd"
    if sys.version_info >= (3, 14):
        line = "zstd compression needs compression.zstd, which this Python was built without"
    assert done.stdout.splitlines() == [line, line]
