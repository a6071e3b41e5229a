"""Machine: the parts to be packed, from files, bytes or readable objects."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.model import Artifact, LocalFile, Pipe, RemoteBlob
from eci_convert.reading.local_parts import Disk, DiskContent, PartContent, artifact_from_parts
from eci_convert.streams.blocks import BLOCK_SIZE, PeekableStream, reblocked

Content = str | os.PathLike[str] | bytes | BinaryIO | RemoteBlob
"""The content of a part: the path of a file, bytes, a readable binary file, or a blob that the destination has."""

_SPOOL = "/var/tmp"  # noqa: S108 - for large files; /tmp is often in memory


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts of a virtual machine; at least one is required, whichever.

    A disk is content, or a `Disk` with its type or name. *files* are further files by name. Files are read when the
    machine is pushed, open ones from their current position. One without seek, such as a pipe or the response of a
    server, is read once, while it is sent; `push` raises the errors of its content.

    >>> Machine(kernel=b"...", disks=[Disk(b"...", type="raw", name="data")]).part_names()
    ('kernel', 'disk-0-data')
    """

    _: KW_ONLY
    kernel: Content | None = None
    initrd: Content | None = None
    root: Content | Disk | None = None
    disks: Sequence[Content | Disk] = ()
    config: Content | None = None
    files: Mapping[str, Content] = field(default_factory=dict)
    cmdline: str | None = None

    def __post_init__(self) -> None:
        single = (self.kernel, self.initrd, self.root, self.config)
        if all(content is None for content in single) and not self.disks and not self.files:
            raise UsageError("a machine needs at least one part")

    def part_names(self) -> tuple[str, ...]:
        """The names of the parts in an image. Raises as `artifact` does."""
        with self.artifact() as artifact:
            return tuple(part.name for part in artifact.parts)

    @contextmanager
    def artifact(self) -> Iterator[Artifact]:
        """The Artifact to pack, for the duration of the block.

        Raises NotFoundError and LocalError for files that cannot be read, UsageError for a disk of unknown type,
        DiskTypeError if its content contradicts the declared type.
        """
        with ExitStack() as spools:
            yield artifact_from_parts(
                kernel=_optional(self.kernel, spools),
                initrd=_optional(self.initrd, spools),
                root=_disk(self.root, "root", spools) if self.root is not None else None,
                disks=[_disk(disk, "disk", spools) for disk in self.disks],
                config=_optional(self.config, spools),
                others={name: _local(content, spools) for name, content in self.files.items()},
                command_line=self.cmdline,
            )


def _optional(content: Content | None, spools: ExitStack) -> PartContent | None:
    return None if content is None else _local(content, spools)


def _disk(disk: Content | Disk, default_name: str, spools: ExitStack) -> Disk:
    disk = disk if isinstance(disk, Disk) else Disk(disk)
    content = _local(disk.content, spools)
    return replace(disk, content=content, name=disk.name or _file_name(disk.content) or default_name)


def _file_name(content: DiskContent) -> str:
    if isinstance(content, str | os.PathLike):
        return Path(content).name
    name = getattr(content, "name", "")
    return Path(name).name if isinstance(name, str) else ""


def _local(content: DiskContent, spools: ExitStack) -> PartContent:
    """*content* as a part to pack. An open file without seek is a pipe; one that has no path any more, or is not at its
    beginning, is copied to a temporary file, which is removed with *spools*."""
    if isinstance(content, bytes | LocalFile | Pipe | RemoteBlob):
        return content
    if isinstance(content, str | os.PathLike):
        return Path(content)
    if path := _path_of(content):
        return path
    if not hasattr(content, "read"):
        raise UsageError(f"{type(content).__name__} is not content: give a path, bytes, or a file that can be read")
    if not _can_seek(content):
        label = _file_name(content) or type(content).__name__
        return Pipe(stream=PeekableStream(reblocked(_read(content, label))), label=label, name=label)
    directory = os.environ.get("TMPDIR") or (_SPOOL if os.access(_SPOOL, os.W_OK) else tempfile.gettempdir())
    with local_errors(directory):
        spool = spools.enter_context(tempfile.NamedTemporaryFile(dir=directory))  # noqa: SIM115 - *spools* closes it
        shutil.copyfileobj(content, spool, 1 << 20)
        spool.flush()
    return Path(spool.name)


def _read(file: BinaryIO, name: str) -> Iterator[bytes]:
    while True:
        with local_errors(name):
            chunk: bytes | None = file.read(BLOCK_SIZE)
        if chunk is None:
            raise LocalError(f"{name} is in non-blocking mode, which is not supported")
        if not chunk:
            return
        yield chunk


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except AttributeError:  # it has only `read`
        return False


def _path_of(file: BinaryIO) -> Path | None:
    """Where *file* can be opened again, if it is a regular file that was not read from yet."""
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        return None
    try:
        state = os.fstat(file.fileno())
        same = os.path.samestat(os.stat(name), state) and file.tell() == 0
    except (OSError, ValueError):
        return None
    return Path(name) if same else None
