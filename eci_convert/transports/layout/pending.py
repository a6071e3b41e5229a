"""The list of blobs to be deleted from a layout, in a file: those of removed images, unless they are still referenced.

It is written before index.json changes, so that the next deletion removes what a killed process left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eci_convert.errors import EciError, FormatError, LimitExceededError, NotFoundError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.errors import local_errors
from eci_convert.files.safe_open import read_small_file
from eci_convert.oci.digest import Digest

PENDING = ".eci-convert.collect"
"""The name of the file: one digest on each line."""


def read_pending(directory: Path) -> set[Digest]:
    """The list in the layout *directory*; empty if the file does not exist or is invalid."""
    try:
        lines = read_small_file(directory, PENDING).decode("ascii", "replace").splitlines()
        return {Digest.parse(line) for line in lines}
    except (NotFoundError, FormatError, LimitExceededError):
        return set()


def write_pending(directory: Path, digests: Iterable[Digest]) -> None:
    """Replaces the list. Raises LocalError."""
    with atomic_write(directory / PENDING) as file:
        file.write("".join(f"{digest}\n" for digest in sorted(map(str, digests))).encode())


@contextmanager
def pending_blobs(directory: Path, digests: set[Digest]) -> Iterator[None]:
    """Adds *digests* to the list before the block, which removes the last references to them; if the block fails, the
    list is restored. After a kill the list may include blobs that are still referenced, which are kept then."""
    if not digests:
        yield
        return
    before = read_pending(directory)
    write_pending(directory, digests | before)
    try:
        yield
    except BaseException:
        with suppress(EciError):
            if before:
                write_pending(directory, before)
            else:
                clear_pending(directory)
        raise


def clear_pending(directory: Path) -> None:
    """Deletes the list: all its blobs were deleted. Raises LocalError."""
    with local_errors(directory), suppress(FileNotFoundError):
        os.unlink(directory / PENDING)
