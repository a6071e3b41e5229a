"""The file in which a layout keeps what is to be collected: blobs of images that went, unless something refers to them.

It is written before index.json changes, so that what a killed command leaves is removed by the next deletion.
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
"""Digests, one a line, of blobs that are to be collected unless something refers to them."""


def read_pending(directory: Path) -> set[Digest]:
    """What the layout *directory* has still to collect. What is no list of digests is none."""
    try:
        lines = read_small_file(directory, PENDING).decode("ascii", "replace").splitlines()
        return {Digest.parse(line) for line in lines}
    except (NotFoundError, FormatError, LimitExceededError):
        return set()


def write_pending(directory: Path, digests: Iterable[Digest]) -> None:
    """Replace the list."""
    with atomic_write(directory / PENDING) as file:
        file.write("".join(f"{digest}\n" for digest in sorted(map(str, digests))).encode())


@contextmanager
def pending_blobs(directory: Path, digests: set[Digest]) -> Iterator[None]:
    """Adds *digests* to the list, for a block that makes them superfluous; a block that fails leaves the list as it
    was. One that is killed leaves too many, which something refers to."""
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
    """Everything is collected."""
    with local_errors(directory), suppress(FileNotFoundError):
        os.unlink(directory / PENDING)
