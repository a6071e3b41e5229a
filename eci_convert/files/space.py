"""Checks for free disk space before writing."""

from __future__ import annotations

import os
from pathlib import Path

from eci_convert.errors import LocalError


def check_free_space(path: Path, size: int) -> None:
    """Raises LocalError if there are less than *size* bytes of free space."""
    try:
        room = os.statvfs(path.parent)
    except OSError as error:
        raise LocalError(f"{path.parent}: {error.strerror or error}") from error
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise LocalError(f"{str(path)!r} no space left on device: needs {size} bytes, {free} are free")
