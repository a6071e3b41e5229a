"""A proxy on loopback that leads every name to one port, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

from tests.faulty_registry import FaultyRegistry


class TunnelProxy:
    """Answers CONNECT. *status*: what it says; 200 opens the way to *port*."""

    def __init__(self, port: int, answer: bytes) -> None:
        self.heads: list[str] = []
        self._answer = answer
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head.decode())
            client.sendall(self._answer)
            if b" 200 " not in self._answer:
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                pairs = {client: server, server: client}
                while True:
                    for ready in select.select(list(pairs), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        pairs[ready].sendall(data)


@contextlib.contextmanager
def a_tunnel(
    registry: FaultyRegistry, answer: bytes = b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n"
) -> Iterator[TunnelProxy]:
    """A proxy before *registry*."""
    proxy = TunnelProxy(registry.port, answer)
    try:
        yield proxy
    finally:
        proxy.stop()
