"""xz and bzip2 undone, and what gzip has in common with them: whole members only, in blocks of bounded size.

A decoder that is asked for everything turns 1 MiB of input into a gigabyte of output, so none is ever asked without a
limit. Truncation, wrong checksums and anything but zeros behind the last member are errors (gzip(1) allows the zeros).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from eci_convert.compression.lookahead import Window
from eci_convert.errors import CorruptStream

BLOCK: Final = 1 << 20
"""The longest block of output, in bytes."""
_FEED = 4096  # input first given to a decoder: much of it is copied back where members are tiny
_LZMA_MEMORY = 192 << 20

try:
    from isal import igzip_lib
except ImportError:  # no build for this computer: zlib does the same at half the speed
    igzip_lib = None  # type: ignore[assignment]

_WINDOW = zlib.MAX_WBITS


class Decoder(Protocol):
    """What `bz2`, `lzma` and isal call a decompressor: of one member, with output as bounded as *max_length* says."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


class _Zlib:
    """A deflate Decoder out of the standard library's zlib."""

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


def inflater(history: bytes = b"") -> Decoder:
    """A Decoder of a deflate stream (RFC 1951) that may refer to *history*, the last 32 KiB of what came before it."""
    return (
        _Zlib(history) if igzip_lib is None else igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, _WINDOW, history)
    )


INFLATE_ERRORS: Final[tuple[type[Exception], ...]] = (zlib.error, *((igzip_lib.error,) if igzip_lib else ()))
"""What an `inflater` raises for a malformed stream."""


def unxzed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the xz streams in *chunks*. Raises CorruptStream, also where 192 MiB are not memory enough."""

    def member(source: Window) -> Iterator[bytes]:
        return undone(source, lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY), "xz", (lzma.LZMAError,))

    return members(Window(chunks), "xz", b"\xfd7zXZ\0", member)


def bunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the bzip2 streams in *chunks*. Raises CorruptStream."""

    def member(source: Window) -> Iterator[bytes]:
        return undone(source, bz2.BZ2Decompressor(), "bzip2", (OSError, ValueError))

    return members(Window(chunks), "bzip2", b"BZh", member)


def members(source: Window, name: str, magic: bytes, member: Callable[[Window], Iterator[bytes]]) -> Iterator[bytes]:
    """What *member* makes of each of the members in *source*, which begin with *magic*; zeros may follow the last."""
    begun = False
    while not begun or source.at_least(1):
        if begun and source.view()[0] == 0:
            return _only_zeros(source, name)
        source.at_least(len(magic))
        if source.view()[: len(magic)] != magic:
            raise CorruptStream(f"{name}: this is no {name} stream, or something follows one")
        yield from member(source)
        begun = True
    return None


def undone(source: Window, decoder: Decoder, name: str, errors: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """What *decoder* makes of *source* until it says that this is the end. Raises CorruptStream for its *errors*."""
    feed = _FEED
    while not decoder.eof:
        piece: bytes | memoryview = b""
        if decoder.needs_input:
            piece = source.take(feed)
            if not piece:
                raise CorruptStream(f"{name}: the stream ends too early")
            feed = min(4 * feed, BLOCK)
        try:
            output = decoder.decompress(piece, BLOCK)
        except errors as error:
            raise CorruptStream(f"{name}: {error}") from error
        if output:
            yield output
    source.give_back(len(decoder.unused_data))


def _only_zeros(source: Window, name: str) -> None:
    while piece := source.take(BLOCK):
        if bytes(piece).strip(b"\0"):
            raise CorruptStream(f"{name}: something follows the padding")
