"""Stages that run at the same time: each side of `ahead` has a thread of its own."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from eci_convert.streams import interrupts
from eci_convert.streams.belt import Belt, Companion

DEPTH: Final = 4 << 20
"""How many bytes a stage may be ahead of the next one."""
_MOST_THREADS = 8  # some MiB of memory for each, and no disk is faster


def workers(threads: int | None = None) -> int:
    """How many *threads* a stage has that can use several: None is one for each core we may use, and at most 8."""
    return threads or min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def ahead(chunks: Iterable[bytes], depth: int = DEPTH) -> Iterator[bytes]:
    """*chunks* as they are, fetched in a thread of its own, which is up to *depth* bytes (one chunk at least) ahead.

    What *chunks* raises is raised here, in its place. The thread ends with this iterator: at the end, at an error,
    or when it is closed or forgotten; *chunks*, if it is a generator, is closed in the thread that ran it.
    """
    belt = Belt(depth)
    filling = Companion(lambda: _fill(belt, chunks), "ahead")
    try:
        while chunk := belt.take():
            yield chunk
        filling.result()
    finally:
        belt.stop()
        filling.leave()


def _fill(belt: Belt, chunks: Iterable[bytes]) -> None:
    source = iter(chunks)
    try:
        for chunk in source:
            interrupts.check()
            if chunk and not belt.put(chunk):
                return
    finally:
        if isinstance(source, Generator):
            source.close()
        belt.end()


@contextmanager
def threaded(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """*chunks*, made in a thread of its own, which has ended when the `with` has, or never will."""
    stage = ahead(chunks)
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            with suppress(ValueError):  # it is running: the thread that wants its chunks was left behind in a stall
                stage.close()
