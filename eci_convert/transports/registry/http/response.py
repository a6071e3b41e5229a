"""What comes back: a status, headers, and a body that is read as it was stored, under time limits."""

from __future__ import annotations

import http
import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url

READ_SIZE = 1024 * 1024
"""Bytes of a body that are handed on at once, if the network is fast enough to have them."""

_RENEWING = 4 * 1024
"""Bytes of content that renew the time limit."""

_MAX_HEAD = 1024 * 1024
"""Bytes of all the header sections of an answer, with those of interim responses."""

_MAX_FRAMING = 512 * 1024
_FRAMING_RATIO = 32
"""What comes beside the content (sizes of chunks, their extensions, trailers) may be so many bytes, and so many times
as many bytes as the content: chunks of one byte are legal, kilobytes of extensions for each are an attack."""


class Abortable(Protocol):
    """The connection that an answer comes over."""

    def abort(self) -> None: ...


class ResponseParser(http.client.HTTPResponse):
    """http.client's parser, which passes over interim responses of any kind and not of status 100 alone (RFC 9110
    §15.2). 101 is final: nobody asked for another protocol."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, phrase = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, phrase
            http.client.parse_headers(self.fp)


class Response:
    """The answer to a request: its status and headers, and a body that is still to come. Close it."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        method: str,
        url: Url,
        line: Abortable,
        wire: DeadlineReader,
        *,
        spoiled: bool,
    ) -> None:
        self.status = response.status
        self.method = method
        self.url = url
        self._response = response
        self._line = line
        self._wire = wire
        self._spoiled = spoiled or response.will_close
        self._release: Callable[[bool], None] | None = None

    def header(self, name: str) -> str:
        """The value of a header, "" if it is absent; of a repeated one, the first."""
        return str(self._response.headers.get(name, ""))

    def header_names(self) -> list[str]:
        """The names of the headers."""
        return list(dict.fromkeys(self._response.headers.keys()))

    def header_lines(self, name: str) -> list[str]:
        """All lines of a header."""
        return [str(line) for line in self._response.headers.get_all(name, [])]

    @property
    def length(self) -> int | None:
        """The bytes that the body is said to have, None where it is not said."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as stored, up to 1 MiB at a time: the digest is of these bytes, so nothing is decoded.

        Raises Transient, after what came before the fault. A body that ends early without a sign of it just ends.
        """
        response, gathered, count = self._response, list[bytes](), 0
        while True:
            fault: Exception | None = None
            try:
                self._wire.begin_read()
                piece = response.read1(READ_SIZE - count)
                self._wire.end_read(len(piece))
            except (OSError, http.client.HTTPException, ValueError) as error:
                piece, fault = b"", error
            gathered.append(piece)
            count += len(piece)
            if count >= READ_SIZE // 4 or not piece:
                if count:
                    yield gathered[0] if len(gathered) == 1 else b"".join(gathered)
                gathered, count = [], 0
            if fault is not None:
                self._spoiled = True
                raise TransientError(f"{self.url.shown}: {reason(fault)}") from fault
            if not piece:
                return

    def readinto(self, view: memoryview) -> int:
        """Puts the next bytes of the body into *view*, up to 256 KiB; how many, 0 at the end. Raises Transient, and
        what came just before the fault is lost then."""
        try:
            self._wire.begin_read()
            if self._response.chunked:  # readinto() would wait for all of a view to be filled, however slowly
                piece = self._response.read1(min(len(view), READ_SIZE // 4))
                count = len(piece)
                view[:count] = piece
            else:
                count = self._response.readinto(view[: READ_SIZE // 4])
            self._wire.end_read(count)
            return count
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._spoiled = True
            raise TransientError(f"{self.url.shown}: {reason(error)}") from error

    def read(self, limit: int) -> bytes:
        """The whole body. Raises TransportError where it is longer than *limit* bytes, Transient where it is cut."""
        found = bytearray()
        for piece in self.iter_bytes():
            found += piece
            if len(found) > limit:
                self._spoiled = True
                raise TransportError(f"{self.url.shown}: the answer is longer than {limit} bytes")
        if self.length is not None and self.method != "HEAD" and len(found) < self.length:
            raise TransientError(f"{self.url.shown}: the answer ended after {len(found)} of {self.length} bytes")
        return bytes(found)

    def beginning(self, limit: int) -> bytes:
        """The first *limit* bytes of the body, or as many as come. Nothing is raised."""
        content = bytearray()
        try:
            for piece in self.iter_bytes():
                content += piece
                if len(content) > limit:
                    self._spoiled = True
                    break
        except TransientError:
            pass
        return bytes(content[:limit])

    def on_release(self, release: Callable[[bool], None]) -> None:
        """*release*(whether the connection can be used again) is called once, when the answer is closed."""
        self._release = release

    def abort(self) -> None:
        """Makes a thread that reads this answer fail at once."""
        self._line.abort()

    def close(self) -> None:
        """Lets go of the connection: to be used again if nothing of the body is left, else for good."""
        whole = self._response.isclosed() or self._response.length == 0
        release, self._release = self._release, None
        if release is not None:
            release(whole and not self._spoiled)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DeadlineReader(io.RawIOBase):
    """What a socket receives. Until the answer begins there is one deadline, *timeout* seconds away.

    From `renew` on the limit is *timeout* seconds between 4 KiB of content and the next: what frames the content is no
    progress, nor does the time count that the reader of the content takes.
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

    def spoken(self) -> _SocketLike:
        """All that http.client's parser wants of a socket."""
        return _SocketLike(self)

    def readable(self) -> bool:
        return True

    def renew(self, timeout: float, *, framed: bool) -> None:
        """The header section is read, and content has to come. Not *framed*: all that comes from now on is content."""
        self._timeout = self._left = timeout
        self._framed = framed
        self._received, self._allowed = 0, _MAX_FRAMING

    def begin_read(self) -> None:
        """A read of content begins."""
        self._deadline = time.monotonic() + self._left

    def end_read(self, count: int) -> None:
        """A read of content has given *count* bytes."""
        if self._framed:
            self._allowed += (1 + _FRAMING_RATIO) * count
            self._progress(count)
        self._left = self._deadline - time.monotonic()

    def readinto(self, buffer: Any) -> int:
        now = time.monotonic()
        if self._deadline <= now:
            raise TimeoutError("too slow")
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
    def __init__(self, wire: DeadlineReader) -> None:
        self._wire = wire

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._wire, 64 * 1024)


def reason(error: Exception) -> str:
    """What went wrong in a few words, without what a server might have put into them."""
    if isinstance(error, TimeoutError):
        return "it stands still"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server hung up without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended too early"
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"the answer is not HTTP ({type(error).__name__})"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
