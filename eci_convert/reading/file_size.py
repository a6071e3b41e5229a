"""The size of one file of an image, reading as little as possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eci_convert.oci.image import ImageMetadata

if TYPE_CHECKING:
    from eci_convert.transports.base import ContainerFiles, Source


def size_of_file(source: Source, image: ImageMetadata, path: str) -> int:
    """The size in bytes of the file *path* in the filesystem of *image*. Raises as `read_files`."""
    from eci_convert.reading.files import read_files

    if files := source.filesystem():
        return size_in_container(files, path)
    scales = _SizeProbe(patient=True)
    read_files(source, image, [path], scales)
    return scales.size


class _SizeFound(Exception):
    """Raised when the file was reached, to stop reading."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _SizeProbe:
    """A consumer that records the size of the file and stops reading, unless it is *patient*."""

    can_retake = True

    def __init__(self, *, patient: bool = False) -> None:
        self.size = 0
        self._patient = patient

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        if not self._patient:
            raise _SizeFound(size)
        self.size = size
        for _ in chunks:
            pass


def size_in_container(files: ContainerFiles, path: str) -> int:
    """The size in bytes of the file *path* of *files*, which is not read to its end. Raises as
    `read_container_files`."""
    from eci_convert.reading.container_files import read_container_files

    try:
        read_container_files(files, [path], _SizeProbe())
    except _SizeFound as found:
        return found.size
    return 0
