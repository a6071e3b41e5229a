"""A link that gives every connection so many bytes a second: a relay on loopback in front of a server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_PIECE = 1 << 18


@contextlib.contextmanager
def slow_link(host: str, bytes_per_second: int) -> Iterator[str]:
    """The address of a relay to *host* (`127.0.0.1:PORT`), through which a connection gets *bytes_per_second* down."""
    name, _, port = host.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closing = threading.Event()
        threading.Thread(
            target=_accept, args=(server, (name, int(port)), bytes_per_second, closing), daemon=True
        ).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            closing.set()


def _accept(server: socket.socket, there: tuple[str, int], speed: int, closing: threading.Event) -> None:
    while not closing.is_set():
        try:
            client, _ = server.accept()
        except OSError:
            return
        upstream = socket.create_connection(there)
        threading.Thread(target=_relay, args=(client, upstream, None), daemon=True).start()
        threading.Thread(target=_relay, args=(upstream, client, speed), daemon=True).start()


def _relay(source: socket.socket, sink: socket.socket, speed: int | None) -> None:
    """Passes bytes on; with *speed*, never more than a tenth of a second's worth ahead of the clock."""
    buffer = memoryview(bytearray(_PIECE))
    due = time.monotonic()
    with contextlib.suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(buffer[:count])
            if speed:
                due = max(due, time.monotonic() - 0.1) + count / speed
                time.sleep(max(0.0, due - time.monotonic()))
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
