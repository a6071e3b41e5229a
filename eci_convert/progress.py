"""Progress of long operations: events for a reporter, which may draw, log or ignore them.

A reporter has three methods. With `warned` it gets warnings too (`WarningReporter`), and with `noted` phases, retries,
and what is being waited for (`EventReporter`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeGuard

HASHING, COMPRESSING, RECEIVING, SENDING = "hashing", "compressing", "receiving", "sending"
COPYING, WRITING = "copying", "writing"


class Reporter(Protocol):
    """Told about work as it happens, possibly from several threads at once. Nothing it does may raise."""

    def started(self, task: str, total: int | None) -> None:
        """Work named *task* began; *total* is its size in bytes, None where nobody knows it yet."""

    def advanced(self, task: str, count: int) -> None:
        """*count* more bytes of *task* went by."""

    def finished(self, task: str) -> None:
        """*task* ended, well or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An operation began. It has *tasks* tasks of *size* bytes in all, None where that is unknown."""

    tasks: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEnded:
    """The operation that the last `Plan` began ended, well or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """*task* entered *phase*, which counts from 0 to *total* bytes. With *side*, its bytes are not those of the task:
    a hash that comes first."""

    task: str
    phase: str
    total: int | None
    side: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabelled:
    """The phase that *task* is in is called *phase* from now on; its count stays."""

    task: str
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The *size* bytes of *task*, which was not started or is not finished yet, need not be moved: they are there."""

    task: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """*task* is about to finish with an error."""

    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """*what* failed; attempt number *attempt* of at most *attempts* follows in *delay* seconds."""

    what: str
    attempt: int
    attempts: int
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing more can be done until *what* has happened: `the Docker engine to store the image`."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEnded:
    """One wait for *what* is over."""

    what: str


Event = Plan | PlanEnded | Phase | Relabelled | Reused | Failed | Retry | Wait | WaitEnded


class WarningReporter(Reporter, Protocol):
    """A reporter that gets warnings. For one without this method they are logged."""

    def warned(self, message: str) -> None:
        """Something is odd, but the work goes on. *message* is one line."""


class EventReporter(Reporter, Protocol):
    """A reporter that gets everything else that may interest a person who waits.

    After a `Phase`, `advanced` counts the bytes of that phase. A reporter without this method gets the bytes of the
    task alone, each once, whatever is hashed before or sent again.
    """

    def noted(self, event: Event) -> None:
        """*event* happened. There may be more kinds of events one day: ignore those you do not know."""


def takes_warnings(reporter: Reporter) -> TypeGuard[WarningReporter]:
    """Whether *reporter* has the method for warnings."""
    return hasattr(reporter, "warned")


def takes_events(reporter: Reporter) -> TypeGuard[EventReporter]:
    """Whether *reporter* has the method for events."""
    return hasattr(reporter, "noted")


class NullReporter:
    """The reporter that says nothing."""

    def started(self, task: str, total: int | None) -> None: ...

    def advanced(self, task: str, count: int) -> None: ...

    def finished(self, task: str) -> None: ...

    def warned(self, message: str) -> None: ...

    def noted(self, event: Event) -> None: ...


NULL_REPORTER: Reporter = NullReporter()


def warn(reporter: Reporter, message: str) -> None:
    """Tell *reporter* that something is odd; log it where the reporter has no method for that."""
    if takes_warnings(reporter):
        reporter.warned(message)
        return
    import logging

    logger = logging.getLogger("eci_convert")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # a library must not print
    logger.warning("%s", message)


def note(reporter: Reporter, event: Event) -> None:
    """Tell *reporter* of *event*, if it wants to know."""
    if takes_events(reporter):
        reporter.noted(event)


@contextmanager
def waiting(reporter: Reporter, what: str) -> Iterator[None]:
    """Whatever happens inside the `with` waits for *what*."""
    note(reporter, Wait(what=what))
    try:
        yield
    finally:
        note(reporter, WaitEnded(what=what))


@contextmanager
def planned(reporter: Reporter, tasks: int | None = None, size: int | None = None) -> Iterator[None]:
    """Inside the `with`, *tasks* tasks of *size* bytes in all are done, and what belongs to them."""
    note(reporter, Plan(tasks=tasks, size=size))
    try:
        yield
    finally:
        note(reporter, PlanEnded())
