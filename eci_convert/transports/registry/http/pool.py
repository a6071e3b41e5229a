"""Connections that are kept for the next request, by the server they lead to."""

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

_KEPT = 16


class ConnectionPool:
    """The connections of one talk with one registry, and with the servers it names. Used from several threads."""

    def __init__(self, registry: Url, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[HttpConnection] = []
        self._contexts: dict[tuple[str, str, int], ssl.SSLContext] = {}
        self._met: set[tuple[str, str, int]] = set()
        self._own_peer: str | None = None
        self._closed = False

    def exchange(self, request: Request) -> Response:
        """The answer to *request*; closing it brings its connection back here. Raises Transient, TransportError."""
        interrupts.check()
        connection = self._dialled(request.url) if request.own_connection else self._taken(request.url)
        kept = connection.used
        try:
            answer = connection.exchange(request)
        except TransientError:
            connection.close()
            if not kept or request.method not in ("GET", "HEAD"):
                raise
            # A kept connection that breaks tells of its age, not of the server's health: a fresh one decides.
            return self._exchange_anew(request)
        except BaseException:
            connection.close()
            raise
        answer.on_release(partial(self._released, connection, request))
        return answer

    def close(self) -> None:
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for connection in idle:
            connection.close()

    def _exchange_anew(self, request: Request) -> Response:
        connection = self._dialled(request.url)
        try:
            answer = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        answer.on_release(partial(self._released, connection, request))
        return answer

    def _taken(self, url: Url) -> HttpConnection:
        while True:
            with self._lock:
                found = next((one for one in reversed(self._idle) if one.origin == url.origin), None)
                if found is not None:
                    self._idle.remove(found)
            if found is None:
                return self._dialled(url)
            if found.idle():
                return found
            found.close()

    def _dialled(self, url: Url) -> HttpConnection:
        try:
            connection = dial(url, self._registry, self._own_peer, self._settings, self._context)
        except ConnectionRefused as error:
            if url.origin in self._met:  # it was there a moment ago: it is being started again
                raise TransientError(str(error)) from error
            raise
        self._met.add(url.origin)
        if url.origin == self._registry.origin:
            self._own_peer = connection.peer
        return connection

    def _context(self, url: Url) -> ssl.SSLContext:
        with self._lock:
            if url.origin not in self._contexts:
                self._contexts[url.origin] = tls.context(url, self._settings, self._registry)
            return self._contexts[url.origin]

    def _released(self, connection: HttpConnection, request: Request, reusable: bool) -> None:
        with self._lock:
            if reusable and not request.own_connection and not self._closed and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()
