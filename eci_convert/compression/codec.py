"""Compression formats: detection, decompression and compression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, assert_never

from eci_convert.errors import UsageError
from eci_convert.streams.blocks import peek


class Compression(StrEnum):
    """A compression format. xz and bzip2 are read only."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


_SPELLING = re.compile(r"(none)|(gzip)(?::([1-9]))?|(zstd)(?::([1-9]|1[0-9]|2[0-2]))?", re.ASCII)
_LEVELS = {Compression.NONE: 0, Compression.GZIP: 2, Compression.ZSTD: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A compression with a level. gzip 1 to 3 are isal's levels, 15 times as fast as zlib's 4 to 9."""

    compression: Compression
    level: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The codec *text*, such as `zstd:3`. Raises UsageError.

        >>> Codec.parse("gzip"), str(Codec.parse("zstd:19"))
        (Codec(compression=<Compression.GZIP: 'gzip'>, level=2), 'zstd:19')
        """
        if not _SPELLING.fullmatch(text):
            raise UsageError(
                f"{text!r} is not a compression: use none, gzip, gzip:1 to gzip:9, zstd, or zstd:1 to zstd:22"
            )
        name, _, level = text.partition(":")
        compression = Compression(name)
        return cls(compression=compression, level=int(level or _LEVELS[compression]))

    def __str__(self) -> str:
        return self.compression if self.compression is Compression.NONE else f"{self.compression}:{self.level}"


def decompressed(chunks: Iterable[bytes], compression: Compression | None) -> Iterator[bytes]:
    """The decompressed *chunks*, in blocks of at most about 1 MiB; None detects the compression.

    Reads everything to the last byte. Raises CorruptStreamError for streams that are malformed, truncated, or followed
    by trailing garbage (zeros may follow gzip, xz and bzip2).
    """
    if compression is None:
        head, chunks = peek(chunks)
        compression = detect_compression(head)
    match compression:
        case Compression.NONE:
            return iter(chunks)
        case Compression.GZIP:
            from eci_convert.compression.gzip_read import gzip_decompressed

            return gzip_decompressed(chunks)
        case Compression.ZSTD:
            from eci_convert.compression.zstd_read import zstd_decompressed

            return zstd_decompressed(chunks)
        case Compression.XZ:
            from eci_convert.compression.xz_bzip2 import xz_decompressed

            return xz_decompressed(chunks)
        case Compression.BZIP2:
            from eci_convert.compression.xz_bzip2 import bzip2_decompressed

            return bzip2_decompressed(chunks)
        case _:
            assert_never(compression)


def compressed(chunks: Iterable[bytes], codec: Codec, *, threads: int | None = None) -> Iterator[bytes]:
    """The compressed *chunks*, using *threads* cores (None: all).

    The result depends neither on the threads nor on how *chunks* are split. Raises UsageError for read-only
    compressions.
    """
    match codec.compression:
        case Compression.NONE:
            return iter(chunks)
        case Compression.GZIP:
            from eci_convert.compression.write import gzipped

            return gzipped(chunks, codec.level, threads)
        case Compression.ZSTD:
            from eci_convert.compression.write import zstd_compressed

            return zstd_compressed(chunks, codec.level, threads)
        case Compression.XZ | Compression.BZIP2:
            raise UsageError(f"writing {codec.compression} is not supported")
        case _:
            assert_never(codec.compression)


def detect_compression(head: bytes) -> Compression:
    """The compression whose magic number *head* begins with. Six bytes are enough."""
    from eci_convert.compression.zstd_read import is_zstd

    if head.startswith(b"\x1f\x8b\x08"):
        return Compression.GZIP
    if is_zstd(head):
        return Compression.ZSTD
    if head.startswith(b"\xfd7zXZ\0"):
        return Compression.XZ
    if re.match(rb"BZh[1-9]", head):
        return Compression.BZIP2
    return Compression.NONE
