"""Compares the declared type of a disk with its content."""

from __future__ import annotations

from eci_convert.errors import DiskTypeError
from eci_convert.model import DiskType


def contradicts(declared: DiskType, detected: DiskType | None) -> bool:
    """Whether a disk with the detected type *detected* cannot be *declared*. An ISO can be used as a raw disk."""
    return detected not in (None, declared) and not (declared is DiskType.RAW and detected is DiskType.ISO)


def check_type(declared: DiskType | None, detected: DiskType | None, name: str) -> None:
    """Raises DiskTypeError, naming both, if *detected* contradicts the type *declared* for *name*."""
    if declared and contradicts(declared, detected):
        error = DiskTypeError(f"{name} is declared as {declared}, but its content is {detected}")
        error.add_note("hint: --trust-type accepts the declared type")
        raise error
