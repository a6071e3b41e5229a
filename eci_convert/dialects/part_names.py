"""Canonical names of parts (docs/specs/eci.md#2.5), and safe file names from names in images."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from eci_convert.errors import AmbiguousRoleError, CannotHoldError, FormatError, LimitExceededError, UsageError
from eci_convert.model import Part, Role, part_label

LONGEST = 255
"""Bytes that a file's name may have on Linux."""

LONGEST_PATH = 4095
"""Bytes that a path may have on Linux (PATH_MAX, without the NUL)."""

_EXTRA = re.compile(r"disk-([0-9]{1,9})-(?=.)", re.ASCII | re.DOTALL)
_ROOT = "disk-root-"
_FIXED = {Role.KERNEL: "kernel", Role.INITRD: "initrd", Role.CMDLINE: "cmdline", Role.CONFIG: "config.json"}


def canonical_name(role: Role, base: str, index: int | None = None) -> str:
    """The name that ECI gives a part whose file is called *base*, which may have that name already.

    A name that gets longer than 255 bytes loses characters behind the prefix.

    >>> canonical_name(Role.EXTRA_DISK, "data.qcow2", 2), canonical_name(Role.ROOT_DISK, "disk-root-x.raw")
    ('disk-2-data.qcow2', 'disk-root-x.raw')
    """
    if role in _FIXED:
        return _FIXED[role]
    if role is Role.OTHER:
        return base
    prefix = prefix_of(role, index)
    rest = base if not base.startswith(prefix) or base == prefix else base.removeprefix(prefix)
    while len((prefix + rest).encode("utf-8", "surrogateescape")) > LONGEST:
        rest = rest[1:]
    return prefix + rest


def prefix_of(role: Role, index: int | None) -> str:
    """What the names of disks begin with; "" for all else."""
    return {Role.ROOT_DISK: _ROOT, Role.EXTRA_DISK: f"disk-{index}-"}.get(role, "")


def original_name(part: Part) -> str:
    """The name that *part*'s file had before ECI gave it another: `root.raw` of `disk-root-root.raw`."""
    return part.name.removeprefix(prefix_of(part.role, part.index)) or part.name


def disk_role(name: str) -> tuple[Role, int | None] | None:
    """The disk that the ECI name *name* is for, and its index; None for names that do not say.

    >>> disk_role("disk-12-data.iso")
    (<Role.EXTRA_DISK: 'disk-additional'>, 12)
    """
    if name.startswith(_ROOT):
        return Role.ROOT_DISK, None
    match = _EXTRA.match(name)
    return (Role.EXTRA_DISK, int(match[1])) if match else None


def assign_indexes(numbers: Sequence[int | None]) -> Iterator[int]:
    """*numbers*, each one that is not known being the lowest that no other has.

    >>> list(assign_indexes([None, 0, 12, None]))
    [1, 0, 12, 2]
    """
    taken = set(numbers)
    for number in numbers:
        if number is None:
            number = next(free for free in range(len(numbers) + 1) if free not in taken)
            taken.add(number)
        yield number


def safe_relative_path(path: str, where: str) -> str:
    """*path*, which an image says to be a file's below some directory, without empty and `.` components.

    Raises FormatError for what leads elsewhere or nowhere: absolute paths, `..`, control characters, components of
    more than 255 bytes; LimitExceededError for a longer path than Linux has.
    """
    _check_length(path, where)
    if path.startswith("/"):
        raise FormatError(f"{path[:80]!r} is an absolute path", where=where)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or path.endswith(("/", "/.")):
        raise FormatError(f"{path[:80]!r} is no path to a file below a directory", where=where)
    _check_text(path, parts, where)
    return "/".join(parts)


def absolute_image_path(path: str, where: str) -> str:
    """*path*, which a label says to be a file's inside the image, with one slash in front: `p` and `./p` are `/p`.

    `..` stays: it is resolved inside the image's root when the file is looked up. Raises FormatError for an empty path,
    for one that ends in a slash, `.` or `..`, and for control characters; LimitExceededError for a longer one than
    Linux has.
    """
    _check_length(path, where)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or parts[-1] == ".." or path.endswith(("/", "/.")):
        raise FormatError(f"{path[:80]!r} is no path to a file", where=where)
    _check_text(path, parts, where)
    return "/" + "/".join(parts)


def _check_length(path: str, where: str) -> None:
    """The length counts before `.` is removed, so that 32,000 components are refused unseen."""
    if is_too_long(path):
        raise LimitExceededError(
            f"a path of {len(path)} characters (limit {LONGEST_PATH} bytes): {path[:80]!r}…", where=where
        )


def is_too_long(path: str) -> bool:
    """Whether *path* has more bytes than a path may have on Linux."""
    return len(path) > LONGEST_PATH or len(path.encode("utf-8", "surrogateescape")) > LONGEST_PATH


def _check_text(path: str, parts: list[str], where: str) -> None:
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise FormatError(f"{path[:80]!r} holds control characters", where=where)
    if any(len(part.encode("utf-8", "surrogateescape")) > LONGEST for part in parts):
        raise FormatError(f"{path[:80]!r}… is too long a name", where=where)


def checked_name(part: Part) -> str:
    """The name of *part* if an image can carry it. Raises UsageError for one that no reader would take."""
    try:
        name = safe_relative_path(part.name, "name")
        name.encode()
    except (FormatError, UnicodeEncodeError) as error:
        raise UsageError(f"the name {part.name[:80]!r} cannot be written into an image") from error
    if name != part.name or "/" in name:
        raise UsageError(f"{part.name[:80]!r} is a path, where a file's name is needed")
    return name


def describe(part: Part) -> str:
    """*part* as a sentence has it.

    >>> from eci_convert.model import Memory
    >>> describe(Part(role=Role.EXTRA_DISK, locator=Memory(content=b""), name="disk-0-x", index=0))
    "disk 0 'disk-0-x'"
    """
    what = part_label(part) if part.role is not Role.OTHER else "other part"
    return f"{what} {part.name!r}" if part.role is Role.EXTRA_DISK else f"the {what} {part.name!r}"


def unsupported_part(dialect: str, part: Part) -> CannotHoldError:
    """The error that *dialect* cannot express *part*."""
    error = CannotHoldError(f"{dialect} has no place for {describe(part)}")
    error.add_note("hint: the formats artifacts and legacy have one for every part")
    return error


def check_distinct(parts: Iterable[Part]) -> None:
    """Raises AmbiguousRoleError where two parts would be files of the same name."""
    seen: set[str] = set()
    for part in parts:
        if part.name in seen:
            raise AmbiguousRoleError(f"two parts are called {part.name!r}")
        seen.add(part.name)
