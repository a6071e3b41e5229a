"""Base classes of the reporters: state behind a lock, and a thread that notices waits.

No thread of the work ever waits for a terminal: it changes the state, and a daemon thread draws. So a terminal that
takes nothing more, or is gone, neither stops the work nor keeps the program from ending.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

from eci_convert.display import terminal
from eci_convert.display.state import State
from eci_convert.progress import Event

QUIET = 1.0
"""Seconds in which nothing is shown, so that short work stays quiet."""


class WarningsOnly:
    """A reporter that shows warnings, on *stream* or standard error, and nothing else."""

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._given = stream
        self._environ = os.environ if environ is None else environ

    def started(self, task: str, total: int | None) -> None: ...

    def advanced(self, task: str, count: int) -> None: ...

    def finished(self, task: str) -> None: ...

    def noted(self, event: Event) -> None: ...

    def warned(self, message: str) -> None:
        self._tell(self._warning(message))

    def said(self, message: str) -> None:
        """Show a line of talk that is no progress, such as one of a builder's."""
        self._tell(f"eci-convert: {terminal.printable_line(message)}")

    def close(self) -> None:
        """Show the last of it. Of what happens afterwards only warnings and talk are shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stderr

    def _tell(self, line: str) -> None:
        terminal.write(self._stream, line + "\n")

    def _warning(self, message: str) -> str:
        label = "eci-convert: warning: "
        coloured = terminal.has_colours(self._stream, self._environ)
        return (f"\x1b[33m{label}\x1b[0m" if coloured else label) + terminal.printable_line(message)


class Silent(WarningsOnly):
    """A reporter that shows talk alone."""

    def warned(self, message: str) -> None: ...


class WatchedWork(WarningsOnly):
    """A reporter that keeps count of the work and looks at it every *interval* seconds."""

    interval = 0.5

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(stream, environ)
        self._state = State()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def started(self, task: str, total: int | None) -> None:
        with self._lock:
            self._state.started(task, total, time.monotonic())
            self._watch()
        self._changed()

    def advanced(self, task: str, count: int) -> None:
        with self._lock:
            self._state.advanced(task, count, time.monotonic())

    def finished(self, task: str) -> None:
        with self._lock:
            self._state.finished(task, time.monotonic())
        self._changed()

    def noted(self, event: Event) -> None:
        with self._lock:
            self._state.noted(event, time.monotonic())
            self._watch()
        self._changed()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._wake.set()

    def _changed(self) -> None:
        """Something happened that may have to be shown at once. Called without the lock."""

    def _look(self, now: float) -> None:
        """Show what there is to show. Called by the watching thread, without the lock."""

    def _watch(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self.interval)
            self._wake.clear()
            if not self._closed:
                self._look(time.monotonic())

    def _showing(self, now: float) -> bool:
        """Whether the work has lasted long enough to be shown."""
        return self._state.began is not None and now - self._state.began >= QUIET
