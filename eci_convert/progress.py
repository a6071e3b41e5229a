"""What long work says about itself while it runs: events for a reporter, which may draw, log or ignore them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol


class Reporter(Protocol):
    """Told about work as it happens, possibly from several threads at once. Nothing it does may raise."""

    def started(self, task: str, total: int | None) -> None:
        """Work named *task* began; *total* is its size in bytes, None where nobody knows it yet."""

    def advanced(self, task: str, count: int) -> None:
        """*count* more bytes of *task* went by."""

    def finished(self, task: str) -> None:
        """*task* ended, well or not."""

    def warned(self, message: str) -> None:
        """Something is odd, but the work goes on. *message* is one line."""


class NullReporter:
    """The reporter that says nothing."""

    def started(self, task: str, total: int | None) -> None: ...

    def advanced(self, task: str, count: int) -> None: ...

    def finished(self, task: str) -> None: ...

    def warned(self, message: str) -> None: ...


NULL_REPORTER: Reporter = NullReporter()


def counted(chunks: Iterable[bytes], task: str, reporter: Reporter) -> Iterator[bytes]:
    """*chunks* as they are; *reporter* is told how many bytes of *task* have gone by."""
    for chunk in chunks:
        reporter.advanced(task, len(chunk))
        yield chunk
