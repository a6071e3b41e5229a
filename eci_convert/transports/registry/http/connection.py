"""One HTTP/1.1 request and response over one connection, with a time limit on each phase.

http.client parses responses; requests and time limits are ours. No redirects, retries, decoding, caching, cookies or
netrc here.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from eci_convert._version import __version__
from eci_convert.errors import TransportError
from eci_convert.streams import interrupts
from eci_convert.transports.registry.http.response import DeadlineReader, Response, ResponseParser, reason
from eci_convert.transports.registry.http.retry import ConnectionLost
from eci_convert.transports.registry.http.url import Url

_SENT_AT_ONCE = 256 * 1024
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request. *body* None: no body. *length* None with a body: chunked transfer coding (RFC 9112 §7.1).

    A body that is a tuple can be sent again. *extra_timeout*: additional seconds to wait for the response to begin.
    *own_connection*: do not share the connection with other requests. *on_sent* is called with the number of bytes of
    the encoded body that were sent.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body: Iterable[bytes] | None = None
    length: int | None = None
    extra_timeout: float = 0.0
    own_connection: bool = False
    on_sent: Callable[[int], None] | None = field(default=None, hash=False, compare=False)

    @property
    def repeatable(self) -> bool:
        return self.body is None or isinstance(self.body, tuple)


class HttpConnection:
    """A connected socket for HTTP/1.1 requests to *origin*. *absolute*: through a plain HTTP proxy, with absolute
    request targets."""

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
        interrupts.abort_on_request(self)

    def exchange(self, request: Request) -> Response:
        """Sends *request* and returns the response as soon as its headers are read.

        Raises ConnectionLost; the connection must be closed then.
        """
        where = request.url.shown
        try:
            is_complete = self._send(request)
        except OSError as error:
            raise ConnectionLost(f"{where}: {reason(error)}") from error
        try:
            reader = DeadlineReader(self._sock, self._timeout + request.extra_timeout)
            return self._receive(request, reader, unusable=not is_complete)
        except TimeoutError as error:
            raise ConnectionLost(
                f"{where}: timed out: no response within {self._timeout + request.extra_timeout:g} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionLost(f"{where}: {reason(error)}") from error

    def idle(self) -> bool:
        """Whether the server has neither closed the connection nor sent unsolicited data."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        """Shuts the socket down, so that a thread blocked on it fails at once."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    def _send(self, request: Request) -> bool:
        """Sends all of *request*. Returns False if the server closed the connection meanwhile: it may have sent a
        response first."""
        self._sock.settimeout(self._timeout)
        self._sock.sendall(self._head(request))
        sent = 0
        for piece in _encoded_body(request):
            interrupts.check()
            try:
                self._sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return False
            sent += len(piece)
            if request.on_sent:
                request.on_sent(sent)
        return True

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
                raise TransportError(f"{request.url.shown}: invalid character in the header {name!r}")
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def _receive(self, request: Request, reader: DeadlineReader, *, unusable: bool) -> Response:
        response = ResponseParser(reader.socket_like(), method=request.method)  # type: ignore[arg-type]
        response.begin()
        reader.renew(self._timeout, framed=response.chunked)
        self.used = True
        return Response(response, request.method, request.url, self, reader, unusable=unusable)


def _encoded_body(request: Request) -> Iterator[bytes | memoryview]:
    """The encoded body. Exceptions that the body's iterator raises are passed on."""
    chunked = request.length is None
    for block in request.body or ():
        view = memoryview(block)
        for start in range(0, len(view), _SENT_AT_ONCE):
            piece = view[start : start + _SENT_AT_ONCE]
            if chunked:
                yield b"%x\r\n" % len(piece)
            yield piece
            if chunked:
                yield b"\r\n"
    if chunked and request.body is not None:
        yield b"0\r\n\r\n"
