"""Retries: how many attempts, exponential backoff, and progress that resets the count."""

from __future__ import annotations

import random

from eci_convert.errors import TransportError
from eci_convert.progress import NULL_REPORTER, Reporter, Retry, note, waiting
from eci_convert.streams.interrupts import check, sleep

INITIAL_DELAY = 0.5
"""Seconds before the first retry; each further wait is up to twice as long."""

MAX_DELAY = 20.0
"""Seconds. The limit of the exponential backoff."""

MAX_RETRY_AFTER = 60.0
"""Seconds. The longest Retry-After that is waited for; a longer one is reported as an error at once."""

_RENEWING = 64 * 1024

_TRAFFIC_FACTOR = 4
_TRAFFIC_ALLOWANCE = 32 * 1024 * 1024
"""The limit of traffic for one blob: this many times its size, plus this many bytes."""

RETRYABLE_STATUSES = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})
"""Statuses worth a retry (RFC 9110; 425: RFC 8470; 429: RFC 6585; 499: nginx; 520 to 530:
Cloudflare, of an origin server that does not answer)."""


class TransientError(TransportError):
    """A failure that may pass. *wait*: the server's Retry-After in seconds, None if it sent none; *status*: that of the
    response, 0 without one."""

    def __init__(self, message: str, wait: float | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.wait = wait
        self.status = status


class ConnectionLost(TransientError):
    """The connection was lost before a response was received."""


class TrafficLimit:
    """Limits the bytes sent, or *received*, for one blob, including those transferred again."""

    def __init__(self, *, received: bool = False) -> None:
        self._received = received
        self._count = 0

    def spend(self, length: int, size: int) -> None:
        """Counts *length* more bytes for a blob of *size* bytes (or of so many as are known so far).

        Raises TransportError if the total is out of proportion to *size*.
        """
        self._count += length
        if self._count > _TRAFFIC_FACTOR * size + _TRAFFIC_ALLOWANCE:
            verb, fault = ("received", "ignores ranges") if self._received else ("sent", "discards what it receives")
            error = TransportError(f"{self._count - length} bytes {verb} for a blob of {size} bytes: giving up")
            error.add_note(f"hint: the registry {fault}, or connections to it are lost too often")
            raise error


class RetryBudget:
    """The retries that one transfer has left. Progress resets the count."""

    def __init__(self, retries: int, size: int | None = None, reporter: Reporter = NULL_REPORTER) -> None:
        self._reporter = reporter
        self._retries = retries
        self._failures = 0
        self._progress = self._furthest = 0
        self._worth = _RENEWING if size is None else max(1, min(_RENEWING, size // 64))

    def record_progress(self, count: int) -> None:
        """*count* more bytes are stored. Enough of them reset the count of failures."""
        self._progress += count
        if self._progress >= self._worth:
            self._failures = 0

    def record_offset(self, offset: int) -> None:
        """The bytes up to *offset* are stored. Offsets recorded before, and lost since, do not count as progress
        again."""
        if offset > self._furthest:
            self.record_progress(offset - self._furthest)
            self._furthest = offset

    def wait_or_raise(self, error: TransientError) -> None:
        """Waits before the next attempt; raises *error* if no retries are left or Retry-After is too long."""
        check()
        self._failures += 1
        self._progress = 0
        if error.wait is not None and error.wait > MAX_RETRY_AFTER:
            error.add_note(f"hint: the server asks to retry after {error.wait:.0f} s (Retry-After)")
            raise error
        if self._failures > self._retries:
            if self._retries:
                error.add_note(f"hint: gave up after {self._failures} attempts; --retries sets the number of retries")
            raise error
        delay = self._wait(error.wait)
        attempt = self._failures + 1  # the first attempt is not a retry
        note(self._reporter, Retry(what=str(error), attempt=attempt, attempts=self._retries + 1, delay=delay))
        with waiting(self._reporter, "the next attempt"):
            sleep(delay)

    def _wait(self, retry_after: float | None) -> float:
        """Seconds to wait: *retry_after* plus a random part, so that clients that failed together do not retry
        together."""
        longest = min(MAX_DELAY, INITIAL_DELAY * 2 ** (self._failures - 1))
        return (retry_after or 0.0) + random.uniform(longest / 2, longest)  # noqa: S311 - for spreading load, not for security
