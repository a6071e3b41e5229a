"""Output arguments: a path, - for standard output, /dev/stdout, /dev/fd/N."""

from __future__ import annotations

import os
import re

from eci_convert.errors import LocalError
from eci_convert.files.atomic import StrPath, atomic_write, final_target
from eci_convert.files.errors import local_errors


def write_output(path: StrPath, content: bytes) -> None:
    """Writes *content* to the open file that *path* refers to, or else replaces *path*. Raises as `atomic_write`."""
    number = inherited_descriptor(path)
    if number is None:
        with atomic_write(path) as file:
            file.write(content)
        return
    with local_errors(path):
        while content:
            content = content[os.write(number, content) :]


def check_writable(path: StrPath) -> None:
    """Raises LocalError if `write_output` could not write to *path*, as far as that can be checked beforehand."""
    if inherited_descriptor(path) is None and not os.access(final_target(path).parent, os.W_OK | os.X_OK):
        raise LocalError(f"{os.fspath(path)}: permission denied")


def inherited_descriptor(path: StrPath) -> int | None:
    """The number of the open file of this process that *path* refers to; None for other paths.

    >>> inherited_descriptor("-"), inherited_descriptor("/dev/fd/3"), inherited_descriptor("kernel")
    (1, 3, None)
    """
    text = os.fspath(path)
    if text in _STANDARD:
        return _STANDARD[text]
    match = _OPEN_FILE.fullmatch(text)
    return int(match[1]) if match else None


_STANDARD = {"-": 1, "/dev/stdout": 1}
_OPEN_FILE = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,4})", re.ASCII)
