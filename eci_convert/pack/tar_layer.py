"""The tar archive of a recipe with an entry: directories first, if it asks for them, then the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eci_convert.dialects.blueprint import Recipe
from eci_convert.tar import EntryType, TarMember, archive_size, archived, member_header


def archive_part(recipe: Recipe, size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The archive of the part of *size* bytes that *chunks* are; *chunks* as they are where *recipe* has no entry."""
    if recipe.entry is None:
        return iter(chunks)
    *directories, file = _members(recipe, size)
    return archived([*((directory, ()) for directory in directories), (file, chunks)])


def header_length(recipe: Recipe, size: int) -> int:
    """How many bytes the archive has before the part, which is *size* bytes."""
    return sum(len(member_header(member)) for member in _members(recipe, size)) if recipe.entry else 0


def blob_size(recipe: Recipe, size: int) -> int:
    """How long the blob is, uncompressed, that a part of *size* bytes becomes."""
    return archive_size(_members(recipe, size)) if recipe.entry else size


def _members(recipe: Recipe, size: int) -> list[TarMember]:
    entry = recipe.entry
    if entry is None:
        raise TypeError(f"{recipe.part.name!r} becomes no tar entry")
    steps = entry.path.split("/")[:-1] if entry.directory_mode is not None else []
    directories = [
        TarMember(
            name="/".join(steps[: count + 1]) + "/", mode=entry.directory_mode or 0, type=EntryType.DIR,
            uid=entry.uid, gid=entry.gid, mtime=entry.mtime,
        )
        for count in range(len(steps))
    ]  # fmt: skip
    file = TarMember(
        name=entry.path, size=size, mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime
    )  # fmt: skip
    return [*directories, file]
