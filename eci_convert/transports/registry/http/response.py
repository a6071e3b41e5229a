"""HTTP responses: status, headers, and a body read as it was stored, under time limits."""

from __future__ import annotations

import http
import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from eci_convert.errors import TransportError
from eci_convert.streams.interrupts import Abortable
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url

READ_SIZE = 1024 * 1024
"""Bytes of a body that are yielded at once, if the network is fast enough."""

_RENEWING = 4 * 1024
"""Bytes of content after which the time limit starts anew."""

_MAX_HEAD = 1024 * 1024
"""Bytes of all header sections of a response, including those of interim responses."""

_MAX_FRAMING = 512 * 1024
_FRAMING_RATIO = 32
"""The limit on framing (chunk sizes, chunk extensions, trailers): this many bytes, plus this many times the bytes of
content. Chunks of one byte are legal; kilobytes of extensions for each are an attack."""


class ResponseParser(http.client.HTTPResponse):
    """http.client's parser, skipping all interim responses and not status 100 alone (RFC 9110 §15.2). 101 is final: no
    other protocol was requested."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, phrase = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, phrase
            http.client.parse_headers(self.fp)


class Response:
    """The response to a request: status, headers, and a body that is read later. Must be closed."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        method: str,
        url: Url,
        connection: Abortable,
        reader: DeadlineReader,
        *,
        unusable: bool,
    ) -> None:
        self.status = response.status
        self.method = method
        self.url = url
        self._response = response
        self._connection = connection
        self._reader = reader
        self._unusable = unusable or response.will_close
        self._release: Callable[[bool], None] | None = None

    def header(self, name: str) -> str:
        """The value of a header, "" if it is absent; of a repeated one, the first."""
        return str(self._response.headers.get(name, ""))

    def header_names(self) -> list[str]:
        """The names of the headers."""
        return list(dict.fromkeys(self._response.headers.keys()))

    def header_lines(self, name: str) -> list[str]:
        """All values of a header, one for each line."""
        return [str(line) for line in self._response.headers.get_all(name, [])]

    @property
    def length(self) -> int | None:
        """The Content-Length in bytes, None if it is missing or invalid."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case, without parameters; "" if it is absent."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    @property
    def is_html(self) -> bool:
        """Whether this is an HTML page, as proxies and captive portals send with status 200."""
        return self.media_type == "text/html"

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as stored, up to 1 MiB at a time: nothing is decoded, because the digest is of these bytes.

        Raises TransientError, after yielding what was received before the fault. A body without a declared length that
        ends early cannot be recognised and just ends.
        """
        response, pieces, count = self._response, list[bytes](), 0
        while True:
            failure: Exception | None = None
            try:
                self._reader.begin_read()
                piece = response.read1(READ_SIZE - count)
                self._reader.end_read(len(piece))
            except (OSError, http.client.HTTPException, ValueError) as error:
                piece, failure = b"", error
            pieces.append(piece)
            count += len(piece)
            if count >= READ_SIZE // 4 or not piece:
                if count:
                    yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces, count = [], 0
            if failure is not None:
                self._unusable = True
                raise TransientError(f"{self.url.shown}: {reason(failure)}") from failure
            if not piece:
                return

    def readinto(self, view: memoryview) -> int:
        """Reads up to 256 KiB of the body into *view* and returns the number of bytes, 0 at the end.

        Raises TransientError; bytes received just before the fault are lost then.
        """
        try:
            self._reader.begin_read()
            if self._response.chunked:  # readinto() would block until the whole view is filled
                piece = self._response.read1(min(len(view), READ_SIZE // 4))
                count = len(piece)
                view[:count] = piece
            else:
                count = self._response.readinto(view[: READ_SIZE // 4])
            self._reader.end_read(count)
            return count
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._unusable = True
            raise TransientError(f"{self.url.shown}: {reason(error)}") from error

    def read(self, limit: int) -> bytes:
        """The whole body. Raises TransportError if it is longer than *limit* bytes, TransientError if it is
        truncated."""
        content = bytearray()
        for piece in self.iter_bytes():
            content += piece
            if len(content) > limit:
                self._unusable = True
                raise TransportError(f"{self.url.shown}: the response is longer than {limit} bytes")
        if self.length is not None and self.method != "HEAD" and len(content) < self.length:
            raise TransientError(f"{self.url.shown}: unexpected EOF after {len(content)} of {self.length} bytes")
        return bytes(content)

    def beginning(self, limit: int) -> bytes:
        """The first *limit* bytes of the body, or as many as can be read. Raises nothing."""
        content = bytearray()
        try:
            for piece in self.iter_bytes():
                content += piece
                if len(content) > limit:
                    self._unusable = True
                    break
        except TransientError:
            pass
        return bytes(content[:limit])

    def on_release(self, release: Callable[[bool], None]) -> None:
        """Registers *release*(whether the connection can be reused), called once when the response is closed."""
        self._release = release

    def abort(self) -> None:
        """Makes a thread that reads this response fail at once."""
        self._connection.abort()

    def close(self) -> None:
        """Releases the connection: for reuse if the body was read completely, else to be closed."""
        is_complete = self._response.isclosed() or self._response.length == 0
        release, self._release = self._release, None
        if release is not None:
            release(is_complete and not self._unusable)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DeadlineReader(io.RawIOBase):
    """Reads from a socket under a deadline. Until the headers are read, it is *timeout* seconds from the start.

    After `renew` the limit is *timeout* seconds for each 4 KiB of content: framing does not count as progress, and the
    time that the consumer of the content takes does not count.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        super().__init__()
        self._sock = sock
        self._timeout = self._left = timeout
        self._deadline = time.monotonic() + timeout
        self._framed = True
        self._received = 0
        self._allowed = _MAX_HEAD
        self._content = 0

    def socket_like(self) -> _SocketLike:
        """An object with the one method of a socket that http.client's parser calls."""
        return _SocketLike(self)

    def readable(self) -> bool:
        return True

    def renew(self, timeout: float, *, framed: bool) -> None:
        """The headers are read and content follows. Not *framed*: everything from here on is content."""
        self._timeout = self._left = timeout
        self._framed = framed
        self._received, self._allowed = 0, _MAX_FRAMING

    def begin_read(self) -> None:
        """Called before a read of content."""
        self._deadline = time.monotonic() + self._left

    def end_read(self, count: int) -> None:
        """Called after a read that returned *count* bytes of content."""
        if self._framed:
            self._allowed += (1 + _FRAMING_RATIO) * count
            self._progress(count)
        self._left = self._deadline - time.monotonic()

    def readinto(self, buffer: Any) -> int:
        now = time.monotonic()
        if self._deadline <= now:
            raise TimeoutError("timed out")
        if self._received > self._allowed:
            raise http.client.HTTPException("more framing than content")
        self._sock.settimeout(self._deadline - now)
        count = self._sock.recv_into(buffer)
        if self._framed:
            self._received += count
        else:
            self._progress(count)
        return count

    def _progress(self, count: int) -> None:
        self._content += count
        if self._content >= _RENEWING:
            self._content, self._deadline = 0, time.monotonic() + self._timeout


class _SocketLike:
    def __init__(self, reader: DeadlineReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader, 64 * 1024)


def reason(error: Exception) -> str:
    """A short description of *error*, without text that a server could have put into it."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.RemoteDisconnected):
        return "connection closed without a response"
    if isinstance(error, http.client.IncompleteRead):
        return "unexpected EOF"
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"invalid HTTP response ({type(error).__name__})"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
