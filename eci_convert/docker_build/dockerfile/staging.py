"""The build context: a folder of the user that has the parts, or a new one with links or copies of them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from eci_convert.docker_build.dockerfile.quoting import check_text
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.files.atomic import AtomicFiles, created_directories
from eci_convert.files.errors import local_errors
from eci_convert.files.sparse import file_chunks, write_sparse
from eci_convert.files.temp_files import is_directory, resolve_path
from eci_convert.model import Artifact, LocalFile, Memory, Part, Pipe, Role

IGNORE: Final = ".dockerignore"
_MARK: Final = "# Made by eci-convert: nothing but the parts is sent to the engine.\n"
_SAFE: Final = re.compile(r"[^\W_][\w.-]*")
_MAX_NAME: Final = 255  # bytes, of a file's name
_DOCKERFILES: Final = ("dockerfile", "containerfile")
_FICLONE: Final = 0x40049409
_WRITABLE: Final = 0o222
_NO_LINK: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def paths_in_context(artifact: Artifact, context: Path) -> dict[str, str]:
    """The paths of the parts below the folder *context*, by the parts' names. A link counts as what it leads to.

    Raises UsageError for a part that is not below it, and as `check_context` does.
    """
    check_context(context)
    top = resolve_path(context, strict=True)
    return {part.name: _below(part, top, context) for part in artifact.parts}


def check_context(context: Path) -> None:
    """Raises NotFoundError where *context* is not there, and LocalError where it is no folder."""
    if is_directory(context):
        return
    if os.path.lexists(context):
        raise LocalError(f"{str(context)!r} is no folder")
    raise NotFoundError(f"no such folder: {str(context)!r}")


def context_names(artifact: Artifact) -> dict[str, str]:
    """File names for the parts, by the parts' names: theirs where these are plain, else ones that mean the same."""
    numbered = enumerate(artifact.parts)
    return {part.name: part.name if _is_plain(part.name) else _constant(part, number) for number, part in numbered}


def _is_plain(name: str) -> bool:
    """Whether this name has a meaning for no builder. Letters beyond ASCII and long names are kept: buildah 1.28 cannot
    COPY from a name that fits into a USTAR header to one that does not."""
    if not _SAFE.fullmatch(name) or name.lower().startswith(_DOCKERFILES):
        return False
    return len(name.encode()) <= _MAX_NAME


def stage_context(artifact: Artifact, directory: Path, *, lasting: bool = False) -> dict[str, str]:
    """Makes *directory* a context that holds the parts, and returns their paths in it, as `paths_in_context` does.

    They are hard links or reflinks where that is safe, and copies, with their holes, where it is not: no two of them
    are one inode, for the classic builder's cache does not see the content of the second (moby/moby#42718), and in a
    *lasting* context none is the inode of a file that may still be written to. What was staged there before is
    replaced; whatever else is there is left alone, and not sent to the engine. Raises LocalError, and UsageError for a
    folder that has a .dockerignore of its own.
    """
    names = context_names(artifact)
    inodes: set[tuple[int, int]] = set()
    with created_directories([directory / IGNORE]), ExitStack() as stack, AtomicFiles() as copies:
        _check_ours(directory / IGNORE)
        links: dict[Path, Path] = {}
        for part in artifact.parts:
            target = directory / names[part.name]
            link = _linked(part, target, stack, inodes, lasting=lasting)
            if link is None:
                _copy(part, target, copies)
            elif link != target:
                links[link] = target
        copies.add(directory / IGNORE).write(_ignoring(names.values()).encode())
        for link, target in links.items():
            with local_errors(target):
                os.replace(link, target)
        copies.commit()
    return names


def _below(part: Part, top: Path, context: Path) -> str:
    if isinstance(part.locator, Pipe):
        raise _outside(part, f"{str(part.locator)!r} is a pipe", context)
    if not isinstance(part.locator, LocalFile):
        raise _outside(part, "is no file", context)
    try:
        path = part.locator.path.resolve(strict=True)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(part.locator.path)!r}") from error
    except (OSError, RuntimeError) as error:
        raise LocalError(f"{str(part.locator.path)!r} cannot be read: {error}") from error
    if not path.is_relative_to(top):
        raise _outside(part, f"{str(part.locator.path)!r} is not below it", context)
    relative = path.relative_to(top).as_posix()
    check_text(relative, "the path of a part")
    if relative == IGNORE:
        raise _outside(part, f"{relative!r} has a meaning of its own there", context)
    return relative


def _outside(part: Part, why: str, context: Path) -> UsageError:
    error = UsageError(f"{part.name!r} cannot be taken from the context {str(context)!r}: {why}")
    error.add_note("hint: name a folder that holds all parts with --context, or have one made with --stage DIR")
    return error


def _constant(part: Part, number: int) -> str:
    match part.role:
        case Role.EXTRA_DISK:
            return f"disk-{part.index}"
        case Role.OTHER:
            return f"other-{number}"
        case role:
            return str(role)


def _check_ours(path: Path) -> None:
    with local_errors(path), suppress(FileNotFoundError):
        if not path.read_text(errors="replace").startswith(_MARK):
            error = UsageError(f"{str(path)!r} is there and is not ours")
            error.add_note("hint: --stage wants a folder of its own")
            raise error


def _ignoring(names: Iterable[str]) -> str:
    return _MARK + "*\n" + "".join(f"!{name}\n" for name in names)


def _linked(part: Part, target: Path, stack: ExitStack, inodes: set[tuple[int, int]], *, lasting: bool) -> Path | None:
    """A second name for *part*'s file beside *target*, or *target* where it is that file; None where it must be copied.

    All names are made before the first one is given: a part may lie where another is to go. *inodes* are those that
    have a name in the context already.
    """
    if not isinstance(part.locator, LocalFile) or part.locator.label:  # a copy that has no name
        return None
    link = target.with_name(f".{target.name}.{os.getpid()}.link")
    try:
        source = Path(os.path.realpath(part.locator.path, strict=True))
        status = source.stat()
        inode = status.st_dev, status.st_ino
        in_place = source == resolve_path(target.parent, strict=True) / target.name
        if inode in inodes or (lasting and not in_place and status.st_mode & _WRITABLE):
            return None
        inodes.add(inode)
        if in_place:
            return target
        with suppress(FileNotFoundError):
            link.unlink()
        os.link(source, link)
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise LocalError(
            f"{str(part.locator.path)!r} cannot be put into the context: {error.strerror or error}"
        ) from error
    stack.callback(link.unlink, missing_ok=True)
    return link


def _copy(part: Part, target: Path, copies: AtomicFiles) -> None:
    file = copies.add(target)
    if isinstance(part.locator, Memory):
        file.write(part.locator.content)
        return
    if not isinstance(part.locator, LocalFile):
        raise UsageError(f"{part.name!r} is not on this computer")
    with local_errors(part.locator.path):
        descriptor = os.open(part.locator.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.ioctl(file.fileno(), _FICLONE, descriptor)
            return
        write_sparse(file, file_chunks(descriptor))
    finally:
        os.close(descriptor)
