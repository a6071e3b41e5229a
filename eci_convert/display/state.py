"""The state of the work: tasks and their phases, speeds, what is finished, what is waited for.

Nothing here reads a clock, prints or locks: the owner of a `State` passes the time, in seconds, and holds a lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from eci_convert.progress import (
    Event,
    Failed,
    Phase,
    Plan,
    PlanEnded,
    Relabelled,
    Retry,
    Reused,
    Wait,
    WaitEnded,
)

_WINDOW = 5.0
"""Seconds over which a speed is measured."""
_SAMPLES_EVERY = 0.25
SILENCE = 2.0
"""Seconds without bytes after which the reason of the wait is shown."""


class Speed:
    """Bytes a second over the last few seconds."""

    def __init__(self, now: float) -> None:
        self._samples = deque([(now, 0)])

    def record(self, done: int, now: float) -> None:
        """*done* bytes have gone by since the beginning."""
        if now - self._samples[-1][0] >= _SAMPLES_EVERY:
            self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > _WINDOW:
            self._samples.popleft()

    def at(self, done: int, now: float) -> float:
        """The speed *now*, when *done* bytes have gone by."""
        since, before = self._samples[0]
        return (done - before) / (now - since) if now > since else 0.0


@dataclass(slots=True)
class Work:
    """One task that is under way. *done* counts the bytes of its phase, of *phase_total*; *own* those of the task."""

    name: str
    total: int | None
    began: float
    speed: Speed
    phase: str = ""
    phase_total: int | None = None
    side: bool = False
    done: int = 0
    own: int = 0
    failed: bool = False
    reused: bool = False
    users: int = 1
    last_shown: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether all bytes of the phase have gone by, though the task has not ended."""
        return self.phase_total is not None and self.done >= self.phase_total


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task that ended well. *moved* is False where its *size* bytes were there already."""

    name: str
    size: int
    seconds: float
    moved: bool


@dataclass(slots=True)
class State:
    """All of it. *news* are the things to show once, in order; they are removed when they are shown."""

    began: float | None = None
    tasks: dict[str, Work] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)
    news: deque[Finished | Retry] = field(default_factory=deque)
    plans: int = 0
    planned_tasks: int | None = None
    planned_size: int | None = None
    finished_tasks: int = 0
    finished_size: int = 0
    last_bytes: float = 0.0
    speed: Speed | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is going on."""
        return not (self.tasks or self.waits or self.plans)

    def begin(self, now: float) -> None:
        """Something happens *now*: the first of it, or the first after nothing did."""
        if self.began is None:
            self.began = now
        if self.idle:
            self.last_bytes = now

    def started(self, name: str, total: int | None, now: float) -> None:
        self.begin(now)
        self.speed = self.speed or Speed(now)
        work = self.tasks.get(name)
        if work is None:
            self.tasks[name] = Work(name, total, now, Speed(now), phase_total=total)
        else:  # two files with the same name in progress
            work.users += 1
            work.total = work.phase_total = None if work.total is None or total is None else work.total + total

    def advanced(self, name: str, count: int, now: float) -> None:
        work = self.tasks.get(name)
        if work is None:
            return
        work.done += count
        work.own += 0 if work.side else count
        work.speed.record(work.done, now)
        self.last_bytes = now
        if self.speed:
            self.speed.record(self.done, now)

    def finished(self, name: str, now: float) -> Work | None:
        """The task that has ended with this, which others of its name may not have."""
        work = self.tasks.get(name)
        if work is None:
            return None
        self.last_bytes = now
        work.users -= 1
        if work.users:
            return None
        del self.tasks[name]
        if not work.failed:
            size = work.own if work.total is None else work.total
            self._finish(Finished(name=name, size=size, seconds=now - work.began, moved=not work.reused))
        return work

    def noted(self, event: Event, now: float) -> None:
        self.begin(now)
        match event:
            case Plan(tasks=tasks, size=size):
                self._plan(tasks, size, now)
            case PlanEnded():
                self.plans = max(0, self.plans - 1)
            case Phase() | Relabelled() | Failed():
                self._change(event, now)
            case Reused(task=name, size=size):
                if name in self.tasks:
                    self.tasks[name].reused = True
                else:
                    self._finish(Finished(name=name, size=size, seconds=0.0, moved=False))
            case Retry():
                self.news.append(event)
            case Wait(what=what):
                self.waits.append(what)
            case WaitEnded(what=what):
                if what in self.waits:
                    self.waits.remove(what)

    @property
    def done(self) -> int:
        """The bytes of all tasks of the plan that have gone by."""
        return self.finished_size + sum(work.own for work in self.tasks.values())

    @property
    def size(self) -> int | None:
        """The bytes of all tasks of the plan, or of those that have begun where there is no plan; None: unknown."""
        if self.planned_size is not None:
            return max(self.planned_size, self.done)
        totals = [work.total for work in self.tasks.values()]
        return None if None in totals else self.finished_size + sum(total or 0 for total in totals)

    @property
    def count(self) -> int:
        """How many tasks there are, as far as that is known."""
        return max(self.planned_tasks or 0, self.finished_tasks + len(self.tasks))

    def silence(self, now: float) -> tuple[str, float] | None:
        """What is being waited for and for how many seconds, where no bytes have gone by for long."""
        seconds = now - self.last_bytes
        if self.idle or seconds < SILENCE:
            return None
        return self._reason(), seconds

    def _reason(self) -> str:
        if self.waits:
            return self.waits[-1]
        complete = [work.name for work in self.tasks.values() if work.complete]
        if complete:
            return f"{complete[0]} to be completed"
        return f"data of {next(iter(self.tasks))}" if self.tasks else "the operation to complete"

    def _plan(self, tasks: int | None, size: int | None, now: float) -> None:
        if not self.plans:
            self.planned_tasks, self.planned_size = tasks, size
            self.finished_tasks = self.finished_size = 0
            self.speed = Speed(now)
        self.plans += 1

    def _change(self, event: Phase | Relabelled | Failed, now: float) -> None:
        work = self.tasks.get(event.task)
        if work is None:
            return
        match event:
            case Failed():
                work.failed = True
            case Relabelled(phase=phase):
                work.phase = phase
            case Phase(phase=phase, total=total, side=side):
                work.phase, work.phase_total, work.side = phase, total, side
                work.done, work.speed = 0, Speed(now)
                work.own = work.own if side else 0

    def _finish(self, finished: Finished) -> None:
        self.finished_tasks += 1
        self.finished_size += finished.size
        self.news.append(finished)
