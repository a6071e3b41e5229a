"""Sparse members are expanded, in all four formats, or refused: their packed bytes are never taken for the content."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.errors import CorruptStreamError, LimitExceededError
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.tar import entries
from tests.support.chunking import cut, cut_by, noise, sizes
from tests.support.tar_archives import block, number, one, padded, pax, read

GNU = b"ustar  \0"
MIB = 1 << 20
Pairs = Sequence[tuple[int, int]]
"""Offset and length of the data in a sparse file."""
Made = Callable[[Pairs, int, bytes], bytes]
"""Makes an archive of the pairs, the real size and the data."""


def old_gnu(pairs: Pairs, real_size: int, packed: bytes, *, magic: bytes = GNU, size: int | None = None) -> bytes:
    """A member of type S: four pairs in the header, then 21 in each extension."""

    def encoded(some: Pairs) -> bytes:
        return b"".join(number(offset) + number(length) for offset, length in some)

    first, others = pairs[:4], pairs[4:]
    rest = bytes(41) + encoded(first).ljust(96, b"\0") + bytes([bool(others)]) + number(real_size)
    made = block(b"disk", len(packed) if size is None else size, b"S", magic=magic, rest=rest)
    while others:
        made += encoded(others[:21]).ljust(504, b"\0") + bytes([len(others) > 21]) + bytes(7)
        others = others[21:]
    return made + padded(packed)


def pax_0_0(pairs: Pairs, real_size: int, packed: bytes) -> bytes:
    records = [("GNU.sparse.size", str(real_size)), ("GNU.sparse.numblocks", str(len(pairs)))]
    for offset, length in pairs:
        records += [("GNU.sparse.offset", str(offset)), ("GNU.sparse.numbytes", str(length))]
    return pax(*records) + block(b"disk", len(packed)) + padded(packed)


def pax_0_1(pairs: Pairs, real_size: int, packed: bytes, **other: str) -> bytes:
    records = {
        "GNU.sparse.size": str(real_size),
        "GNU.sparse.numblocks": str(len(pairs)),
        "GNU.sparse.map": ",".join(str(number_) for pair in pairs for number_ in pair),
        "GNU.sparse.name": "disk",
    }
    records.update({key.replace("_", "."): value for key, value in other.items()})
    return pax(*records.items()) + block(b"GNUSparseFile.1/disk", len(packed)) + padded(packed)


def pax_1_0(
    pairs: Pairs, real_size: int, packed: bytes, *, map_: bytes | None = None, stored: int | None = None
) -> bytes:
    numbers = [len(pairs), *(number_ for pair in pairs for number_ in pair)]
    map_ = padded("".join(f"{number_}\n" for number_ in numbers).encode()) if map_ is None else map_
    head = pax(
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "disk"),
        ("GNU.sparse.realsize", str(real_size)),
    )
    size = len(map_ + packed) if stored is None else stored
    return head + block(b"GNUSparseFile.1/disk", size) + padded(map_ + packed)


FORMATS = pytest.mark.parametrize("made", [old_gnu, pax_0_0, pax_0_1, pax_1_0])
maps = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 700)), max_size=60)


def placed(gaps: Pairs) -> tuple[Pairs, int]:
    """Pairs with these gaps before them, and where the last one ends."""
    pairs: list[tuple[int, int]] = []
    end = 0
    for gap, length in gaps:
        pairs.append((end + gap, length))
        end += gap + length
    return pairs, end


@settings(max_examples=60)
@given(st.sampled_from([old_gnu, pax_0_0, pax_0_1, pax_1_0]), maps, st.integers(0, 5000), sizes)
def test_holes_are_zeros(made: Made, gaps: list[tuple[int, int]], tail: int, cuts: list[int]) -> None:
    pairs, end = placed(gaps)
    packed = noise(sum(length for _, length in pairs))
    content, at = bytearray(end + tail), 0
    for offset, length in pairs:
        content[offset : offset + length] = packed[at : at + length]
        at += length

    archive = made(pairs, end + tail, packed) + block(b"next")

    found = [(e.name, e.size, b"".join(e.chunks), e.stored_contiguously) for e in entries(cut_by(archive, cuts))]
    assert found == [("disk", len(content), bytes(content), False), ("next", 0, b"", True)]


@FORMATS
def test_a_sparse_member_that_is_not_taken_is_skipped(made: Made) -> None:
    archive = made([(1000, 600), (5000, 700)], 9000, noise(1300)) + block(b"next")

    assert [entry.name for entry in entries(cut(archive, 333))] == ["disk", "next"]


@FORMATS
def test_holes_share_one_block_of_zeros(made: Made) -> None:
    entry = next(entries([made([(5 * MIB, 3)], 9 * MIB, b"end")]))

    assert sum(chunk is ZERO_BLOCK for chunk in entry.chunks) == 8


@FORMATS
@pytest.mark.parametrize(
    ("pairs", "real_size"),
    [
        ([(0, 100), (50, 100)], 1000),
        ([(500, 100), (0, 100)], 1000),
        ([(0, 100), (950, 100)], 1000),
        ([(0, 200)], 100),
        ([(2000, 0), (0, 200)], 3000),
        ([(0, 200), (5000, 0)], 1000),
        ([(2**62, 2**62), (2**62, 2**62)], 2**62),
        ([(0, 100)], 1000),
        ([(0, 300)], 1000),
        ([], 1000),
    ],
    ids=str,
)
def test_a_map_that_is_not_exact_is_refused(made: Made, pairs: Pairs, real_size: int) -> None:
    with pytest.raises(CorruptStreamError, match="sparse map"):
        read(made(pairs, real_size, b"x" * 200))


@FORMATS
def test_a_sparse_member_that_is_cut_is_an_error(made: Made) -> None:
    archive = made([(1000, 600), (5000, 700)], 9000, noise(1300))

    content = archive.rindex(archive.rstrip(b"\0")[-1:]) + 1  # padding behind it may be missing
    for end in range(513, content, 101):
        with pytest.raises(CorruptStreamError, match="unexpected EOF"):
            read(archive[:end])
        if end > 1024:
            with pytest.raises(CorruptStreamError, match="unexpected EOF"):
                list(entries([archive[:end]]))


@FORMATS
def test_a_real_size_of_exabytes_takes_no_memory(made: Made) -> None:
    tracemalloc.start()
    entry = next(entries([made([(0, 3)], 2**62, b"end")]))
    total = sum(len(next(entry.chunks)) for _ in range(2000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > 1000 * MIB
    assert peak < 4 * MIB


class TestOldGnu:
    def test_a_chain_of_extensions_is_refused_after_a_mebibyte(self) -> None:
        """CVE-2025-58183: the map was read to its end before it was looked at."""
        many = [(n * 2, 1) for n in range(60_000)]

        with pytest.raises(LimitExceededError, match="sparse map: longer than 1048576 bytes"):
            read(old_gnu(many, 10**6, b"x" * 60_000))

    def test_the_type_in_an_archive_that_is_not_gnu_is_refused(self) -> None:
        with pytest.raises(CorruptStreamError, match="GNU sparse member"):
            read(old_gnu([(0, 3)], 3, b"abc", magic=b"ustar\x0000"))

    def test_negative_numbers_are_refused(self) -> None:
        for pairs, size in (([(-5, 3)], 3), ([(0, -3)], 3), ([(0, 3)], -3)):
            with pytest.raises(CorruptStreamError, match=r"is -[35]$"):
                read(old_gnu(pairs, size, b"abc"))

    def test_a_pax_size_counts_here_too(self) -> None:
        made = old_gnu([(10, 600)], 700, noise(600), size=1)

        assert one(pax(("size", "600")), made).size == 700


class TestPax0:
    def test_numbers_that_are_none_are_refused(self) -> None:
        for map_ in ("0,x", "0,-3", "0,3,", "0", "0,3,9", ",", " 0,3", "0," + "9" * 30):
            with pytest.raises(CorruptStreamError, match="sparse map"):
                read(pax_0_1([(0, 3)], 3, b"abc", GNU_sparse_map=map_))

    def test_a_wrong_count_is_refused(self) -> None:
        with pytest.raises(CorruptStreamError, match="expected"):
            read(pax_0_1([(0, 3)], 3, b"abc", GNU_sparse_numblocks="2"))

    def test_records_that_do_not_alternate_are_refused(self) -> None:
        made = pax(("GNU.sparse.size", "9"), ("GNU.sparse.offset", "0"), ("GNU.sparse.offset", "3"))
        with pytest.raises(CorruptStreamError, match="alternate"):
            read(made + block(b"disk"))

    @pytest.mark.parametrize("records", [
        [("GNU.sparse.map", "0,3")],
        [("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "3")],
        [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "3")],
        [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "7"), ("GNU.sparse.realsize", "3")],
        [("GNU.sparse.size", "-3"), ("GNU.sparse.map", "0,3")],
    ])  # fmt: skip
    def test_a_format_that_is_not_known_is_refused(self, records: list[tuple[str, str]]) -> None:
        with pytest.raises(CorruptStreamError, match=r"unsupported sparse format|is not a number"):
            read(pax(*records) + block(b"disk", 3) + padded(b"abc"))


class TestPax1:
    @pytest.mark.parametrize(
        "map_",
        [
            b"",
            b"x\n",
            b"1\n0\n",
            b"-1\n",
            b"1\n0\nx\n",
            b"1\n0\n-3\n",
            b" 1\n0\n3\n",
            b"9" * 20 + b"\n",
            b"1\r\n0\n3\n",
        ],
    )
    def test_a_malformed_map_is_refused(self, map_: bytes) -> None:
        with pytest.raises(CorruptStreamError, match="sparse map"):
            read(pax_1_0([], 3, b"", map_=padded(map_)))

    def test_a_map_that_does_not_end_within_the_member_is_refused(self) -> None:
        with pytest.raises(CorruptStreamError, match="longer than its member"):
            read(pax_1_0([], 9, b"", map_=b"1" * 512, stored=512) + bytes(4096))

    def test_a_map_of_more_than_a_mebibyte_is_refused(self) -> None:
        many = [(n * 2, 1) for n in range(200_000)]

        with pytest.raises(LimitExceededError, match="sparse map: longer than 1048576 bytes"):
            read(pax_1_0(many, 10**6, b"x" * 200_000))

    def test_a_count_of_billions_is_no_memory(self) -> None:
        tracemalloc.start()
        with pytest.raises((CorruptStreamError, LimitExceededError), match="sparse map: longer than"):
            read(pax_1_0([], 3, b"", map_=padded(b"999999999999\n") + b"1\n" * 300_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 16 * MIB


@pytest.mark.parametrize(
    "options",
    [["--format=gnu"], *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0"))],
    ids=lambda options: options[-1],
)
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_what_gnu_tar_writes_is_read(options: list[str], count: int, tmp_path: Path) -> None:
    path = tmp_path / ("disk" * 30)
    with path.open("wb") as file:
        for n in range(count):
            os.pwrite(file.fileno(), noise(5000, n), n * 200_000 + 65_536)
        os.truncate(file.fileno(), 12 * MIB + 5)
    done = subprocess.run(
        ["tar", "-c", "--sparse", *options, "-C", str(tmp_path), path.name, path.name], capture_output=True, check=True
    )
    assert len(done.stdout) < 2 * MIB, "it is sparse"

    for size in (len(done.stdout), 4093):
        assert read(*cut(done.stdout, size))[0] == (path.name, "file", path.read_bytes())
