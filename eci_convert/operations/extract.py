"""Extracts parts of an image into files: one pass over each blob, and all files or none.

Whatever a dialect said of where a part lies is turned into a pass over a blob: the blob itself, one archive, or the
filesystem that all layers make. Files get their names when everything that was read has been found to be as promised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from eci_convert.compression.codec import Compression, decompressed
from eci_convert.disks import declared
from eci_convert.errors import UsageError
from eci_convert.files.atomic import AtomicFiles, created_directories
from eci_convert.model import (
    DISK_ROLES,
    Blob,
    DiskType,
    LocalFile,
    Member,
    Memory,
    Part,
    Pipe,
    RemoteBlob,
    Role,
    RootfsFile,
)
from eci_convert.oci import diff_ids
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.diff_ids import certainly_wrong
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.operations.extract_request import ExtractRequest, check_absent, plan_targets
from eci_convert.operations.inspect import Inspection, inspect
from eci_convert.operations.output_files import Discard, OutputFiles, OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.progress import Reporter, planned, waiting, warn
from eci_convert.reading.blobs import begins_as, check_readable, open_blob
from eci_convert.reading.files import in_archive, read_files
from eci_convert.reading.resume import PartialDownloads
from eci_convert.rootfs.consumer import FileLocation
from eci_convert.streams.threads import prefetched
from eci_convert.transports.base import Source

_DEFAULTS = TransferOptions()

__all__ = ["ExtractedPart", "OutputTarget", "extract_files"]


_DOUBTFUL = 4
"""Layers that are looked at for no more than a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedPart:
    """A part that was written. *path* is None where it went into an open file; *size* is in bytes.

    *digest* is the file's, where it was asked for. *blob* is the layer it was in, *image_path* its path there or in
    the filesystem, where it had one. *disk_type* is what the image says, else what the bytes are.
    """

    part: Part
    path: Path | None
    size: int
    digest: Digest | None
    blob: Digest | None
    image_path: str
    disk_type: DiskType | None

    @property
    def role(self) -> Role:
        """What the part is to the machine."""
        return self.part.role

    @property
    def name(self) -> str:
        """What the image calls it."""
        return self.part.name

    @property
    def type(self) -> DiskType | None:
        """What sort of disk it is."""
        return self.disk_type


def extract_files(
    source: Source,
    image: ImageMetadata,
    targets: Sequence[OutputTarget],
    *,
    sparse: bool = True,
    digests: bool = False,
    replace: bool = True,
    options: TransferOptions = _DEFAULTS,
) -> tuple[ExtractedPart, ...]:
    """Writes the parts of *image* that *targets* name, and says what was written, in their order.

    *sparse* restores holes; *digests* has every file's digest told. A directory that is not there is made. Without
    *replace* a file that has come into being meanwhile is an error.

    Raises IntegrityError for bytes that are not the promised ones, FormatError for malformed or hostile ones and for
    more than is allowed, MissingPartError for what is not there, LocalError for what cannot be written, and what the
    source raises; then no path has changed. What went into an open file until then has gone.
    """
    paths = [target.path for target in targets if target.path]
    directory, reporter = options.resume_directory, options.reporter
    keeping = PartialDownloads(directory, partial(warn, reporter)) if directory else nullcontext(None)
    with planned(reporter), created_directories(paths), keeping as downloads, AtomicFiles() as staged:
        outputs = OutputFiles(staged, max_size=options.max_size, sparse=sparse, digests=digests)
        places = _Passes(source, image, outputs, reporter, downloads).over(targets)
        with waiting(reporter, "the disk to take the files"):
            if not replace:
                check_absent(targets)
            staged.commit()
    if _has_wrong_diff_ids(source, image):
        warn(reporter, "the diff ids of the image are wrong, so engines will not unpack it: see verify --fix")
    return tuple(_extracted(target, outputs, places.get(target), reporter) for target in targets)


def _has_wrong_diff_ids(source: Source, image: ImageMetadata) -> bool:
    """Whether they can be seen to be wrong without reading a layer."""
    if not image.config.diff_ids:
        return False
    return certainly_wrong(image.manifest, image.config) or any(
        begins_as(source, layer) is Compression.NONE
        for layer in diff_ids.doubtful(image.manifest, image.config)[:_DOUBTFUL]
    )


