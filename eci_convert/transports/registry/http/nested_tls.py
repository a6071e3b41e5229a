"""TLS inside TLS: an HTTPS server behind an HTTPS proxy."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from eci_convert.transports.registry.http.deadline import seconds_left

_PIECE = 64 * 1024

T = TypeVar("T")


class NestedTls:
    """A TLS connection over *outer*, with the methods of a socket that HttpConnection uses.

    `ssl` wraps file descriptors only, so the records of the inner layer go through memory. The constructor performs the
    handshake, and raises what `SSLContext.wrap_socket` raises. As with a socket, the timeout is for a whole call, also
    if a record arrives byte by byte.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, hostname: str) -> None:
        self._outer = outer
        self._timeout = outer.gettimeout()
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._received, self._to_send, server_hostname=hostname)
        self._run(self._inner.do_handshake)

    def sendall(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            view = view[self._run(partial(self._inner.write, view[:_PIECE])) :]

    def recv(self, count: int) -> bytes:
        buffer = bytearray(count)
        return bytes(buffer[: self.recv_into(buffer)])

    def recv_into(self, buffer: Any) -> int:
        """As `SSLSocket.recv_into`: 0 at the end, also without a close_notify."""
        view = memoryview(buffer)
        if not view:
            return 0
        try:
            # With a buffer it returns a count; typeshed declares only the other form.
            return cast("int", self._run(lambda: self._inner.read(len(view), view)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds
        self._outer.settimeout(seconds)

    def fileno(self) -> int:
        return self._outer.fileno()

    def shutdown(self, how: int) -> None:
        self._outer.shutdown(how)

    def close(self) -> None:
        self._outer.close()

    def _run(self, step: Callable[[], T]) -> T:
        """The result of *step* of the inner layer, feeding it records from the outer one as needed."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill(deadline)
            except ssl.SSLError:
                self._flush()  # an alert tells the server why
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if records := self._to_send.read():
            self._outer.sendall(records)

    def _fill(self, deadline: float | None) -> None:
        if deadline is not None:
            self._outer.settimeout(seconds_left(deadline))
        try:
            records = self._outer.recv(_PIECE)
        finally:
            self._outer.settimeout(self._timeout)
        if records:
            self._received.write(records)
        else:
            self._received.write_eof()
