"""Reporters for tests: the three methods that a user of the library writes; all events; warnings."""

from __future__ import annotations

from eci_convert.progress import Event


class Counting:
    """A reporter of three methods, as a user of the library writes one."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0
        self.ended = 0

    def started(self, task: str, total: int | None) -> None:
        self.total = total

    def advanced(self, task: str, count: int) -> None:
        assert count > 0
        self.done += count

    def finished(self, task: str) -> None:
        self.ended += 1


class Noting(Counting):
    """One that wants to know everything."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def noted(self, event: Event) -> None:
        self.events.append(event)


class Listening(Counting):
    """One that keeps what it is warned of."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)
