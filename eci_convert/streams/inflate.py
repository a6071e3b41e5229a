"""gzip, xz and bzip2 undone: whole members only, one after the other, in blocks of bounded size.

A decoder that is asked for everything turns 1 MiB of input into a gigabyte of output, so none is ever asked without a
limit. Truncation, wrong checksums and anything but zeros behind the last member are errors (RFC 1952; gzip(1) allows
the zeros).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, cast

from eci_convert.errors import CorruptStream
from eci_convert.streams.window import Window

BLOCK: Final = 1 << 20
"""The longest block of output, in bytes."""
_FEED = 4096  # input first given to a decoder: much of it is copied back where members are tiny
_HEADER_LIMIT = 1 << 20
_LZMA_MEMORY = 192 << 20

try:
    from isal import igzip_lib
except ImportError:  # no build for this computer: zlib does the same at half the speed
    igzip_lib = None  # type: ignore[assignment]


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
    """A gzip Decoder out of the standard library's zlib."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
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


def gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the gzip members in *chunks*. Raises CorruptStream, and LimitExceeded for a header over 1 MiB."""
    return _members(chunks, _GZIP)


def unxzed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the xz streams in *chunks*. Raises CorruptStream, also where 192 MiB are not memory enough."""
    return _members(chunks, _XZ)


def bunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the bzip2 streams in *chunks*. Raises CorruptStream."""
    return _members(chunks, _BZIP2)


def _gzip_decoder() -> Decoder:
    return _Zlib() if igzip_lib is None else igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    name: str
    magic: bytes
    start: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]


_GZIP = _Format(
    name="gzip",
    magic=b"\x1f\x8b\x08",
    start=_gzip_decoder,
    errors=(zlib.error,) if igzip_lib is None else (zlib.error, cast("type[Exception]", igzip_lib.error)),
)
_XZ = _Format(
    name="xz",
    magic=b"\xfd7zXZ\0",
    start=lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY),
    errors=(lzma.LZMAError,),
)
_BZIP2 = _Format(name="bzip2", magic=b"BZh", start=bz2.BZ2Decompressor, errors=(OSError, ValueError))


def _members(chunks: Iterable[bytes], form: _Format) -> Iterator[bytes]:
    source = Window(chunks)
    yield from _member(source, form)
    while source.at_least(1):
        if source.view()[0] == 0:
            return _only_zeros(source, form)
        yield from _member(source, form)
    return None


def _member(source: Window, form: _Format) -> Iterator[bytes]:
    source.at_least(len(form.magic))
    if source.view()[: len(form.magic)] != form.magic:
        raise CorruptStream(f"{form.name}: this is no {form.name} stream, or something follows one")
    feed = max(_FEED, _header(source)) if form is _GZIP else _FEED
    decoder = form.start()
    while not decoder.eof:
        piece: bytes | memoryview = b""
        if decoder.needs_input:
            piece = source.take(feed)
            if not piece:
                raise CorruptStream(f"{form.name}: the stream ends too early")
            feed = min(4 * feed, BLOCK)
        try:
            output = decoder.decompress(piece, BLOCK)
        except form.errors as error:
            raise CorruptStream(f"{form.name}: {error}") from error
        if output:
            yield output
    source.give_back(len(decoder.unused_data))


def _only_zeros(source: Window, form: _Format) -> None:
    while piece := source.take(BLOCK):
        if bytes(piece).strip(b"\0"):
            raise CorruptStream(f"{form.name}: something follows the padding")


def _header(source: Window) -> int:
    """The length of the gzip header that comes next, now in view: isal misreads one that it gets in two pieces."""
    source.at_least(10)
    flags = source.view()[3:4]
    if not flags or flags[0] & 0xE0:
        raise CorruptStream("gzip: the header is cut short or has unknown flags")
    end = 10
    if flags[0] & 4:
        source.at_least(end + 2)
        end += 2 + int.from_bytes(source.view()[end : end + 2], "little")
    for flag in (8, 16):  # the name and the comment
        if flags[0] & flag:
            end = source.past_nul(end, _HEADER_LIMIT)
    if flags[0] & 2:
        end += 2
    if not source.at_least(end):
        raise CorruptStream("gzip: the stream ends too early")
    return end
