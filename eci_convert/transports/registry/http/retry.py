"""How long to go on with a place that fails: attempts in a row, waits that grow, and what progress is worth."""

from __future__ import annotations

import random

from eci_convert.errors import TransportError
from eci_convert.progress import NULL_REPORTER, Reporter, Retry, note, waiting
from eci_convert.streams.interrupts import check, sleep

INITIAL_DELAY = 0.5
"""Seconds before the first attempt but one; each further wait is up to twice as long."""

LONGEST_WAIT = 20.0
"""Seconds that a wait of our own grows to."""

LONGEST_ASKED = 60.0
"""Seconds of Retry-After that are waited; a server that wants more is told of at once."""

_RENEWING = 64 * 1024

_MOST_TIMES = 4
_MOST_BESIDE = 32 * 1024 * 1024
"""A blob may be sent so many times, and so many bytes more."""

RETRYABLE_STATUSES = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})
"""Statuses that may be another the next time (RFC 9110; 425: RFC 8470; 429: RFC 6585; 499: nginx; 520 to 530:
Cloudflare, of an origin server that does not answer)."""


class TransientError(TransportError):
    """A failure that may pass. *wait* is how many seconds the server asked for, None if it did not say; *status* is
    that of its answer, 0 if there was none."""

    def __init__(self, message: str, wait: float | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.wait = wait
        self.status = status


class ConnectionLost(TransientError):
    """A connection that broke before there was an answer."""


class TrafficLimit:
    """The bytes that may be sent for one blob, whatever is lost of them."""

    def __init__(self) -> None:
        self._sent = 0

    def spend(self, length: int, size: int) -> None:
        """*length* bytes are about to be sent of a blob of *size* bytes, or of so many as are known of it so far.

        Raises TransportError where that is out of proportion.
        """
        self._sent += length
        if self._sent > _MOST_TIMES * size + _MOST_BESIDE:
            error = TransportError(f"{self._sent - length} bytes were sent of a blob of {size} bytes: given up")
            error.add_note("hint: the registry does not keep what it is sent, or connections to it break too often")
            raise error


class RetryBudget:
    """The failures that one transfer may still have. Progress gives them back."""

    def __init__(self, retries: int, size: int | None = None, reporter: Reporter = NULL_REPORTER) -> None:
        self._reporter = reporter
        self._retries = retries
        self._failures = 0
        self._progress = self._furthest = 0
        self._worth = _RENEWING if size is None else max(1, min(_RENEWING, size // 64))

    def record_progress(self, count: int) -> None:
        """*count* more bytes are safe. Enough of them, and what failed before is forgotten."""
        self._progress += count
        if self._progress >= self._worth:
            self._failures = 0

    def reached(self, offset: int) -> None:
        """The bytes up to *offset* are safe. What was there before, and was lost, is no progress a second time."""
        if offset > self._furthest:
            self.record_progress(offset - self._furthest)
            self._furthest = offset

    def wait_or_raise(self, error: TransientError) -> None:
        """Waits until it is worth trying again; or raises *error* because it has been tried enough."""
        check()
        self._failures += 1
        self._progress = 0
        if error.wait is not None and error.wait > LONGEST_ASKED:
            error.add_note(f"hint: the server asks to be left alone for {error.wait:.0f} s")
            raise error
        if self._failures > self._retries:
            if self._retries:
                error.add_note(f"hint: it was tried {self._failures} times; --retries says how often")
            raise error
        delay = self._wait(error.wait)
        attempt = self._failures + 1  # the first attempt was none of the retries
        note(self._reporter, Retry(what=str(error), attempt=attempt, attempts=self._retries + 1, delay=delay))
        with waiting(self._reporter, "the next attempt"):
            sleep(delay)

    def _wait(self, asked: float | None) -> float:
        """Random, so that clients that failed together do not come back together."""
        longest = min(LONGEST_WAIT, INITIAL_DELAY * 2 ** (self._failures - 1))
        return (asked or 0.0) + random.uniform(longest / 2, longest)  # noqa: S311 - it spreads load, it hides nothing
