"""Errors of the operating system, translated into LocalError with a path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eci_convert.errors import LocalError


@contextmanager
def local_errors(name: object) -> Iterator[None]:
    """Translates an OSError in the block into a LocalError about *name*. The block should contain only our own system
    calls.

    Python raises ValueError for a NUL byte in a name, which is translated too.
    """
    try:
        yield
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        if "embedded null" not in str(error):  # then "byte" or, from Python 3.13, "character in path"
            raise
        raise LocalError(f"{str(name)!r}: NUL byte in a file name") from error
