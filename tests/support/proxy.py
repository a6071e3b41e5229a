"""A proxy on loopback that leads every name to one port, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Protocol

from eci_convert.testing import FaultyRegistry
from tests.support.fake_registry.server import CERTS


class TunnelProxy:
    """Answers CONNECT. *status*: what it says; 200 opens the way to *port*."""

    def __init__(self, port: int, answer: bytes) -> None:
        self.heads: list[str] = []
        self._answer = answer
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
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


class TlsFront:
    """TLS in front of the server at *port*: what it is sent is passed on in the clear, and the other way."""

    def __init__(self, port: int, cert: str) -> None:
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTS / f"{cert}.pem")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(client, server_side=True) as tls,
            socket.create_connection(("127.0.0.1", self._port)) as server,
        ):
            while True:
                for one in [tls] if tls.pending() else select.select([tls, server], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (server if one is tls else tls).sendall(data)


class SocksProxy:
    """SOCKS 5. It leads every name to *port*; *login* is what it wants to hear, (b"", b"") nothing; *failure* is what
    it answers to whoever wants to be connected."""

    def __init__(self, port: int, login: tuple[bytes, bytes] = (b"", b""), failure: int = 0) -> None:
        self.asked: list[tuple[int, bytes, int]] = []
        self._port, self._login, self._failure = port, login, failure
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as said:
            version, count = said.read(2)
            methods = said.read(count)
            method = 2 if self._login[0] else 0
            if version != 5 or method not in methods:
                client.sendall(b"\x05\xff")
                return
            client.sendall(bytes([5, method]))
            if method == 2:
                name, password = (said.read(said.read(2 - number)[-1]) for number in (0, 1))
                client.sendall(bytes([1, (name, password) != self._login]))
                if (name, password) != self._login:
                    return
            _, _, _, kind = said.read(4)
            host = said.read({1: 4, 4: 16}.get(kind) or said.read(1)[0])
            self.asked.append((kind, host, int.from_bytes(said.read(2), "big")))
            client.sendall(bytes([5, self._failure, 0, 3, 4]) + b"here" + b"\0\1")
            if not self._failure:
                with socket.create_connection(("127.0.0.1", self._port)) as server:
                    pairs = {client: server, server: client}
                    while True:
                        for ready in select.select(list(pairs), [], [])[0]:
                            data = ready.recv(65536)
                            if not data:
                                return
                            pairs[ready].sendall(data)


@contextlib.contextmanager
def tls_before(port: int, cert: str = "server") -> Iterator[TlsFront]:
    """TLS in front of *port* of this computer."""
    front = TlsFront(port, cert)
    try:
        yield front
    finally:
        front.stop()


@contextlib.contextmanager
def a_socks_proxy(
    registry: FaultyRegistry, login: tuple[bytes, bytes] = (b"", b""), failure: int = 0
) -> Iterator[SocksProxy]:
    """A SOCKS 5 proxy before *registry*."""
    proxy = SocksProxy(registry.port, login, failure)
    try:
        yield proxy
    finally:
        proxy.stop()


class Server(Protocol):
    """What a proxy can be before."""

    @property
    def port(self) -> int: ...


@contextlib.contextmanager
def a_tunnel(
    registry: Server, answer: bytes = b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n"
) -> Iterator[TunnelProxy]:
    """A proxy before *registry*."""
    proxy = TunnelProxy(registry.port, answer)
    try:
        yield proxy
    finally:
        proxy.stop()
