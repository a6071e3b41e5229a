"""The body of an engine's answer as large pieces, which is what makes looking for zeros cheap.

Over HTTP/1.1 the engine sends an archive in chunks of 32 KiB (RFC 9112, 7.1), each in three writes. The SDK hands them
on one by one; here they are taken apart in one buffer. Over HTTP/1.0 there are no chunks, which spares the engine two
writes of three, and us the taking apart: an archive then ends with its connection, and is whole if it has tar's end.
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
"""What an archive ends with: two blocks of zeros."""
_LONGEST_LINE: Final = 4096
_MAX_TRAILERS: Final = 64
_HEX = b"0123456789abcdefABCDEF"


def pieces(response: Response) -> Iterator[bytes]:
    """The body of *response*, which was asked for as a stream and is not compressed. It can be read once, and its
    connection is of no use afterwards. Raises TransportError for a body that is cut short; foreign errors pass."""
    body = _body(response)
    if body.chunked:
        yield from dechunked(_receiving(body.fp))
    elif body.length is None and (sock := _socket(response)) and sock.family == socket.AF_UNIX:
        yield from _whole_archive(_until_closed(body.fp, sock))
    else:
        yield from response.raw.stream(RECEIVE_SIZE, decode_content=False)


def allow_silence(response: Response, seconds: float) -> None:
    """From here on the engine may be silent for *seconds* at a time; longer is an error (TimeoutError)."""
    if sock := _socket(response):
        sock.settimeout(seconds)


def _socket(response: Response) -> socket.socket | None:
    """What *response* comes through; None where an engine behind ssh is spoken to through a pipe."""
    return getattr(getattr(_body(response).fp, "raw", None), "_sock", None)


def _body(response: Response) -> Any:
    """The http.client response below requests and urllib3, neither of which hands out its socket."""
    return response.raw._fp


def _until_closed(file: BufferedReader, sock: socket.socket) -> Iterator[bytes]:
    """What comes until *sock* is closed, after what *file* has of it already, each piece received in one call.

    The kernel keeps the time: a socket with a limit of Python's would not wait for a whole piece.
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
    """*pieces* as they are. Raises TransportError at their end if they do not end as a tar archive does."""
    end = b""
    for piece in pieces:
        end = (end + piece)[-len(_END) :] if len(piece) < len(_END) else piece[-len(_END) :]
        yield piece
    if end != _END:
        raise TransportError("the engine's answer was cut short")


def _receiving(file: BufferedReader) -> Callable[[memoryview], int]:
    """What puts the next bytes of *file* into a buffer, as many as are there.

    Those that *file* has in its own buffer are taken first: `readinto1` would add one more read to them, and wait.
    """
    begun = False

    def fill(view: memoryview) -> int:
        nonlocal begun
        if begun:
            return file.readinto1(view)
        begun = True
        data = file.read1(min(len(view), DEFAULT_BUFFER_SIZE))
        view[: len(data)] = data
        return len(data)

    return fill


def dechunked(fill: Callable[[memoryview], int]) -> Iterator[bytes]:
    """The content of a chunked body in pieces of up to 1 MiB. *fill* puts what comes next into a buffer and says how
    many bytes it was; 0 is the end. Raises TransportError for what is not chunked or ends too early."""
    source = _Buffer(fill)
    piece, have = (
        memoryview(bytearray(RECEIVE_SIZE)),
        0,
    )  # made once: growing one for each piece costs seven times as much
    while left := _chunk_size(source.line()):
        while left:
            some = source.some(min(left, RECEIVE_SIZE - have))
            piece[have : have + len(some)] = some
            have += len(some)
            left -= len(some)
            if have == RECEIVE_SIZE:
                yield bytes(piece)
                have = 0
        if source.line():
            raise TransportError("the engine's answer is garbled: a chunk is longer than it says")
    if have:
        yield bytes(piece[:have])
    for _ in range(_MAX_TRAILERS):
        if not source.line():
            return
    raise TransportError("the engine's answer is garbled: it does not end")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 16 or digits.translate(None, _HEX):
        raise TransportError(f"the engine's answer is garbled: {line[:40]!r} is no length of a chunk")
    return int(digits, 16)


class _Buffer:
    """What was received and not taken yet."""

    def __init__(self, fill: Callable[[memoryview], int]) -> None:
        self._fill = fill
        self._bytes = bytearray(RECEIVE_SIZE)
        self._view = memoryview(self._bytes)
        self._start = self._end = 0

    def line(self) -> bytes:
        """The next line, without its end."""
        while (stop := self._bytes.find(b"\r\n", self._start, self._end)) < 0:
            if self._end - self._start > _LONGEST_LINE:
                raise TransportError("the engine's answer is garbled: no length of a chunk where one should be")
            self._receive()
        line = bytes(self._view[self._start : stop])
        self._start = stop + 2
        return line

    def some(self, limit: int) -> memoryview:
        """Up to *limit* of the next bytes, at least one; valid until the next call."""
        if self._start == self._end:
            self._receive()
        stop = min(self._end, self._start + limit)
        found = self._view[self._start : stop]
        self._start = stop
        return found

    def _receive(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == RECEIVE_SIZE:
            self._bytes[: self._end - self._start] = self._bytes[self._start : self._end]
            self._start, self._end = 0, self._end - self._start
        count = self._fill(self._view[self._end :])
        if not count:
            raise TransportError("the engine's answer was cut short")
        self._end += count
