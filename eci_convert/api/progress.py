"""Reporters that show how work goes on: lines, or bars drawn by rich. Nothing is shown in the first second."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from eci_convert.api.text import format_size
from eci_convert.errors import one_line
from eci_convert.redaction import redacted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET = 1.0
_LINES_EVERY = 5.0
_DRAW_EVERY = 0.1
_MAX_NAME = 100


@dataclass(slots=True)
class TaskState:
    """How far a task is. Times are those of `time.monotonic`; *shown* is 0 until something was."""

    total: int | None
    began: float
    done: int = 0
    shown: float = 0.0


class ThrottledReporter:
    """Calls `show` and `show_end` of those tasks that take long, and not more often than *every* seconds."""

    every = float("inf")

    def __init__(self) -> None:
        self.tasks: dict[str, TaskState] = {}
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None) -> None:
        with self._lock:
            state = self.tasks[task] = TaskState(total, began=time.monotonic())
            self.show_start(task, state)

    def advanced(self, task: str, count: int) -> None:
        with self._lock:
            state = self.tasks.get(task)
            if state is None:
                return
            state.done += count
            now = time.monotonic()
            if now - state.began >= _QUIET and now - state.shown >= self.every:
                state.shown = now
                self.show(task, state, now)

    def finished(self, task: str) -> None:
        with self._lock:
            state = self.tasks.pop(task, None)
            if state is not None:
                self.show_end(task, state)

    def warned(self, message: str) -> None:
        """Says *message*."""

    def show_start(self, task: str, state: TaskState) -> None:
        """*task* begins; called with the lock held."""

    def show(self, task: str, state: TaskState, now: float) -> None:
        """*task* goes on; called with the lock held."""

    def show_end(self, task: str, state: TaskState) -> None:
        """*task* ended; called with the lock held."""


class PlainProgress(ThrottledReporter):
    """A line every few seconds, and warnings, to *file*; None is standard error."""

    every = _LINES_EVERY

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__()
        self._file = file

    def write_line(self, text: str) -> None:
        """Writes *text*, in which nothing controls a terminal."""
        _write_line(self._file or sys.stderr, text)

    def warned(self, message: str) -> None:
        self.write_line(f"warning: {redacted(message)}")

    def show(self, task: str, state: TaskState, now: float) -> None:
        speed = format_size(int(state.done / (now - state.began)))
        of = f" of {format_size(state.total)} ({state.done * 100 // state.total} %)" if state.total else ""
        self.write_line(f"{task}: {format_size(state.done)}{of}, {speed}/s")

    def show_end(self, task: str, state: TaskState) -> None:
        if state.shown:
            self.write_line(f"{task}: {format_size(state.done)} done")


class RichProgress(ThrottledReporter):
    """Bars on standard error, drawn by rich, which is imported when there is something to draw."""

    every = _DRAW_EVERY
    warning_prefix = "warning: "

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._ids: dict[str, TaskID] = {}

    @property
    def is_drawing(self) -> bool:
        """Whether there are bars on the screen."""
        return self._progress is not None

    def drawing(self, is_drawing: bool) -> None:
        """Bars are about to be drawn, or were cleared; called with the lock held."""

    def show(self, task: str, state: TaskState, now: float) -> None:
        if self._progress is None:
            self._progress = _bars()
            self.drawing(True)
            self._progress.start()
        if task not in self._ids:
            self._ids[task] = self._progress.add_task(one_line(task, _MAX_NAME), total=state.total)
        self._progress.update(self._ids[task], completed=state.done)

    def show_end(self, task: str, state: TaskState) -> None:
        if self._progress is None or task not in self._ids:
            return
        self._progress.update(self._ids.pop(task), completed=state.done)
        if not self.tasks:
            self._progress.stop()
            self.drawing(False)
            self._progress = None
            self._ids.clear()

    def warned(self, message: str) -> None:
        text = one_line(self.warning_prefix + redacted(message))
        if self._progress is None:
            _write_line(sys.stderr, text)
        else:
            from rich.text import Text

            self._progress.console.print(Text(text))


def _write_line(file: TextIO, text: str) -> None:
    with contextlib.suppress(OSError):  # a reader that has gone is no reason to end the work
        file.write(one_line(text) + "\n")
        file.flush()


def _bars() -> Progress:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
