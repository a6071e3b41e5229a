"""The file in which a layout keeps what is to be collected: blobs of images that went, unless something refers to them.

It is written before index.json changes, so that what a killed command leaves is removed by the next deletion.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from eci_convert.errors import FormatError, LimitExceededError, NotFoundError
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


def clear_pending(directory: Path) -> None:
    """Everything is collected."""
    with local_errors(directory), suppress(FileNotFoundError):
        os.unlink(directory / PENDING)
