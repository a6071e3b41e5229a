"""One HTTP/1.1 exchange over one connection, with a time limit on each of its phases.

http.client parses what comes; what goes out, and when to give up, is decided here. Nothing is followed, retried,
decoded, cached or remembered: no cookies, no netrc, no redirects.
"""

from __future__ import annotations

import http.client
import io
import re
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eci_convert.errors import TransportError
from eci_convert.transports.registry.patience import Transient
from eci_convert.transports.registry.url import Url
from eci_convert.version import __version__

PIECE = 1024 * 1024
"""Bytes of a body that are handed on at once, if the network is fast enough to have them."""

_SENT_AT_ONCE = 256 * 1024
_RENEWING = 4 * 1024
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. *body* None: no body; *length* None with a body: sent in chunks (RFC 9112 §7.1).

    A body that is a tuple can be sent again. *wait*: seconds beyond the usual that the answer may take to begin.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body: Iterable[bytes] | None = None
    length: int | None = None
    wait: float = 0.0

    @property
    def can_be_repeated(self) -> bool:
        return self.body is None or isinstance(self.body, tuple)


class Connection:
    """A connected socket that speaks HTTP/1.1 with *origin*; through a proxy in the clear where *absolute*."""

    def __init__(
        self,
        sock: socket.socket,
        url: Url,
        *,
        peer: str | None,
        timeout: float,
        absolute: bool = False,
        proxy: str = "",
    ) -> None:
        self.origin = url.origin
        self.peer = peer
        self.used = False
        self._sock = sock
        self._timeout = timeout
        self._absolute = absolute
        self._proxy = proxy

    def exchange(self, request: Request) -> Answer:
        """Sends *request* and returns the beginning of the answer. Raises Transient, after which this is of no use."""
        where = request.url.shown
        wire = _Wire(self._sock, self._timeout)
        try:
            try:
                self._send(request)
            except (BrokenPipeError, ConnectionResetError):
                # A server that has heard enough answers and hangs up: its answer says more than the broken pipe.
                return self._answer(request, wire, spoiled=True)
            return self._answer(request, wire, spoiled=False)
        except TimeoutError as error:
            raise Transient(f"{where}: no answer within {self._timeout + request.wait:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"{where}: {_reason(error)}") from error

    def idle(self) -> bool:
        """Whether the server has neither hung up nor said anything unasked."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._sock.close()

    def _send(self, request: Request) -> None:
        self._sock.settimeout(self._timeout)
        self._sock.sendall(self._head(request))
        if request.body is None:
            return
        chunked = request.length is None
        for block in request.body:
            view = memoryview(block)
            for start in range(0, len(view), _SENT_AT_ONCE):
                piece = view[start : start + _SENT_AT_ONCE]
                if chunked:
                    self._sock.sendall(b"%x\r\n" % len(piece))
                self._sock.sendall(piece)
                if chunked:
                    self._sock.sendall(b"\r\n")
        if chunked:
            self._sock.sendall(b"0\r\n\r\n")

    def _head(self, request: Request) -> bytes:
        target = str(request.url) if self._absolute else request.url.target
        headers = {
            "Host": request.url.authority,
            "User-Agent": f"eci-convert/{__version__}",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        if self._absolute and self._proxy:
            headers["Proxy-Authorization"] = self._proxy
        if request.body is not None:
            if request.length is None:
                headers["Transfer-Encoding"] = "chunked"
            else:
                headers["Content-Length"] = str(request.length)
        elif request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        lines = [f"{request.method} {target} HTTP/1.1"]
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise TransportError(f"{request.url.shown}: the header {name!r} would hold what no header may")
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def _answer(self, request: Request, wire: _Wire, *, spoiled: bool) -> Answer:
        wire.allow(self._timeout + request.wait)
        response = http.client.HTTPResponse(_Spoken(wire), method=request.method)  # type: ignore[arg-type]
        response.begin()
        wire.renew()
        self.used = True
        return Answer(response, request, self, spoiled=spoiled)


class Answer:
    """The answer to a request: its status and headers, and a body that is still to come. Close it."""

    def __init__(
        self, response: http.client.HTTPResponse, request: Request, connection: Connection, *, spoiled: bool
    ) -> None:
        self.status = response.status
        self.url = request.url
        self.method = request.method
        self._response = response
        self._connection = connection
        self._spoiled = spoiled or response.will_close
        self._release: Any = None

    def header(self, name: str) -> str:
        """The value of a header, "" if it is absent; of a repeated one, the first."""
        return str(self._response.headers.get(name, ""))

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
                raise Transient(f"{self.url.shown}: {_reason(fault)}") from fault
            if not piece:
                return

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

    def on_release(self, release: Any) -> None:
        """*release*(connection, reusable) is called once, when the answer is closed."""
        self._release = release

    def close(self) -> None:
        """Lets go of the connection: to be used again if nothing of the body is left, else for good."""
        whole = self._response.isclosed() or self._response.length == 0
        release, self._release = self._release, None
        if release is not None:
            release(self._connection, whole and not self._spoiled)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Wire(io.RawIOBase):
    """What a socket receives, until a deadline. In a body the deadline moves as long as bytes come at a decent rate."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        super().__init__()
        self._sock = sock
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._renewing = False
        self._received = 0

    def readable(self) -> bool:
        return True

    def allow(self, seconds: float) -> None:
        """From now on there are *seconds* for the whole of what comes."""
        self._deadline = time.monotonic() + seconds
        self._renewing = False

    def renew(self) -> None:
        """From now on the time limit is one on standing still."""
        self._deadline = time.monotonic() + self._timeout
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
    """All that http.client's parser wants of a socket."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._wire, 64 * 1024)


def _reason(error: Exception) -> str:
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
