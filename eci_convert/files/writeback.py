"""Starts write-back while a file is being written, so that the final fsync is fast.

posix_fadvise(2) with POSIX_FADV_DONTNEED starts writing dirty pages without waiting; pages that are being written stay
in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

STEP: Final = 8 << 20
"""Bytes after which write-back is started."""


def start_writeback(chunks: Iterable[bytes], descriptor: int, start: int = 0) -> Iterator[bytes]:
    """*chunks* unchanged, for a consumer that writes each to *descriptor*, from offset *start* on, before taking the
    next."""
    end = started = start
    for chunk in chunks:
        yield chunk
        end += len(chunk)
        if end - started >= STEP:
            with suppress(OSError):  # the advice may be refused
                os.posix_fadvise(descriptor, started, end - started, os.POSIX_FADV_DONTNEED)
            started = end
