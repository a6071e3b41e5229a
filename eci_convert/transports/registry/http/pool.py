"""A pool of open connections, keyed by server."""

from __future__ import annotations

import ssl
import threading
from functools import partial

from eci_convert.streams import interrupts
from eci_convert.transports.registry.http import tls
from eci_convert.transports.registry.http.connection import HttpConnection, Request
from eci_convert.transports.registry.http.dial import ConnectionRefused, dial
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings

_MAX_IDLE = 16


class ConnectionPool:
    """The connections to one registry and to the servers it redirects to. Thread-safe."""

    def __init__(self, registry: Url, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[HttpConnection] = []
        self._contexts: dict[tuple[str, str, int], ssl.SSLContext] = {}
        self._connected_before: set[tuple[str, str, int]] = set()
        self._own_peer: str | None = None
        self._closed = False

    def exchange(self, request: Request) -> Response:
        """The response to *request*; closing it returns its connection to the pool.

        Raises TransientError, TransportError.
        """
        interrupts.check()
        connection = self._dial(request.url) if request.own_connection else self._take(request.url)
        is_reused = connection.used
        try:
            response = connection.exchange(request)
        except TransientError:
            connection.close()
            if not is_reused or request.method not in ("GET", "HEAD"):
                raise
            # A pooled connection may have been closed by the server while idle: retry once over a new one.
            return self._exchange_anew(request)
        except BaseException:
            connection.close()
            raise
        response.on_release(partial(self._release, connection, request))
        return response

    def close(self) -> None:
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for connection in idle:
            connection.close()

    def _exchange_anew(self, request: Request) -> Response:
        connection = self._dial(request.url)
        try:
            response = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        response.on_release(partial(self._release, connection, request))
        return response

    def _take(self, url: Url) -> HttpConnection:
        while True:
            with self._lock:
                connection = next(
                    (candidate for candidate in reversed(self._idle) if candidate.origin == url.origin), None
                )
                if connection is not None:
                    self._idle.remove(connection)
            if connection is None:
                return self._dial(url)
            if connection.idle():
                return connection
            connection.close()

    def _dial(self, url: Url) -> HttpConnection:
        try:
            connection = dial(url, self._registry, self._own_peer, self._settings, self._context)
        except ConnectionRefused as error:
            if url.origin in self._connected_before:  # it accepted connections before: it is probably restarting
                raise TransientError(str(error)) from error
            raise
        self._connected_before.add(url.origin)
        if url.origin == self._registry.origin:
            self._own_peer = connection.peer
        return connection

    def _context(self, url: Url) -> ssl.SSLContext:
        with self._lock:
            if url.origin not in self._contexts:
                self._contexts[url.origin] = tls.context(url, self._settings, self._registry)
            return self._contexts[url.origin]

    def _release(self, connection: HttpConnection, request: Request, reusable: bool) -> None:
        with self._lock:
            if reusable and not request.own_connection and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()
