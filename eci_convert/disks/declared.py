"""What is said of a disk, held against what its bytes are."""

from __future__ import annotations

from eci_convert.errors import DiskTypeError
from eci_convert.model import DiskType


def contradicts(declared: DiskType, found: DiskType | None) -> bool:
    """Whether bytes that are *found* cannot be what is *declared*. An ISO's sectors lie as those of a raw disk do."""
    return found not in (None, declared) and not (declared is DiskType.RAW and found is DiskType.ISO)


def check_type(declared: DiskType | None, found: DiskType | None, name: str) -> None:
    """Raises DiskTypeMismatch that names both if *found* contradicts what *name* is declared as."""
    if declared and contradicts(declared, found):
        error = DiskTypeError(f"{name} is declared as {declared}, but its content is {found}")
        error.add_note("hint: --trust-type accepts the declared type")
        raise error
