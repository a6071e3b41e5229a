"""Settings of the C library's malloc for blocks of a MiB, thousands a second, in several threads.

Left alone, glibc gives each of them back to the kernel and gets it again page by page: 80,000 page faults for a disk of
2 GiB, a tenth of all time. It is a whole process that is tuned, so the library leaves this to whoever owns that.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

_SETTINGS: Final = {-3: 32 << 20, -1: 256 << 20, -8: 2}
"""mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in bytes, and M_ARENA_MAX, for every arena keeps some."""


def tune_malloc() -> None:
    """From here on what is freed is kept to be used again, where there is such a thing as mallopt."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in _SETTINGS.items():
            mallopt(setting, value)
