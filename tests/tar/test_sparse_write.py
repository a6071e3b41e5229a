"""A sparse member is what it stands for to every reader of tar, and no longer than its data."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert.errors import LocalError
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.tar import TarMember, entries
from eci_convert.tar.sparse_write import MAX_MAP_ENTRIES, only_data, packed_size, sparse_header, sparse_map
from eci_convert.tar.writer import TRAILER
from tests.support.chunking import cut, cut_by, noise, sizes
from tests.support.stdlib_tarfile import content_of, tarfile

MIB = 1 << 20
KIB64 = 64 << 10
runs = st.lists(st.tuples(st.integers(0, 3 * MIB), st.integers(0, 40_000)), max_size=6)
"""Holes and the data behind each, in bytes."""


def disk(laid_out: Iterable[tuple[int, int]]) -> tuple[bytes, list[tuple[int, int]]]:
    """A content, and where in it there is data."""
    content, data = b"", []
    for hole, length in laid_out:
        content += bytes(hole)
        data.append((len(content), length))
        content += noise(length)
    return content + bytes(2 * MIB), data


def member(name: str, content: bytes, data: list[tuple[int, int]], chunks: Iterable[bytes] | None = None) -> bytes:
    found = sparse_map(data, len(content))
    packed = packed_size(found)
    head = sparse_header(TarMember(name=name, size=len(content)), found)
    return head + b"".join(only_data(chunks or [content], found)) + bytes(-packed % 512)


@given(runs, sizes)
def test_our_reader_and_pythons_expand_it(laid_out: list[tuple[int, int]], cuts: list[int]) -> None:
    content, data = disk(laid_out)
    archive = member("layers/0.tar", content, data, cut_by(content, cuts)) + member("b", *disk([(7, 9)])) + TRAILER

    first, second = ((entry.name, b"".join(entry.chunks)) for entry in entries([archive]))
    assert first == ("layers/0.tar", content)
    assert second == ("b", disk([(7, 9)])[0])
    with tarfile.open(fileobj=io.BytesIO(archive)) as judged:
        assert [(each.name, content_of(judged, each)) for each in judged] == [first, second]


@pytest.mark.skipif(not shutil.which("tar"), reason="no GNU tar")
def test_gnu_tar_expands_it(tmp_path: Path) -> None:
    content, data = disk([(0, 1000), (MIB, 5000), (KIB64, 1)])
    (tmp_path / "archive.tar").write_bytes(member("d/disk", content, data) + TRAILER)

    subprocess.run(["tar", "-xf", "archive.tar"], cwd=tmp_path, check=True)

    assert (tmp_path / "d/disk").read_bytes() == content


def test_it_is_hardly_longer_than_the_data() -> None:
    content, data = disk([(5 * MIB, 1000), (9 * MIB, 1000)])

    assert len(member("disk", content, data)) <= 9 * 512


def test_small_gaps_are_data_and_small_holes_are_not_worth_it() -> None:
    assert sparse_map([(0, 10), (20, 10), (KIB64 + 512, 5)], 10 * MIB) == [(0, 512), (KIB64 + 512, 512)]
    assert sparse_map([(0, 10), (KIB64 + 511, 10)], 10 * MIB) == [(0, KIB64 + 1024)]
    assert sparse_map([(0, 512), (9 * MIB, 7)], 9 * MIB + 7) == [(0, 512), (9 * MIB, 7)], "the end need not be whole"
    assert not sparse_map([(0, 10)], MIB)
    assert not sparse_map([], 0)
    assert sparse_map([(0, 0), (MIB, 1)], 3 * MIB) == [(MIB, 512)]


def test_a_map_stays_within_what_readers_take() -> None:
    scattered = [(at // 4 * 2 * MIB + at % 4 * 2 * KIB64, 4096) for at in range(3 * MAX_MAP_ENTRIES)]

    found = sparse_map(iter(scattered), 2 * MIB * MAX_MAP_ENTRIES)

    assert len(found) == 3 * MAX_MAP_ENTRIES // 4, "four that are near to each other are one"
    assert all(any(at <= offset < at + length for at, length in found) for offset, _ in scattered[::997])
    assert (
        len(
            sparse_header(
                TarMember(name="disk", size=1 << 43), [(at, 1) for at in range(1 << 42, (1 << 42) + MAX_MAP_ENTRIES)]
            )
        )
        < MIB
    )


def test_data_in_a_hole_is_an_error() -> None:
    content, data = disk([(MIB, 100), (MIB, 100)])
    meddled = bytearray(content)
    meddled[MIB + 5000] = 1
    found = sparse_map(data, len(content))

    for pieces in ([bytes(meddled)], cut(bytes(meddled), MIB)):
        with pytest.raises(LocalError, match="where a hole was"):
            list(only_data(pieces, found))


def test_the_shared_zeros_are_not_looked_into() -> None:
    assert b"".join(only_data([ZERO_BLOCK, noise(9), ZERO_BLOCK], [(MIB, 9)])) == noise(9)
