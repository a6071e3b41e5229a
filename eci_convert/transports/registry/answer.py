"""What comes back: a status, headers, and a body that is read as it was stored, under time limits."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from eci_convert.errors import TransportError
from eci_convert.transports.registry.patience import Transient
from eci_convert.transports.registry.url import Url

PIECE = 1024 * 1024
"""Bytes of a body that are handed on at once, if the network is fast enough to have them."""

_RENEWING = 4 * 1024


class Line(Protocol):
    """The connection that an answer comes over."""

    def abort(self) -> None: ...


class Answer:
    """The answer to a request: its status and headers, and a body that is still to come. Close it."""

    def __init__(self, response: http.client.HTTPResponse, method: str, url: Url, line: Line, *, spoiled: bool) -> None:
        self.status = response.status
        self.method = method
        self.url = url
        self._response = response
        self._line = line
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

    def pieces(self) -> Iterator[bytes]:
        """The body as stored, up to 1 MiB at a time: the digest is of these bytes, so nothing is decoded.

        Raises Transient, after what came before the fault. A body that ends early without a sign of it just ends.
        """
        response, gathered, count = self._response, list[bytes](), 0
        while True:
            fault: Exception | None = None
            try:
                piece = response.read1(PIECE - count)
            except (OSError, http.client.HTTPException, ValueError) as error:
                piece, fault = b"", error
            gathered.append(piece)
            count += len(piece)
            if count >= PIECE // 4 or not piece:
                if count:
                    yield gathered[0] if len(gathered) == 1 else b"".join(gathered)
                gathered, count = [], 0
            if fault is not None:
                self._spoiled = True
                raise Transient(f"{self.url.shown}: {reason(fault)}") from fault
            if not piece:
                return

    def into(self, view: memoryview) -> int:
        """Puts the next bytes of the body into *view*, up to 256 KiB; how many, 0 at the end. Raises Transient, and
        what came just before the fault is lost then."""
        try:
            return self._response.readinto(view[: PIECE // 4])
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._spoiled = True
            raise Transient(f"{self.url.shown}: {reason(error)}") from error

    def read(self, limit: int) -> bytes:
        """The whole body. Raises TransportError where it is longer than *limit* bytes, Transient where it is cut."""
        found = bytearray()
        for piece in self.pieces():
            found += piece
            if len(found) > limit:
                self._spoiled = True
                raise TransportError(f"{self.url.shown}: the answer is longer than {limit} bytes")
        if self.length is not None and self.method != "HEAD" and len(found) < self.length:
            raise Transient(f"{self.url.shown}: the answer ended after {len(found)} of {self.length} bytes")
        return bytes(found)

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

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wire(io.RawIOBase):
    """What a socket receives, until a deadline *timeout* seconds away; it moves along with what comes once it is
    `renew`ed, as long as that is not just a trickle."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        super().__init__()
        self._sock = sock
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._renewing = False
        self._received = 0

    def spoken(self) -> _Spoken:
        """All that http.client's parser wants of a socket."""
        return _Spoken(self)

    def readable(self) -> bool:
        return True

    def renew(self, timeout: float) -> None:
        """From now on the time limit is *timeout* seconds of standing still."""
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._renewing = True

    def readinto(self, buffer: Any) -> int:
        now = time.monotonic()
        if self._renewing and self._received >= _RENEWING:
            self._received, self._deadline = 0, now + self._timeout
        if self._deadline <= now:
            raise TimeoutError("too slow")
        self._sock.settimeout(self._deadline - now)
        count = self._sock.recv_into(buffer)
        self._received += count
        return count


class _Spoken:
    def __init__(self, wire: Wire) -> None:
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
