"""Reads configuration files of the user or the machine."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_config_file(path: Path, limit: int, *, may_be_pipe: bool = False) -> bytes:
    """The content of a configuration file, or of a device such as /dev/null.

    Raises OSError; also if there are more than *limit* bytes, since a truncated file may mean something else, and for a
    pipe unless it *may_be_pipe*: a pipe in a home directory may have no writer.
    """
    with open(path, "rb", opener=None if may_be_pipe else _open_unless_pipe) as file:
        content = file.read(limit + 1) or b""
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes")
    return content


def _open_unless_pipe(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is a pipe, not a file")
    return descriptor
