"""Image: an open image of any transport, to be read."""

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
"""The default limit in bytes of a file that `Image.read` returns."""


def open_image(
    reference: str,
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    progress: Reporter | None = None,
    options: Options | None = None,
) -> Image:
    """The image *reference*, a context manager. A reference without a transport names an image of the Docker engine. Of
    an index, the image for *platform* is opened, by default the one for this computer.

    Raises UsageError, NotFoundError, AccessDeniedError, TransportError, IntegrityError for manifests with a wrong
    digest or size, and FormatError for malformed ones.
    """
    options = options or Options()
    with ExitStack() as stack:
        source = stack.enter_context(reading.open_image(reference, options.settings(progress).for_reading(), ENGINE))
        inspection = inspect(source, as_platform(platform), dialect)
        return Image(source, inspection, options, progress, stack.pop_all())


class Image:
    """An open image. Manifests and configs were read when it was opened; parts and files are read, and verified, on
    demand."""

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
        """The digest of the manifest or index that the name refers to; in the Docker engine, the image id."""
        return self._inspection.digest

    @property
    def dialects(self) -> tuple[str, ...]:
        """All dialects in which the image can be read, first the one that was used; empty for an image without parts
        of a machine."""
        return self._inspection.dialects

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms for which there is an image under the name."""
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
        """The kernel's command line; None if the image has none."""
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
        """The disks other than the root disk, in order."""
        return tuple(part for part in self.parts if part.role is Role.EXTRA_DISK)

    def open(self, part: Part | Role | str) -> BinaryIO:
        """The content of *part* (one of `parts`, or its role, `disk-N` or name) as a readable binary file without
        seek, a context manager.

        Raises MissingPartError and AmbiguousRoleError for text that matches no part or several; the file raises
        IntegrityError at its end, or when it is closed before, if the content has a wrong digest or size.
        """
        if isinstance(part, str):
            part = choose_part(self._inspection, part)
        return open_part(self._source, self._inspection.image, part, self._options.transfer(self._progress))

    def read(self, path: str, *, max_size: int = MAX_READ) -> bytes:
        """The file at *path* of the image's filesystem, verified; links are followed inside the image.

        Raises MissingPartError if it does not exist, LimitExceededError for more than *max_size* bytes.
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

        `*` and `?` match any characters, slashes too. All layers are read and verified.
        """
        image, transfer = self._inspection.image, self._options.transfer(self._progress)
        for entry in files_of(self._source, image, image.platform, transfer.reporter):
            if entry.kind in ("file", "symlink") and fnmatch.fnmatchcase(entry.path, pattern):
                yield entry

    def close(self) -> None:
        """Releases all resources."""
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
