"""Errors of the operating system, translated into LocalError with the path that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eci_convert.errors import LocalError


@contextmanager
def local_errors(name: object) -> Iterator[None]:
    """What the system refuses in the block, as a LocalError about *name*. Only calls of ours belong in it.

    Python itself refuses a name that holds a NUL byte, and says so with a ValueError.
    """
    try:
        yield
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise LocalError(f"{str(name)!r}: NUL byte in a file name") from error
