"""A relay on loopback in front of a server, which counts what passes and stops at a byte that one chooses.

with relay(registry.host) as link:
    link.hold(up=5_000_000)         # after so many bytes towards the server nothing passes any more, either way
    … start something at link.host …
    link.held.wait(60)              # it has come to that
    … kill it …
    link.open()                     # connections so far are cut, what was held is dropped, counting begins anew
    … start it again …
    assert link.up < 1_000_000
    link.carries = 2_000_000        # from now on each connection is cut after so many bytes towards the server
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

_PIECE = 1 << 16


class Relay:
    """The relay while it runs. *up* and *down* are the bytes that passed since the last `open`."""

    def __init__(self, host: str, server: socket.socket) -> None:
        name, _, port = host.rpartition(":")
        self.host = f"127.0.0.1:{server.getsockname()[1]}"
        self.up = self.down = 0
        self.held = threading.Event()
        self.carries: int | None = None
        self._there = (name, int(port))
        self._server = server
        self._limits: tuple[int | None, int | None] = (None, None)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def hold(self, *, up: int | None = None, down: int | None = None) -> None:
        """After *up* bytes towards the server, or *down* from it, nothing passes, until `open`."""
        self._limits = (up, down)

    def open(self) -> None:
        """Every connection is cut, and counting begins anew, without limits."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()  # not only shut down: who still sends hears of it, whatever has not been received yet
        self.up = self.down = 0
        self._limits = (None, None)
        self.held.clear()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                upstream = socket.create_connection(self._there)
            except OSError:
                return
            with self._lock:
                self._sockets |= {client, upstream}
            for pair in ((client, upstream, True), (upstream, client, False)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, upwards: bool) -> None:
        left = self.carries if upwards else None
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE if left is None else min(_PIECE, left)):
                left = None if left is None else left - len(data)
                allowed = self._counted(len(data), upwards=upwards)
                sink.sendall(data[:allowed])
                if allowed < len(data):
                    self._wait_for_the_end(sink)
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if left == 0:
                end.close()  # as `open` does

    def _counted(self, count: int, *, upwards: bool) -> int:
        """How many of *count* bytes may pass."""
        with self._lock:
            up, down = self._limits
            limit, passed = (up, self.up) if upwards else (down, self.down)
            allowed = 0 if self.held.is_set() else count
            if limit is not None and passed + allowed >= limit:
                allowed = max(0, min(allowed, limit - passed))
                self.held.set()
            if upwards:
                self.up += allowed
            else:
                self.down += allowed
            return allowed

    def _wait_for_the_end(self, end: socket.socket) -> None:
        """Until `open` shuts *end*."""
        with contextlib.suppress(OSError):
            while end.fileno() >= 0:
                with self._lock:
                    if end not in self._sockets:
                        return
                threading.Event().wait(0.02)


@contextlib.contextmanager
def relay(host: str) -> Iterator[Relay]:
    """A relay to *host*, `ADDRESS:PORT`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = Relay(host, server)
        thread = threading.Thread(target=running.serve, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown(socket.SHUT_RDWR)
            running.open()
            thread.join()
