"""The build context as a stream: a tar archive, made while the engine reads it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from eci_convert.docker_build.dockerfile import IGNORE, context_names
from eci_convert.errors import LimitExceededError, LocalError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import resolve_path
from eci_convert.model import Artifact, LocalFile, Memory
from eci_convert.reading.local_content import open_local
from eci_convert.tar import EntryType, TarMember, archived

DOCKERFILE: Final = "Dockerfile"
ADDED: Final = ".eci-convert.Dockerfile"
"""What a Dockerfile from outside the context is called in the archive; the .dockerignore that is sent hides it."""
_MAX_IGNORE: Final = 1 << 20

_Entry = tuple[TarMember, Iterable[bytes]]


def context_of_parts(artifact: Artifact, dockerfile: str, mtime: int) -> Iterator[bytes]:
    """The archive of the parts under `context_names`, and of the Dockerfile. Raises LocalError, NotFoundError."""
    return archived(_parts(artifact, dockerfile, mtime))


def context_of_folder(folder: Path, dockerfile: str, name: str, warned: Callable[[str], object]) -> Iterator[bytes]:
    """The archive of what is in *folder* and not ignored, with *dockerfile* as its member *name*. Times are the files'
    own: builders look for what has changed. Raises LocalError."""
    return archived(_folder(folder, dockerfile, name, warned))


def measure_context(folder: Path, dockerfile: str, name: str) -> int:
    """The bytes of the files in what `context_of_folder` makes, none of which is read. Raises as that does."""
    return sum(member.size for member, _ in _folder(folder, dockerfile, name, str))


def place(file: Path, folder: Path) -> str:
    """The name of the Dockerfile *file* in the archive of *folder*. Raises LocalError."""
    top, real = resolve_path(folder, strict=True), resolve_path(file)
    return real.relative_to(top).as_posix() if real.is_relative_to(top) else ADDED


def _parts(artifact: Artifact, dockerfile: str, mtime: int) -> Iterator[_Entry]:
    text = dockerfile.encode()
    yield TarMember(name=DOCKERFILE, size=len(text), mtime=mtime), (text,)
    for part in artifact.parts:
        if not isinstance(part.locator, (LocalFile, Memory)):
            raise UsageError(f"{part.name!r} is not on this computer")
        with open_local(part.locator) as content:
            yield TarMember(name=context_names(artifact)[part.name], size=content.size, mtime=mtime), content.chunks()


def _folder(folder: Path, dockerfile: str, name: str, warned: Callable[[str], object]) -> Iterator[_Entry]:
    from docker.utils.build import exclude_paths

    ignored = _ignored(folder)
    patterns = [line.strip() for line in ignored.splitlines() if line.strip() and not line.startswith("#")]
    with local_errors(folder):
        paths = sorted(exclude_paths(str(folder), patterns, name))
    for path in paths:
        if path not in (name, IGNORE):
            yield from _member(folder, path, warned)
    if name == ADDED:
        ignored = f"{ignored}\n{ADDED}\n{IGNORE}\n"
    for own, text in ((name, dockerfile), (IGNORE, ignored)):
        data = text.encode(errors="surrogateescape")
        if data:
            yield TarMember(name=own, size=len(data)), (data,)


def _member(folder: Path, path: str, warned: Callable[[str], object]) -> Iterator[_Entry]:
    with local_errors(folder / path):
        status = os.lstat(folder / path)
        target = os.readlink(folder / path) if stat.S_ISLNK(status.st_mode) else ""
    mode, mtime = stat.S_IMODE(status.st_mode) & 0o777, max(0, int(status.st_mtime))
    if stat.S_ISREG(status.st_mode):
        with open_local(LocalFile(path=folder / path)) as content:
            yield TarMember(name=path, size=content.size, mode=mode, mtime=mtime), content.chunks()
    elif stat.S_ISDIR(status.st_mode):
        yield TarMember(name=f"{path}/", type=EntryType.DIR, mode=mode, mtime=mtime), ()
    elif stat.S_ISLNK(status.st_mode):
        yield TarMember(name=path, type=EntryType.SYMLINK, linkname=target, mode=0o777, mtime=mtime), ()
    else:
        warned(f"{str(folder / path)!r} is neither a file nor a folder and is not sent to the engine")


def _ignored(folder: Path) -> str:
    try:
        with (folder / IGNORE).open("rb") as file:
            text = file.read(_MAX_IGNORE + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise LocalError(f"{str(folder / IGNORE)!r} cannot be read: {error.strerror or error}") from error
    if len(text) > _MAX_IGNORE:
        raise LimitExceededError(f"more than {_MAX_IGNORE} bytes", where=str(folder / IGNORE))
    return text.decode(errors="surrogateescape")
