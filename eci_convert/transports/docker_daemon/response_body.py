"""The body of an engine's response in large chunks, which keeps the detection of zeros cheap.

Over HTTP/1.1 the engine sends an archive in chunks of 32 KiB (RFC 9112 §7.1), each in three writes, and the SDK yields
them one by one; here they are decoded in one buffer. Over HTTP/1.0 there are no chunks, which saves the engine two of
three writes, and us the decoding: the archive ends with the connection, and is complete if it has the end-of-archive
marker.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from io import DEFAULT_BUFFER_SIZE, BufferedReader
from typing import TYPE_CHECKING, Any, Final

from eci_convert.errors import TransportError

if TYPE_CHECKING:
    from requests import Response

RECEIVE_SIZE: Final = 1 << 20
_END: Final = bytes(1024)
"""The end-of-archive marker: two blocks of zeros."""
_LONGEST_LINE: Final = 4096
_MAX_TRAILERS: Final = 64
_HEX = b"0123456789abcdefABCDEF"


def pieces(response: Response) -> Iterator[bytes]:
    """The body of *response*, which was requested as a stream and is not compressed. It can be read once; the
    connection cannot be reused.

    Raises TransportError for a truncated body; errors of other libraries are passed on.
    """
    body = _body(response)
    if body.chunked:
        yield from dechunked(_receiving(body.fp))
    elif body.length is None and (sock := _socket(response)) and sock.family == socket.AF_UNIX:
        yield from _whole_archive(_until_closed(body.fp, sock))
    else:
        yield from response.raw.stream(RECEIVE_SIZE, decode_content=False)


def allow_silence(response: Response, seconds: float) -> None:
    """Sets the timeout for each further read to *seconds* (TimeoutError)."""
    if sock := _socket(response):
        sock.settimeout(seconds)


def _socket(response: Response) -> socket.socket | None:
    """The socket of *response*; None for an engine that is reached through ssh and a pipe."""
    return getattr(getattr(_body(response).fp, "raw", None), "_sock", None)


def _body(response: Response) -> Any:
    """The http.client response below requests and urllib3, neither of which exposes its socket."""
    return response.raw._fp


def _until_closed(file: BufferedReader, sock: socket.socket) -> Iterator[bytes]:
    """What *file* has buffered, and then everything from *sock* until it is closed, each chunk received in one call.

    The kernel enforces the timeout: with a timeout of Python's, MSG_WAITALL would not wait for a full chunk.
    """
    piece = file.read1(DEFAULT_BUFFER_SIZE)
    seconds = sock.gettimeout() or 0
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6)))
    while piece:
        yield piece
        try:
            piece = sock.recv(RECEIVE_SIZE, socket.MSG_WAITALL)
        except BlockingIOError as error:
            raise TimeoutError from error


def _whole_archive(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """*pieces* unchanged. Raises TransportError at their end without the end-of-archive marker."""
    end = b""
    for piece in pieces:
        end = (end + piece)[-len(_END) :] if len(piece) < len(_END) else piece[-len(_END) :]
        yield piece
    if end != _END:
        raise TransportError("unexpected EOF in the engine's response")


def _receiving(file: BufferedReader) -> Callable[[memoryview], int]:
    """A function that reads the next available bytes of *file* into a buffer.

    What *file* has buffered is read first: `readinto1` would add another read to it, and block.
    """
    started = False

    def fill(view: memoryview) -> int:
        nonlocal started
        if started:
            return file.readinto1(view)
        started = True
        data = file.read1(min(len(view), DEFAULT_BUFFER_SIZE))
        view[: len(data)] = data
        return len(data)

    return fill


def dechunked(fill: Callable[[memoryview], int]) -> Iterator[bytes]:
    """The decoded content of a chunked body, in chunks of up to 1 MiB. *fill* reads into a buffer and returns the
    number of bytes; 0 is the end.

    Raises TransportError for a malformed or truncated body.
    """
    source = _Buffer(fill)
    piece, filled = (
        memoryview(bytearray(RECEIVE_SIZE)),
        0,
    )  # made once: growing one for each piece costs seven times as much
    while remaining := _chunk_size(source.line()):
        while remaining:
            part = source.some(min(remaining, RECEIVE_SIZE - filled))
            piece[filled : filled + len(part)] = part
            filled += len(part)
            remaining -= len(part)
            if filled == RECEIVE_SIZE:
                yield bytes(piece)
                filled = 0
        if source.line():
            raise TransportError("malformed chunked response from the engine: chunk longer than its size")
    if filled:
        yield bytes(piece[:filled])
    for _ in range(_MAX_TRAILERS):
        if not source.line():
            return
    raise TransportError("malformed chunked response from the engine: too many trailers")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 16 or digits.translate(None, _HEX):
        raise TransportError(f"malformed chunked response from the engine: invalid chunk size {line[:40]!r}")
    return int(digits, 16)


class _Buffer:
    """Received data that was not consumed yet."""

    def __init__(self, fill: Callable[[memoryview], int]) -> None:
        self._fill = fill
        self._bytes = bytearray(RECEIVE_SIZE)
        self._view = memoryview(self._bytes)
        self._start = self._end = 0

    def line(self) -> bytes:
        """The next line, without its line end."""
        while (stop := self._bytes.find(b"\r\n", self._start, self._end)) < 0:
            if self._end - self._start > _LONGEST_LINE:
                raise TransportError("malformed chunked response from the engine: line too long")
            self._receive()
        line = bytes(self._view[self._start : stop])
        self._start = stop + 2
        return line

    def some(self, limit: int) -> memoryview:
        """At least one and at most *limit* of the next bytes; valid until the next call."""
        if self._start == self._end:
            self._receive()
        stop = min(self._end, self._start + limit)
        view = self._view[self._start : stop]
        self._start = stop
        return view

    def _receive(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == RECEIVE_SIZE:
            self._bytes[: self._end - self._start] = self._bytes[self._start : self._end]
            self._start, self._end = 0, self._end - self._start
        count = self._fill(self._view[self._end :])
        if not count:
            raise TransportError("unexpected EOF in the engine's response")
        self._end += count
