"""Task: one piece of work, its phases, and how many of its bytes are done, as reported to a reporter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from eci_convert.progress import (
    COMPRESSING,
    COPYING,
    RECEIVING,
    SENDING,
    WRITING,
    Failed,
    Phase,
    Relabelled,
    Reporter,
    Reused,
    note,
    takes_events,
)

_TO_A_NETWORK = {RECEIVING: COPYING, WRITING: SENDING}


class Task:
    """The task *name* of *total* bytes, reported to *reporter* for the duration of the block.

    If several stages process the same bytes at once, such as compressing and hashing, each has a lane, and the progress
    is that of the slowest: remaining work is never counted as done.
    """

    def __init__(self, reporter: Reporter, name: str, total: int | None) -> None:
        self._reporter = reporter
        self._detailed = takes_events(reporter)
        self._name = name
        self._total = total
        self._lock = threading.Lock()
        self._phase, self._phase_total, self._side = "", total, False
        self._lanes = [0]
        self._sent_lane, self._sent_as_is = 0, False
        self._done = self._most = 0
        self.ended = False

    def enter(self, phase: str, total: int | None, *, side: bool = False) -> None:
        """Begins *phase*, of *total* bytes; with *side*, of bytes that are not the task's own."""
        with self._lock:
            self._enter(phase, total, side)

    def lane(self) -> Callable[[int], None]:
        """Adds a lane to this phase. Returns the function to call with each number of bytes processed in it."""
        with self._lock:
            lanes, number = self._lanes, len(self._lanes)
            lanes.append(0)

        def advance(count: int) -> None:
            with self._lock:
                if lanes is self._lanes:  # else the phase has ended since
                    self._move_to(lanes[number] + count, number)

        return advance

    def advance(self, count: int) -> None:
        """Counts *count* more bytes of the phase."""
        with self._lock:
            self._move_to(self._lanes[0] + count, 0)

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """*chunks* unchanged, counted as they are consumed."""
        for chunk in chunks:
            self.advance(len(chunk))
            yield chunk

    def travels(self, *, buffered: bool = False) -> None:
        """Reports the phase as sending or receiving over a network. *buffered*: data is held back; `sent` counts it."""
        with self._lock:
            self._sent_as_is = self._phase in _TO_A_NETWORK
            if self._sent_as_is:
                self._relabel(_TO_A_NETWORK[self._phase])
            if buffered and self._phase in (COMPRESSING, *_TO_A_NETWORK.values()):
                self._lanes.append(0)
                self._sent_lane = len(self._lanes) - 1

    def sent(self, offset: int, held: int, *, ended: bool) -> None:
        """Records that the task's blob was sent up to *offset*; it exists up to *held*, which is its end if *ended*.

        Compressed data that was not sent yet counts as remaining, byte for byte; holes compress to next to nothing.
        """
        with self._lock:
            if not self._sent_lane:
                return
            if ended and self._phase == COMPRESSING:
                self._relabel(SENDING)
            done = offset if self._sent_as_is else self._lanes[0] - (held - offset)
            self._move_to(max(0, done), self._sent_lane)

    def reused(self, size: int) -> None:
        """Reports that the destination has the *size* bytes already."""
        note(self._reporter, Reused(task=self._name, size=size))

    def __enter__(self) -> Self:
        self._reporter.started(self._name, self._total)
        _stack().append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended = True
        if self in _stack():
            _stack().remove(self)
        if kind is not None:
            note(self._reporter, Failed(task=self._name))
        self._reporter.finished(self._name)

    def _relabel(self, phase: str) -> None:
        self._phase = phase
        note(self._reporter, Relabelled(task=self._name, phase=phase))

    def _enter(self, phase: str, total: int | None, side: bool) -> None:
        self._phase, self._phase_total, self._side = phase, total, side
        self._lanes, self._done, self._sent_lane = [0], 0, 0
        note(self._reporter, Phase(task=self._name, phase=phase, total=total, side=side))

    def _move_to(self, offset: int, lane: int) -> None:
        if self._phase_total is not None:
            offset = min(offset, self._phase_total)  # an archive is longer than the file that it contains
        self._lanes[lane] = max(offset, self._lanes[lane])
        done = min(self._lanes)
        before, self._done = self._done, done
        if not self._detailed:  # a reporter without phases: each byte of the task is counted once
            before, self._most = self._most, max(self._most, 0 if self._side else done)
            done = self._most
        if done > before:
            self._reporter.advanced(self._name, done - before)


def current_task() -> Task | None:
    """The innermost task of this thread, for a sink that reports more progress than its caller can; None if none."""
    return next((task for task in reversed(_stack()) if not task.ended), None)


_LOCAL = threading.local()


def _stack() -> list[Task]:
    stack: list[Task] | None = getattr(_LOCAL, "stack", None)
    if stack is None:
        stack = _LOCAL.stack = []
    return stack
