"""`docker load` under way: what is written here is sent in a thread of its own, a few MiB behind at most."""

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
"""Seconds that a load which is given up has to end. It is cut off by then; only an engine that hangs takes longer."""
_HASTE: Final = 0.5
"""The same, where the whole program is to stop."""


class LoadRequest:
    """One archive on its way into *engine*, from the first `write` on. *what* is what messages call it."""

    def __init__(self, engine: Engine, what: str) -> None:
        self._engine = engine
        self._what = what
        self._reporter = engine.settings.reporter
        self._belt = BoundedQueue(_DEPTH)
        self._thread: Thread | None = None
        self._all_written = False
        self._ended_well = False
        self._failure: EciError | None = None

    def write(self, data: bytes) -> None:
        """Send *data*. Raises the error that the engine has reported meanwhile."""
        if self._thread is None:
            self._thread = Thread(target=self._send_in_thread, name="docker load", daemon=True)
            self._thread.start()
        with waiting(self._reporter, "the Docker engine to take the image"):
            if data and not self._belt.push(data):
                raise self._failed()

    def finish(self) -> None:
        """Wait until the engine has stored what was sent. Raises the error that it reports."""
        self._all_written = True
        self._belt.end()
        if self._thread is not None:
            with waiting(self._reporter, "the Docker engine to store the image"):
                interrupts.join(self._thread)
        if not self._ended_well:
            raise self._failed()

    def abandon(self) -> None:
        """Cut the archive off where it is: the engine then keeps nothing of it that has a name."""
        self._belt.stop()
        if self._thread is not None:
            self._thread.join(_HASTE if interrupts.requested() else _GRACE)

    def _send_in_thread(self) -> None:
        try:
            with self._engine.client(patiently=True) as client:
                for event in client.load_image(self._sent()):  # type: ignore[no-untyped-call]
                    raise_if_unpack_failed(event, self._what)
            self._ended_well = self._all_written
        except EciError as error:
            self._failure = error
        finally:
            self._belt.stop()

    def _sent(self) -> Iterator[bytes]:
        while chunk := self._belt.pop():
            yield chunk
        if not self._all_written:
            raise _AbandonedError(f"{self._what}: given up")

    def _failed(self) -> EciError:
        if self._thread is not None:
            interrupts.join(self._thread)
        return self._failure or TransportError(f"{self._what}: the Docker engine ended before the image did")


class _AbandonedError(TransportError):
    """Raised where the request takes its data from: nothing else makes the HTTP library break off."""
