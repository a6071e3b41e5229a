"""Files that are on their way to the disk while they are being written, so that flushing them in the end takes no time.

posix_fadvise(2) with POSIX_FADV_DONTNEED begins to write dirty pages and does not wait; pages that are being written
stay in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

STEP: Final = 8 << 20
"""After how many bytes the disk is told."""


def start_writeback(chunks: Iterable[bytes], descriptor: int, start: int = 0) -> Iterator[bytes]:
    """*chunks* as they are, for whoever writes each to *descriptor*, from offset *start* on, before taking the next."""
    end = begun = start
    for chunk in chunks:
        yield chunk
        end += len(chunk)
        if end - begun >= STEP:
            with suppress(OSError):  # advice may be refused
                os.posix_fadvise(descriptor, begun, end - begun, os.POSIX_FADV_DONTNEED)
            begun = end
