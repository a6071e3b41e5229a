"""A `docker load` request, sent by a thread of its own from a bounded queue of a few MiB."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Final

from eci_convert.errors import EciError, TransportError
from eci_convert.progress import waiting
from eci_convert.streams import interrupts
from eci_convert.streams.threads import BoundedQueue
from eci_convert.transports.docker_daemon.engine import Engine
from eci_convert.transports.docker_daemon.errors import raise_if_unpack_failed

_DEPTH: Final = 8 << 20
_GRACE: Final = 10.0
"""Seconds to wait for an aborted load to end; only an engine that hangs takes longer."""
_GRACE_IF_INTERRUPTED: Final = 0.5
"""The same, if the program was interrupted."""


class LoadRequest:
    """One archive being sent to *engine*, from the first `write` on. *what* names it in messages."""

    def __init__(self, engine: Engine, what: str) -> None:
        self._engine = engine
        self._what = what
        self._reporter = engine.settings.reporter
        self._queue = BoundedQueue(_DEPTH)
        self._thread: Thread | None = None
        self._all_written = False
        self._succeeded = False
        self._failure: EciError | None = None

    def write(self, data: bytes) -> None:
        """Sends *data*. Raises the error that the engine has reported meanwhile."""
        if self._thread is None:
            self._thread = Thread(target=self._send_in_thread, name="docker load", daemon=True)
            self._thread.start()
        with waiting(self._reporter, "the Docker engine to receive the image"):
            if data and not self._queue.push(data):
                raise self._error()

    def finish(self) -> None:
        """Waits until the engine has stored the image. Raises the error that it reports."""
        self._all_written = True
        self._queue.end()
        if self._thread is not None:
            with waiting(self._reporter, "the Docker engine to store the image"):
                interrupts.join(self._thread)
        if not self._succeeded:
            raise self._error()

    def abandon(self) -> None:
        """Aborts the request: the engine keeps nothing of it under a name."""
        self._queue.stop()
        if self._thread is not None:
            self._thread.join(_GRACE_IF_INTERRUPTED if interrupts.requested() else _GRACE)

    def _send_in_thread(self) -> None:
        try:
            with self._engine.client(slow=True) as client:
                for event in client.load_image(self._body()):  # type: ignore[no-untyped-call]
                    raise_if_unpack_failed(event, self._what)
            self._succeeded = self._all_written
        except EciError as error:
            self._failure = error
        finally:
            self._queue.stop()

    def _body(self) -> Iterator[bytes]:
        while chunk := self._queue.pop():
            yield chunk
        if not self._all_written:
            raise _AbandonedError(f"{self._what}: aborted")

    def _error(self) -> EciError:
        if self._thread is not None:
            interrupts.join(self._thread)
        return self._failure or TransportError(
            f"{self._what}: the Docker engine closed the connection before the whole image was sent"
        )


class _AbandonedError(TransportError):
    """Raised by the iterator that the HTTP library reads the body from: the only way to make it abort."""
