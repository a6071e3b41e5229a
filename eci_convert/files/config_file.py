"""Reads configuration files of the user or the machine."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_config_file(path: Path, limit: int, *, may_be_pipe: bool = False) -> bytes:
    """The first *limit* bytes of a configuration file, or of a device such as /dev/null.

    Raises OSError; also for a pipe, unless it *may_be_pipe*: nobody may ever write to one in a home directory.
    """
    with open(path, "rb", opener=None if may_be_pipe else _open_unless_pipe) as file:
        return file.read(limit) or b""


def _open_unless_pipe(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is a pipe, not a file")
    return descriptor
