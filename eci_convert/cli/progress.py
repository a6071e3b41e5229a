"""Progress of long work on standard error: a bar on a terminal, lines elsewhere, or JSON for programs.

Nothing is drawn in the first second, so short work stays quiet.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eci_convert.cli import output, signals
from eci_convert.cli.output import info
from eci_convert.errors import one_line
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.redaction import redacted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET = 1.0
_LINES_EVERY = 5.0
_JSON_EVERY = 0.5
_DRAW_EVERY = 0.1
_MAX_NAME = 100

STYLES = ("auto", "plain", "json", "none")


def reporter(style: str, *, quiet: bool) -> Reporter:
    """The reporter that *style*, one of STYLES, names; warnings are said in any style but not when *quiet*."""
    if quiet:
        return NULL_REPORTER
    if style == "auto":
        style = "bar" if sys.stderr.isatty() else "plain"
    return {"bar": BarProgress, "plain": PlainProgress, "json": JsonProgress, "none": WarningsOnly}[style]()


@dataclass(slots=True)
class _Task:
    total: int | None
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    last_update: float = 0.0


class WarningsOnly:
    """Says what is odd, and keeps count of the work for those who say more."""

    every = float("inf")

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None) -> None:
        with self._lock:
            self._tasks[task] = _Task(total)

    def advanced(self, task: str, count: int) -> None:
        with self._lock:
            known = self._tasks.get(task)
            if known is None:
                return
            known.done += count
            now = time.monotonic()
            if now - known.began >= _QUIET and now - known.last_update >= self.every:
                known.last_update = now
                self.update(task, known, now)

    def finished(self, task: str) -> None:
        with self._lock:
            known = self._tasks.pop(task, None)
            if known is not None and known.last_update:
                self.end(task, known)

    def warned(self, message: str) -> None:
        output.warning(redacted(message))

    def update(self, task: str, known: _Task, now: float) -> None:
        """*task* has gone on; called with the lock held."""

    def end(self, task: str, known: _Task) -> None:
        """*task*, of which something was told, ended; called with the lock held."""


class PlainProgress(WarningsOnly):
    """A line every few seconds."""

    every = _LINES_EVERY

    def update(self, task: str, known: _Task, now: float) -> None:
        speed = output.size(int(known.done / (now - known.began)))
        of = f" of {output.size(known.total)} ({known.done * 100 // known.total} %)" if known.total else ""
        info(f"{task}: {output.size(known.done)}{of}, {speed}/s")

    def end(self, task: str, known: _Task) -> None:
        info(f"{task}: {output.size(known.done)} done")


class JsonProgress(WarningsOnly):
    """An object a line: `{"event": "progress", "task": …, "done": bytes, "total": bytes or null}`."""

    every = _JSON_EVERY

    def started(self, task: str, total: int | None) -> None:
        super().started(task, total)
        self._write(event="started", task=task, done=0, total=total)

    def update(self, task: str, known: _Task, now: float) -> None:
        self._write(event="progress", task=task, done=known.done, total=known.total)

    def finished(self, task: str) -> None:
        with self._lock:
            known = self._tasks.pop(task, None)
        if known is not None:
            self._write(event="finished", task=task, done=known.done, total=known.total)

    def warned(self, message: str) -> None:
        self._write(event="warning", message=redacted(message))

    def _write(self, **event: object) -> None:
        bounded = {key: one_line(value) if isinstance(value, str) else value for key, value in event.items()}
        output.event(json.dumps(bounded))


class BarProgress(WarningsOnly):
    """Bars, drawn by rich, which is imported when there is something to draw."""

    every = _DRAW_EVERY

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._ids: dict[str, TaskID] = {}

    def update(self, task: str, known: _Task, now: float) -> None:
        if self._progress is None:
            self._progress = _bars()
            signals.drawing(True)
            self._progress.start()
        if task not in self._ids:
            self._ids[task] = self._progress.add_task(one_line(task, _MAX_NAME), total=known.total)
        self._progress.update(self._ids[task], completed=known.done)

    def end(self, task: str, known: _Task) -> None:
        if self._progress is None or task not in self._ids:
            return
        self._progress.update(self._ids.pop(task), completed=known.done)
        if not self._tasks:
            self._progress.stop()
            signals.drawing(False)
            self._progress = None
            self._ids.clear()

    def warned(self, message: str) -> None:
        if self._progress is None:
            output.warning(redacted(message))
        else:
            from rich.text import Text

            self._progress.console.print(Text(f"eci-convert: warning: {one_line(redacted(message))}"))


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
