"""How much would move, without moving it: what `--dry-run` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eci_convert.errors import LocalError, NotFound
from eci_convert.model import Artifact, Blob, File, Image, Known, Member, Memory, Part, Rootfs

if TYPE_CHECKING:
    from eci_convert.operations.output_files import Target
    from eci_convert.transports.base import Filesystem, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What *targets* come to: the bytes of each, None where only reading would tell, and the bytes to be read for them
    at most (compressed layers are read as they are)."""

    sizes: Mapping[Target, int | None]
    read: int


def of_targets(source: Source, image: Image, targets: Sequence[Target]) -> Weight:
    """What extracting *targets* would read. A place that keeps files unpacked is asked for their sizes, and no more.

    Raises MissingPart for a file that such a place has not, and what the source raises.
    """
    files = source.filesystem()
    sizes: dict[Target, int | None] = {}
    blobs: dict[object, int] = {}
    read = 0
    for target in targets:
        locator = target.part.locator
        sizes[target] = of_part(target.part)
        match locator:
            case Rootfs(path=path) if files:
                sizes[target] = found = _in_engine(files, path)
                read += found
            case Rootfs():
                blobs |= {layer.digest: layer.size for layer in image.manifest.layers}
            case Blob(descriptor=blob) | Member(descriptor=blob):
                blobs[blob.digest] = blob.size
            case _:
                pass
    return Weight(sizes=sizes, read=read + sum(blobs.values()))


def of_parts(artifact: Artifact) -> int:
    """The bytes of all parts, which are on this computer. Raises NotFound, LocalError."""
    return sum(of_part(part) or 0 for part in artifact.parts)


def of_file(source: Source, image: Image, path: str) -> int:
    """The bytes of the file that *path* is in the filesystem of *image*. Raises as `rootfs.files`."""
    from eci_convert.reading import files as reading_files

    if files := source.filesystem():
        return _in_engine(files, path)
    scales = _Scales(patient=True)
    reading_files.files(source, image, [path], scales)
    return scales.size


def of_part(part: Part) -> int | None:
    """The bytes of *part*, None where only reading would tell. Raises NotFound, LocalError for files here."""
    match part.locator:
        case Blob(descriptor=blob, compression=compression, size=size):
            return size if compression else blob.size
        case Memory(content=content):
            return len(content)
        case Known(size=size):
            return size
        case File(path=path):
            try:
                return path.stat().st_size
            except FileNotFoundError as error:
                raise NotFound(f"no such file: {str(path)!r}") from error
            except OSError as error:
                raise LocalError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
        case _:
            return None


class _Weighed(Exception):
    """The file was reached; nothing more is wanted of it."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _Scales:
    """A consumer that wants to know how much it would be given. It ends the reading there, unless it is *patient*."""

    retractable = True

    def __init__(self, *, patient: bool = False) -> None:
        self.size = 0
        self._patient = patient

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        if not self._patient:
            raise _Weighed(size)
        self.size = size
        for _ in chunks:
            pass


def _in_engine(files: Filesystem, path: str) -> int:
    from eci_convert.reading import container_files

    try:
        container_files.from_engine(files, [path], _Scales())
    except _Weighed as weighed:
        return weighed.size
    return 0
