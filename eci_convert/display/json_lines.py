"""JsonProgress: one JSON object per line, for programs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import TextIO

from eci_convert.display import terminal
from eci_convert.display.reporter import QUIET, WatchedWork
from eci_convert.display.state import SILENCE
from eci_convert.progress import Event, Phase, Plan, Relabelled, Retry, Reused

_EVERY = 0.5


class JsonProgress(WatchedWork):
    """One JSON object per line on *stream*, or standard error: `{"event": "progress", "task": …, "phase": …,
    "done": bytes, "total": bytes or null}`.

    The other events are `started`, `finished`, `warning`, `plan`, `phase`, `reused`, `retry`, `wait` and `output`.
    `done` counts the bytes of the phase, if there was one.
    """

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(stream, environ)
        self._writing = threading.Lock()
        self._told_wait: tuple[str, float] | None = None

    def started(self, task: str, total: int | None) -> None:
        super().started(task, total)
        self._write(event="started", task=task, done=0, total=total)

    def advanced(self, task: str, count: int) -> None:
        now = time.monotonic()
        with self._lock:
            self._state.advanced(task, count, now)
            work = self._state.tasks.get(task)
            if work is None or now - work.began < QUIET or now - work.last_shown < _EVERY:
                return
            work.last_shown = now
            phase, done, total = work.phase, work.done, work.phase_total
        self._write(event="progress", task=task, phase=phase, done=done, total=total)

    def finished(self, task: str) -> None:
        with self._lock:
            work = self._state.finished(task, time.monotonic())
            self._state.news.clear()
        if work is not None:
            self._write(event="finished", task=task, done=work.own, total=work.total, ok=not work.failed)

    def warned(self, message: str) -> None:
        self._say(event="warning", message=message)

    def said(self, message: str) -> None:
        self._say(event="output", message=message)

    def noted(self, event: Event) -> None:
        super().noted(event)
        match event:
            case Plan(tasks=tasks, size=size):
                self._write(event="plan", tasks=tasks, total=size)
            case Phase(task=task, phase=phase, total=total):
                self._write(event="phase", task=task, phase=phase, done=0, total=total)
            case Relabelled(task=task, phase=phase):
                self._relabelled(task, phase)
            case Reused(task=task, size=size):
                self._write(event="reused", task=task, total=size)
            case Retry(what=what, attempt=attempt, attempts=attempts, delay=delay):
                delay = round(delay, 3)
                self._write(event="retry", message=what, attempt=attempt, attempts=attempts, seconds=delay)
            case _:
                pass

    def _relabelled(self, task: str, phase: str) -> None:
        with self._lock:
            work = self._state.tasks.get(task)
            done, total = (work.done, work.phase_total) if work else (0, None)
        self._write(event="phase", task=task, phase=phase, done=done, total=total)

    def _look(self, now: float) -> None:
        """Reports each silence once."""
        with self._lock:
            silence, since = self._state.silence(now), self._state.last_bytes
        if silence is None or self._told_wait == (silence[0], since):
            return
        self._told_wait = (silence[0], since)
        self._write(event="wait", message=silence[0], seconds=round(max(silence[1], SILENCE), 1))

    def _write(self, **event: object) -> None:
        """Report work, unless it is no longer shown."""
        if not self._closed:
            self._say(**event)

    def _say(self, **event: object) -> None:
        bounded = {
            key: terminal.printable_line(value) if isinstance(value, str) else value for key, value in event.items()
        }
        with self._writing:
            terminal.write(self._stream, json.dumps(bounded) + "\n")