class _Passes:
    """One pass over each blob. Every method returns the locations of the targets, if they have any."""

    def __init__(
        self,
        source: Source,
        image: ImageMetadata,
        outputs: OutputFiles,
        reporter: Reporter,
        downloads: PartialDownloads | None,
    ) -> None:
        self._source = source
        self._image = image
        self._outputs = outputs
        self._reporter = reporter
        self._downloads = downloads

    def over(self, targets: Sequence[OutputTarget]) -> Mapping[OutputTarget, FileLocation]:
        places: dict[OutputTarget, FileLocation] = {}
        blobs: dict[tuple[Digest, str], list[OutputTarget]] = defaultdict(list)
        archives: dict[tuple[Digest, bool], dict[str, list[OutputTarget]]] = defaultdict(lambda: defaultdict(list))
        files: dict[str, list[OutputTarget]] = defaultdict(list)
        by_digest: dict[Digest, Descriptor] = {}
        for target in targets:
            match target.part.locator:
                case Blob(descriptor=blob, compression=compression):
                    by_digest[blob.digest] = blob
                    blobs[blob.digest, compression].append(target)
                case Member(descriptor=blob, path=path, or_whole_blob=or_whole_blob):
                    by_digest[blob.digest] = blob
                    archives[blob.digest, or_whole_blob][path].append(target)
                case RootfsFile(path=path):
                    files[path].append(target)
                case Memory(content=data):
                    self._outputs.write([target], (data,), size=len(data))
                case LocalFile() | Pipe() | RemoteBlob():
                    raise UsageError(f"{target.part.name!r} is in no image")
                case _:
                    assert_never(target.part.locator)
        for (digest, compression), wanting in blobs.items():
            places |= self._blob(by_digest[digest], compression, wanting)
        for (digest, or_whole_blob), by_path in archives.items():
            places |= self._archive(by_digest[digest], by_path, or_whole_blob=or_whole_blob)
        return {**places, **(self._filesystem(files) if files else {})}

    def _blob(
        self, blob: Descriptor, compression: str, targets: list[OutputTarget]
    ) -> Mapping[OutputTarget, FileLocation]:
        check_readable(blob)
        with open_blob(self._source, blob, self._reporter, self._downloads) as chunks:
            if compression:
                with prefetched(decompressed(chunks, Compression(compression))) as plain:
                    self._outputs.write(targets, plain)
            else:
                digest = blob.digest if blob.digest.algorithm == "sha256" else None
                self._outputs.write(targets, chunks, size=blob.size, digest=digest)
        return {target: FileLocation(path="", layer=blob) for target in targets}

    def _archive(
        self, layer: Descriptor, by_path: Mapping[str, list[OutputTarget]], *, or_whole_blob: bool
    ) -> Mapping[OutputTarget, FileLocation]:
        consumer = _Consumer(by_path, self._outputs)
        locations = in_archive(
            self._source,
            layer,
            by_path,
            consumer,
            or_whole_blob=or_whole_blob,
            reporter=self._reporter,
            downloads=self._downloads,
        )
        return _placed(by_path, locations)

    def _filesystem(self, by_path: Mapping[str, list[OutputTarget]]) -> Mapping[OutputTarget, FileLocation]:
        consumer = _Consumer(by_path, self._outputs)
        locations = read_files(
            self._source, self._image, by_path, consumer, reporter=self._reporter, downloads=self._downloads
        )
        return _placed(by_path, locations)


class _Consumer:
    """Writes files to the targets that want their paths. What went into an open file cannot be taken back."""

    def __init__(self, by_path: Mapping[str, list[OutputTarget]], outputs: OutputFiles) -> None:
        self._by_path = by_path
        self._outputs = outputs
        self.can_retake = all(
            target.path or isinstance(target.file, Discard) for targets in by_path.values() for target in targets
        )

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        self._outputs.write([target for path in paths for target in self._by_path[path]], chunks, size=size)


def _placed(
    by_path: Mapping[str, list[OutputTarget]], locations: Mapping[str, FileLocation]
) -> Mapping[OutputTarget, FileLocation]:
    return {target: locations[path] for path, targets in by_path.items() for target in targets}


def _extracted(
    target: OutputTarget, outputs: OutputFiles, place: FileLocation | None, reporter: Reporter
) -> ExtractedPart:
    written, part = outputs.written[target], target.part
    detected = written.disk_type if part.role in DISK_ROLES else None
    if part.disk_type and declared.contradicts(part.disk_type, detected):
        warn(reporter, f"{part.name!r} is declared as {part.disk_type} and its bytes are {detected}")
    path = place.path if place else ""
    return ExtractedPart(
        part=part,
        path=target.path,
        size=written.size,
        digest=written.digest,
        blob=place.layer.digest if place and place.layer else None,
        image_path="/" + path if isinstance(part.locator, RootfsFile) else path,
        disk_type=part.disk_type or detected,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractResult:
    """What was taken out of an image."""

    inspection: Inspection
    parts: tuple[ExtractedPart, ...]


def extract(source: Source, request: ExtractRequest, options: TransferOptions = _DEFAULTS) -> ExtractResult:
    """Writes what *request* asks for of the image that *source* names: all of it, or nothing.

    Raises MissingPartError for a part that the image has not, and what `extract_files` raises.
    """
    inspection = inspect(source, request.platform, request.dialect)
    targets = plan_targets(inspection, request)
    for role in sorted(request.optional & request.roles.keys()):
        if inspection.artifact.part(role) is None:
            output = str(request.roles[role])
            warn(options.reporter, f"{inspection.reference} has no {role}: {output!r} is not written")
    parts = extract_files(
        source, inspection.image, targets, sparse=request.sparse, digests=request.digests, replace=request.replace,
        options=options,
    )  # fmt: skip
    return ExtractResult(inspection=inspection, parts=parts)
