"""Image: an image that is open to be read, from whatever transport."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, Self

from eci_convert.api.options import Options
from eci_convert.api.part_stream import open_part
from eci_convert.api.words import ENGINE, as_platform
from eci_convert.errors import MissingPartError
from eci_convert.model import Part, Role, RootfsFile
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.operations.extract import extract_files
from eci_convert.operations.inspect import Inspection, inspect
from eci_convert.operations.list_files import FileEntry, files_of
from eci_convert.operations.output_files import OutputTarget
from eci_convert.operations.store.url import choose_part
from eci_convert.progress import Reporter
from eci_convert.reading import open_image as reading
from eci_convert.transports.base import Source

MAX_READ = 64 << 20
"""Bytes of a file that `Image.read` returns at most, unless it is told otherwise."""


def open_image(
    reference: str,
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    progress: Reporter | None = None,
    options: Options | None = None,
) -> Image:
    """The image that *reference* names, to be used as a context manager. One without a transport is an image of the
    Docker engine. Of an index, the image for *platform* is meant, or for this computer's.

    Raises UsageError, NotFoundError, AccessDeniedError, TransportError, and IntegrityError or FormatError for manifests
    that are not the promised ones, or malformed.
    """
    options = options or Options()
    with ExitStack() as stack:
        source = stack.enter_context(reading.open_image(reference, options.settings(progress).for_reading(), ENGINE))
        inspection = inspect(source, as_platform(platform), dialect)
        return Image(source, inspection, options, progress, stack.pop_all())


class Image:
    """An open image. What it says of itself was read when it was opened; parts and files are read when they are asked
    for, and verified."""

    def __init__(
        self,
        source: Source,
        inspection: Inspection,
        options: Options,
        progress: Reporter | None,
        closing: ExitStack | None = None,
    ) -> None:
        self._source = source
        self._inspection = inspection
        self._options = options
        self._progress = progress
        self._closing = closing or ExitStack()

    @property
    def reference(self) -> str:
        """The reference, with its transport."""
        return self._inspection.reference

    @property
    def digest(self) -> Digest:
        """What the name stands for: an index, where it names one, and in the Docker engine the image's id."""
        return self._inspection.digest

    @property
    def dialects(self) -> tuple[str, ...]:
        """All dialects in which the image can be read, the one that it was read in first; none for an image without
        parts of a machine."""
        return self._inspection.dialects

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that the name has an image for."""
        return self._inspection.platforms

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the config."""
        return self._inspection.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the manifest."""
        return self._inspection.annotations

    @property
    def cmdline(self) -> str | None:
        """The kernel's command line, where the image has one."""
        return self._inspection.cmdline

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order kernel, initrd, root, disks, config, others."""
        return self._inspection.parts

    @property
    def kernel(self) -> Part:
        """The kernel. Raises MissingPartError."""
        return self._part(Role.KERNEL)

    @property
    def initrd(self) -> Part:
        """The initial ramdisk. Raises MissingPartError."""
        return self._part(Role.INITRD)

    @property
    def root(self) -> Part:
        """The root disk. Raises MissingPartError."""
        return self._part(Role.ROOT_DISK)

    @property
    def config(self) -> Part:
        """The config that was packed as a part. Raises MissingPartError."""
        return self._part(Role.CONFIG)

    @property
    def disks(self) -> tuple[Part, ...]:
        """The disks beside the root disk, in order."""
        return tuple(part for part in self.parts if part.role is Role.EXTRA_DISK)

    def open(self, part: Part | Role | str) -> BinaryIO:
        """The bytes of *part* (one of `parts`, or its role, `disk-N` or name) as a readable binary file that cannot
        seek, to be used as a context manager.

        Raises MissingPartError and AmbiguousRoleError for a word that names no part or several; IntegrityError at the
        end of the bytes, or when it is closed before, if they are not the promised ones.
        """
        if isinstance(part, str):
            part = choose_part(self._inspection, part)
        return open_part(self._source, self._inspection.image, part, self._options.transfer(self._progress))

    def read(self, path: str, *, max_size: int = MAX_READ) -> bytes:
        """The file at *path* of the image's filesystem, verified; links are followed inside the image.

        Raises MissingPartError where there is none, LimitExceededError for more than *max_size* bytes.
        """
        part = Part(role=Role.OTHER, locator=RootfsFile(path=path), name=path)
        content = io.BytesIO()
        transfer = self._options.transfer(self._progress, max_size=max_size)
        extract_files(
            self._source,
            self._inspection.image,
            [OutputTarget(part=part, file=content)],
            sparse=False,
            options=transfer,
        )
        return content.getvalue()

    def files(self, pattern: str = "*") -> Iterator[FileEntry]:
        """The files and symbolic links of the image's filesystem whose absolute paths match *pattern*, sorted.

        `*` and `?` stand for anything, slashes too. All layers are read for it, and verified.
        """
        image, transfer = self._inspection.image, self._options.transfer(self._progress)
        for entry in files_of(self._source, image, image.platform, transfer.reporter):
            if entry.kind in ("file", "symlink") and fnmatch.fnmatchcase(entry.path, pattern):
                yield entry

    def close(self) -> None:
        """Lets go of what the transport lent."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Image {self.reference} {self.digest}>"

    def _part(self, role: Role) -> Part:
        part = self._inspection.artifact.part(role)
        if part is None:
            names = ", ".join(part.name for part in self.parts) or "no parts"
            raise MissingPartError(f"{self.reference} has no {role}: it has {names}")
        return part
