"""Decoders for xz and bzip2, and code shared with gzip: complete members only, in blocks of bounded size.

A decoder without a limit turns 1 MiB of input into a gigabyte of output, so every call has one. Truncation, wrong
checksums, and anything but zeros after the last member are errors (gzip(1) allows the zeros).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from eci_convert.compression.lookahead import LookaheadReader
from eci_convert.errors import CorruptStreamError

OUTPUT_BLOCK: Final = 1 << 20
"""The limit of one block of output, in bytes."""
_FEED = 4096  # first input of a decoder: what follows a tiny member is copied back


try:
    from isal import igzip_lib
except ImportError:  # no wheel for this platform: zlib is used, at half the speed
    igzip_lib = None  # type: ignore[assignment]

_WINDOW = zlib.MAX_WBITS


class Decoder(Protocol):
    """The interface of decompressors in `bz2`, `lzma` and isal: one member, with output limited to *max_length*."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


class _Zlib:
    """A deflate Decoder based on the standard library's zlib."""

    def __init__(self, history: bytes) -> None:
        self._stream = zlib.decompressobj(-_WINDOW, zdict=history)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        waiting = self._stream.unconsumed_tail
        output = self._stream.decompress(waiting + data if waiting else data, max_length)
        self.needs_input = not self._stream.unconsumed_tail
        return output


def deflate_decoder(history: bytes = b"") -> Decoder:
    """A Decoder for a deflate stream (RFC 1951) that may refer to *history*, the 32 KiB before it."""
    return (
        _Zlib(history) if igzip_lib is None else igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, _WINDOW, history)
    )


INFLATE_ERRORS: Final[tuple[type[Exception], ...]] = (zlib.error, *((igzip_lib.error,) if igzip_lib else ()))
"""The exceptions that a `deflate_decoder` raises for malformed streams."""


def decode_members(
    source: LookaheadReader, name: str, magic: bytes, member: Callable[[LookaheadReader], Iterator[bytes]]
) -> Iterator[bytes]:
    """The output of *member* for each member in *source*, which begin with *magic*; zeros may follow the last."""
    started = False
    while not started or source.at_least(1):
        if started and source.view()[0] == 0:
            return _only_zeros(source, name)
        source.at_least(len(magic))
        if source.view()[: len(magic)] != magic:
            raise CorruptStreamError(f"{name}: not a {name} stream, or trailing garbage")
        yield from member(source)
        started = True
    return None


def decode_member(
    source: LookaheadReader, decoder: Decoder, name: str, errors: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """The output of *decoder* for *source* up to the end of the member. Its *errors* become CorruptStreamError."""
    feed = _FEED
    while not decoder.eof:
        piece: bytes | memoryview = b""
        if decoder.needs_input:
            piece = source.take(feed)
            if not piece:
                raise CorruptStreamError(f"{name}: unexpected EOF")
            feed = min(4 * feed, OUTPUT_BLOCK)
        try:
            output = decoder.decompress(piece, OUTPUT_BLOCK)
        except errors as error:
            raise CorruptStreamError(f"{name}: {error}") from error
        if output:
            yield output
    source.unread(len(decoder.unused_data))


def _only_zeros(source: LookaheadReader, name: str) -> None:
    while piece := source.take(OUTPUT_BLOCK):
        if bytes(piece).strip(b"\0"):
            raise CorruptStreamError(f"{name}: trailing garbage after the padding")
