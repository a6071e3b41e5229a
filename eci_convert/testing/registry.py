"""FaultyRegistry: HTTP in threads of this process, on a port of the loopback interface."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from eci_convert.testing.behaviour import Behaviour
from eci_convert.testing.faults import Reply, Unheard


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A received request. *body* is the received part of its body, *whole*: that is all of it."""

    method: str
    path: str
    headers: Message
    body: bytes = b""
    whole: bool = True

    def header(self, name: str) -> str:
        """The value of a header; "" if it is absent."""
        return str(self.headers.get(name, ""))


@dataclass
class Fault:
    """*change* is applied to the replies to the next *times* requests with a matching method and path."""

    method: str
    path: str
    change: Callable[[Reply], Reply]
    times: int
    hears: int | None = None

    def suits(self, method: str, path: str) -> bool:
        """Whether the fault applies to a request with *method* and *path*."""
        return (
            self.times > 0 and re.fullmatch(self.method, method) is not None and re.search(self.path, path) is not None
        )


class FaultyRegistry(Behaviour):
    """A registry on a port of its own. `host` is HOST:PORT, as in references."""

    def __init__(self, address: str, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._faults: list[Fault] = []
        self.requests: list[Seen] = []
        """All requests received so far, in order."""
        self.carries: int | None = None
        """Bytes of request bodies after which a connection is closed; None is no limit."""
        self.pace = 0.0
        """The limit in bytes a second for sending on one connection; 0 is no limit."""
        self.intake = 0.0
        """The limit in bytes a second for receiving on one connection; 0 is no limit."""
        self._lock = threading.Lock()
        self._server = _Server((address, 0), _handler(self))
        self._server.connections = []
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # closed connections
        if tls is not None:
            self._server.tls = tls
        self.scheme = "https" if tls else "http"
        self.host = f"{address}:{self._server.server_port}"
        self.port = self._server.server_port
        self.url = f"{self.scheme}://{self.host}"

    def misbehave(
        self,
        method: str,
        path: str,
        change: Callable[[Reply], Reply] = lambda reply: reply,
        *,
        times: int = 1,
        hears: int | None = None,
    ) -> None:
        """Orders a fault: *change* is applied to the responses to the next *times* requests whose method matches
        *method* and whose path contains a match of *path*, both regular expressions.

        *hears*: the number of bytes of the request's body that are read before the connection is closed; -1: a response
        is sent first, and nothing is read.
        """
        self._faults.append(Fault(method=method, path=path, change=change, times=times, hears=hears))

    def behave(self) -> None:
        """Cancels all ordered faults."""
        self._faults.clear()

    def seen(self, path: str, method: str = ".*") -> list[Seen]:
        """The requests so far whose path contains a match of the regular expression *path*."""
        return [one for one in self.requests if re.search(path, one.path) and re.fullmatch(method, one.method)]

    def secrets_seen(self) -> list[str]:
        """The credentials in all Authorization headers received, Basic ones decoded (NAME:PASSWORD)."""
        secrets = []
        for one in self.requests:
            scheme, _, value = one.header("Authorization").partition(" ")
            with contextlib.suppress(ValueError):
                value = base64.b64decode(value, validate=True).decode() if scheme == "Basic" else value
            secrets += [value] if value else []
        return secrets

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault ordered for a request, if any; its count is reduced by one."""
        with self._lock:
            for fault in self._faults:
                if fault.suits(method, path):
                    fault.times -= 1
                    return fault
        return None

    def serve(self) -> None:
        """Serves requests until `stop` is called."""
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        """Stops serving, and closes all connections."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()


@contextlib.contextmanager
def run_registry(address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> Iterator[FaultyRegistry]:
    """A registry for the duration of the block, on a free port of *address*; with *tls* it uses HTTPS."""
    registry = FaultyRegistry(address, tls)
    thread = threading.Thread(target=registry.serve, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    """An HTTP server whose TLS handshakes run in the threads of their connections, so that none blocks the others."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    tls: ssl.SSLContext | None = None
    connections: list[socket.socket]

    def hang_up(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        if self.tls is not None:
            request.settimeout(10)
            request = self.tls.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()


def _handler(registry: FaultyRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.registry = registry
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    registry: FaultyRegistry
    timeout = 30
    carried = 0

    def handle_any(self) -> None:
        fault = self.registry.take_fault(self.command, self.path)
        body, whole = self._body(self._body_limit(fault))
        self.carried += len(body)
        if fault is not None and (fault.hears == -1 or isinstance(fault.change, Unheard)):
            self.registry.requests.append(Seen(method=self.command, path=self.path, headers=self.headers, whole=False))
            self._send(fault.change(Reply.of(200)))
            self.close_connection |= fault.hears == -1
            return
        seen = Seen(method=self.command, path=self.path, headers=self.headers, body=body, whole=whole)
        self.registry.requests.append(seen)
        if not whole:
            self.registry.interrupted(self.command, self.path, body)
            self._break()
            return
        reply = self.registry.reply(self.command, self.path, self.headers, body)
        self._send(fault.change(reply) if fault else reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_any  # noqa: N815

    def _body_limit(self, fault: Fault | None) -> int | None:
        """How many bytes of the body are read before the connection is closed; None: all."""
        if (fault and fault.hears is not None) or self.registry.carries is None:
            return fault.hears if fault else None
        left = self.registry.carries - self.carried
        return left if int(self.headers.get("Content-Length") or 0) > left else None

    def _body(self, hears: int | None) -> tuple[bytes, bool]:
        body = bytearray()
        if hears == -1:
            return b"", False
        for size in self._sizes():
            while size:
                want = min(size, 65536, size if hears is None else hears - len(body))
                piece = self.rfile.read(want) if want > 0 else b""
                if not piece:
                    return bytes(body), False
                if self.registry.intake:
                    time.sleep(len(piece) / self.registry.intake)
                body += piece
                size -= len(piece)
        return bytes(body), hears is None

    def _sizes(self) -> Iterator[int]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield int(self.headers.get("Content-Length") or 0)
            return
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            yield size
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, reply: Reply) -> None:
        if reply.dropped:
            self._break()
            return
        time.sleep(reply.delay)
        if reply.raw is not None:
            first = reply.at_once if reply.pause else len(reply.raw)
            self.wfile.write(reply.raw[:first])
            for at in range(first, len(reply.raw)):
                self.wfile.write(reply.raw[at : at + 1])
                time.sleep(reply.pause)
            self._break()
            return
        self.send_response(reply.status)
        for name, value in self._headers(reply):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = reply.body if reply.cut is None else reply.body[: reply.cut]
        self._send_paced(body)
        if reply.cut is not None:
            time.sleep(reply.stall)
            self._break()

    def _send_paced(self, body: bytes) -> None:
        pace, step = self.registry.pace, 65536
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if pace:
                time.sleep(step / pace)

    def _headers(self, reply: Reply) -> Iterator[tuple[str, str]]:
        yield from reply.headers
        if "content-length" not in {name.lower() for name, _ in reply.headers} and reply.length is not None:
            yield "Content-Length", str(reply.length)

    def _break(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...
