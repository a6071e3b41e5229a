"""Tests of head.py: the first bytes of what a stream holds, where the rest of the stream is not there."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from eci_convert.compression import zstd_read
from eci_convert.compression.head import LONGEST_BLOCK, decompressed_head
from eci_convert.compression.libzstd import zstd
from eci_convert.compression.zstd_read import WINDOW_LIMIT

CONTENT = Random(1).randbytes(3 << 20)
EMPTY = zstd.compress(b"")
SKIPPABLE = b"\x5f\x2a\x4d\x18" + (5000).to_bytes(4, "little") + bytes(5000)


@pytest.mark.parametrize("before", [b"", EMPTY, SKIPPABLE, (EMPTY + SKIPPABLE) * 5], ids=["", "empty", "skip", "both"])
@pytest.mark.parametrize("size", [1, 512, 100_000])
def test_the_beginning_of_zstd_is_found_behind_frames_without_content(before: bytes, size: int) -> None:
    head = (before + zstd.compress(CONTENT))[:LONGEST_BLOCK]

    assert decompressed_head(head, size) == CONTENT[:size]


def test_the_beginning_of_zstd_may_be_in_several_frames() -> None:
    head = b"".join(zstd.compress(CONTENT[at : at + 100]) for at in range(0, 1000, 100))

    assert decompressed_head(head, 950) == CONTENT[:950]
    assert decompressed_head(head, 1001) == CONTENT[:1000]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress, zstd.compress])
def test_members_without_content_are_passed_over_in_every_compression(compress: Callable[[bytes], bytes]) -> None:
    whole = compress(b"") * 3 + compress(CONTENT[:1000]) + compress(CONTENT[1000:2000])

    assert decompressed_head(whole, 512) == CONTENT[:512]
    assert decompressed_head(whole, 3000) == CONTENT[:2000]
    assert decompressed_head(whole[:-5], 3000)[:1000] == CONTENT[:1000]
    assert decompressed_head(whole + bytes(100), 3000) == CONTENT[:2000]


@pytest.mark.parametrize("length", [4, 8, 9, 5007])
def test_a_head_that_is_cut_before_there_is_content_holds_none(length: int) -> None:
    assert decompressed_head((SKIPPABLE + zstd.compress(CONTENT))[:length], 512) == b""
    assert decompressed_head(zstd.compress(CONTENT)[: min(length, 9)], 512) == b""


def test_what_is_no_zstd_behind_its_magic_number_holds_nothing() -> None:
    assert decompressed_head(b"\x28\xb5\x2f\xfd" + b"\xff" * 600, 512) == b""
    assert decompressed_head(zstd.compress(b"short") + b"garbage", 512) == b"short"


def test_a_window_over_the_limit_is_not_allocated() -> None:
    for window_log, expected in ((WINDOW_LIMIT.bit_length() - 1, b"content"), (WINDOW_LIMIT.bit_length(), b"")):
        header = b"\x28\xb5\x2f\xfd\0" + bytes([window_log - 10 << 3])
        assert decompressed_head(header + b"\x39\0\0content", 7) == expected


def test_what_is_behind_a_tiny_frame_is_not_copied_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mebibyte of empty frames is more than a hundred thousand of them."""
    fed: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self._decoder = real()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._decoder, name)

        def decompress(self, data: bytes, max_length: int) -> bytes:
            fed.append(len(data))
            return self._decoder.decompress(data, max_length)

    real = zstd_read.frame_decoder
    monkeypatch.setattr(zstd_read, "frame_decoder", Counting)

    assert decompressed_head(EMPTY * 2000, 512) == b""
    assert len(fed) == 2000
    assert max(fed) <= 4096
