"""Deadlines for exchanges of several reads, each of which would start a socket's own timeout anew."""

from __future__ import annotations

import time


def seconds_left(deadline: float) -> float:
    """The seconds until *deadline*, a value of `time.monotonic`. Raises TimeoutError once it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
