"""What is said of a disk, held against what its bytes are."""

from __future__ import annotations

import os
from pathlib import Path

from eci_convert.disks.detect import HEAD, TAIL, detect
from eci_convert.errors import DiskTypeMismatch, LocalError, UsageError
from eci_convert.model import DiskType


def contradicts(declared: DiskType, found: DiskType | None) -> bool:
    """Whether bytes that are *found* cannot be what is *declared*. An ISO's sectors lie as those of a raw disk do."""
    return found not in (None, declared) and not (declared is DiskType.RAW and found is DiskType.ISO)


def check(declared: DiskType | None, found: DiskType | None, name: str) -> None:
    """Raises DiskTypeMismatch that names both if *found* contradicts what *name* is declared as."""
    if declared and contradicts(declared, found):
        error = DiskTypeMismatch(f"{name} is declared as {declared} and its bytes are {found}")
        error.add_note("hint: --trust-type takes the declared type for true")
        raise error


def declared(text: str) -> tuple[Path, DiskType | None]:
    """The path and the type in `PATH[:TYPE]`. A path may hold colons: what exists as it is written is a path.

    Raises UsageError for a type that there is none of.
    """
    if os.path.lexists(text):
        return Path(text), None
    path, colon, word = text.rpartition(":")
    if not colon:
        return Path(text), None
    if word in set(DiskType):
        if not path:
            raise UsageError(f"{text!r} names no file")
        return Path(path), DiskType(word)
    if os.path.lexists(path):
        raise UsageError(f"{word!r} in {text!r} is no type of disk: write one of {', '.join(DiskType)}")
    return Path(text), None


def of_file(path: Path, declared: DiskType | None, *, trusted: bool = False) -> DiskType:
    """The type of the disk in the file at *path*: what is *declared*, if its bytes do not contradict that.

    Raises UsageError where nothing is declared and the bytes do not tell; DiskTypeMismatch, unless the declaration is
    *trusted*; LocalError for a file that cannot be read.
    """
    if declared and trusted:
        return declared
    found = _detected(path)
    check(declared, found, repr(str(path)))
    kind = declared or found
    if kind is None:
        error = UsageError(f"{str(path)!r} could be any type of disk")
        error.add_note(f"hint: say which: {path}:raw, or :{', :'.join(kind for kind in DiskType if kind != 'raw')}")
        raise error
    return kind


def _detected(path: Path) -> DiskType | None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            return detect(head, size, file.read(TAIL))
    except OSError as error:
        raise LocalError(f"{str(path)!r}: {error.strerror or error}") from error
