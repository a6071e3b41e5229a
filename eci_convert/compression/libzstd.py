"""The zstd library: `compression.zstd` of the standard library from Python 3.14, its backport before.

Import this module where zstd is needed, not at the top of a module: `inspect` and most copies need none of it.
"""

from __future__ import annotations

import sys

from eci_convert.errors import LocalError

try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError as error:
    if sys.version_info >= (3, 14):
        raise LocalError("zstd compression needs compression.zstd, which this Python was built without") from error
    missing = LocalError("zstd compression needs the package backports.zstd, which is not installed")
    missing.add_note("hint: pip install backports.zstd")  # there is no wheel for some architectures
    raise missing from error

__all__ = ["zstd"]
