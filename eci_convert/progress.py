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
    """Receives progress events, possibly from several threads at once. Its methods must not raise."""

    def started(self, task: str, total: int | None) -> None:
        """The task *task* began; *total* is its size in bytes, None if that is not known yet."""

    def advanced(self, task: str, count: int) -> None:
        """*count* more bytes of *task* were processed."""

    def finished(self, task: str) -> None:
        """*task* ended, with or without an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An operation began. It has *tasks* tasks of *size* bytes in total; None if unknown."""

    tasks: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEnded:
    """The operation that the last `Plan` began ended, with or without an error."""


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
    """The current phase of *task* is called *phase* from now on; its count is unchanged."""

    task: str
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The *size* bytes of *task*, which was not started or is not finished yet, exist at the destination already."""

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
    """The operation waits for *what*: `the Docker engine to store the image`."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEnded:
    """One wait for *what* ended."""

    what: str


Event = Plan | PlanEnded | Phase | Relabelled | Reused | Failed | Retry | Wait | WaitEnded


class WarningReporter(Reporter, Protocol):
    """A reporter that receives warnings. Without this method they are logged."""

    def warned(self, message: str) -> None:
        """A warning: the operation continues. *message* is one line."""


class EventReporter(Reporter, Protocol):
    """A reporter that receives all other events: phases, retries, waits.

    After a `Phase`, `advanced` counts the bytes of that phase. A reporter without this method receives only the bytes
    of the task, each once, also if data is hashed before or sent again.
    """

    def noted(self, event: Event) -> None:
        """*event* happened. Later versions may have more kinds of events: ignore unknown ones."""


def takes_warnings(reporter: Reporter) -> TypeGuard[WarningReporter]:
    """Whether *reporter* has the method for warnings."""
    return hasattr(reporter, "warned")


def takes_events(reporter: Reporter) -> TypeGuard[EventReporter]:
    """Whether *reporter* has the method for events."""
    return hasattr(reporter, "noted")


class NullReporter:
    """A reporter that ignores everything."""

    def started(self, task: str, total: int | None) -> None: ...

    def advanced(self, task: str, count: int) -> None: ...

    def finished(self, task: str) -> None: ...

    def warned(self, message: str) -> None: ...

    def noted(self, event: Event) -> None: ...


NULL_REPORTER: Reporter = NullReporter()


def warn(reporter: Reporter, message: str) -> None:
    """Passes the warning *message* to *reporter*, or logs it if the reporter takes no warnings."""
    if takes_warnings(reporter):
        reporter.warned(message)
        return
    import logging

    logger = logging.getLogger("eci_convert")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # a library must not print
    logger.warning("%s", message)


def note(reporter: Reporter, event: Event) -> None:
    """Passes *event* to *reporter*, if it takes events."""
    if takes_events(reporter):
        reporter.noted(event)


@contextmanager
def waiting(reporter: Reporter, what: str) -> Iterator[None]:
    """Reports that the block waits for *what*."""
    note(reporter, Wait(what=what))
    try:
        yield
    finally:
        note(reporter, WaitEnded(what=what))


@contextmanager
def planned(reporter: Reporter, tasks: int | None = None, size: int | None = None) -> Iterator[None]:
    """Reports an operation of *tasks* tasks of *size* bytes in total, for the duration of the block."""
    note(reporter, Plan(tasks=tasks, size=size))
    try:
        yield
    finally:
        note(reporter, PlanEnded())
