"""Reads every layer of an image once: digest, diff id, and the files of its parts."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass

from eci_convert.compression.codec import Compression, decompressed
from eci_convert.dialects import part_labels
from eci_convert.disks.probe import ContentProbe
from eci_convert.errors import (
    EciError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    UnsupportedImageError,
)
from eci_convert.model import Blob, DiskType, Member
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.operations.verify.report import Problem
from eci_convert.progress import Reporter
from eci_convert.reading import blobs, files, layer_walk
from eci_convert.reading.blobs import is_tar_archive, open_blob, open_layer, read_members
from eci_convert.rootfs import components
from eci_convert.rootfs.search import Search
from eci_convert.streams.blocks import peek_head
from eci_convert.streams.hashing import HashingStream
from eci_convert.streams.threads import prefetched
from eci_convert.tar.input import ByteReader, ExtensionBudget
from eci_convert.transports.base import Source

_MAX_REPEATED = 4 << 30
_MAX_RATIO = 64  # or this multiple of the stored size of the layers
BLOB_ERRORS = (IntegrityError, FormatError, NotFoundError)
"""What may be wrong with a blob while the place that has it is in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A file that went by: *size* in bytes, what sort of disk it is, what it wants read beside itself."""

    size: int
    digest: Digest
    disk_type: DiskType | None
    foreign_reference: str | None


class RecordingConsumer:
    """Consumes files and remembers, by the paths that were looked for, what they were."""

    can_retake = True

    def __init__(self) -> None:
        self.observations: dict[str, Observation] = {}

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        observed = observe(chunks)
        self.observations.update(dict.fromkeys(paths, observed))


def observe(chunks: Iterable[bytes]) -> Observation:
    """What *chunks* are."""
    seen = ContentProbe(chunks)
    measured = HashingStream(seen, threaded=True)
    for _ in measured:
        pass
    return Observation(
        size=seen.size,
        digest=measured.digest,
        disk_type=seen.disk_type,
        foreign_reference=seen.foreign_reference,
    )


class Repeats:
    """What the images of an index share. Each blob is read once for what it is, and again only where the files of
    another image are looked for in it: how much of that is done is bounded.

    *diff_ids* are the right ones, by the digests of the blobs; *errors* what is wrong with others, by digest and media
    type; *blobs* what parts are, by digest and compression; *verified* blobs have their digests. *budget* is for the
    extension headers of all archives.
    """

    def __init__(self, where: str) -> None:
        self.diff_ids: dict[Digest, Digest] = {}
        self.errors: dict[tuple[Digest, str], EciError] = {}
        self.blobs: dict[tuple[Digest, str], Observation] = {}
        self.verified: set[Digest] = set()
        self.budget = ExtensionBudget()
        self._where = where
        self._sizes: dict[Digest, int] = {}
        self._stored = self._again = 0

    def begin(self, layer: Descriptor) -> None:
        """*layer* is to be read. Raises LimitExceededError where too much has been read more than once."""
        if layer.digest not in self._sizes:
            self._sizes[layer.digest] = layer.size
            self._stored += layer.size
            return
        self._again += max(self._sizes[layer.digest], layer.size)
        if self._again > max(_MAX_REPEATED, _MAX_RATIO * self._stored):
            error = LimitExceededError("the same layers are in too many images", where=self._where)
            error.add_note("hint: verify one of them with --platform OS/ARCH")
            raise error

    def end(self, layer: Descriptor, size: int) -> None:
        """*layer* was read, and *size* bytes were in it."""
        self._sizes[layer.digest] = max(self._sizes.get(layer.digest, 0), size)
        self.verified.add(layer.digest)


class LayerCheck:
    """All blobs of *image*, read once, as far as *seen* does not know them. *paths* are looked for in its filesystem;
    *parts* are files by themselves.

    *findings*: what is wrong with them; *diff_ids*: the right ones, by the digests of the blobs. *files* are what was
    seen at the paths, *failed* says why others were not there; neither has a path of which nobody can know, because of
    *broken* layers. *blobs*: what the parts are, by their digests and compressions.
    """

    def __init__(
        self, source: Source, image: ImageMetadata, paths: Iterable[str], parts: Iterable[Blob | Member],
        reporter: Reporter, seen: Repeats,
    ) -> None:  # fmt: skip
        self.findings: list[Problem] = []
        self.diff_ids: dict[Digest, Digest] = {}
        self.blobs: dict[tuple[Digest, str], Observation] = {}
        self.failed: Mapping[str, EciError] = {}
        self.broken: set[Digest] = set()
        self.size = 0
        self._source = source
        self._reporter = reporter
        self._watcher = RecordingConsumer()
        paths = list(paths)
        self._search: Search | None = Search(paths, self._watcher)
        self._looks_for_files = bool(paths)
        self._seen = seen
        self._places: Mapping[str, tuple[Digest, str]] = {}
        self._parts = tuple(parts)
        self._only_files = not self._parts and part_labels.is_file_artifact(image)
        self._members: dict[tuple[Digest, str, bool], Observation] = {}
        self._layers = list({layer.digest: layer for layer in reversed(image.manifest.layers)}.values())

    @property
    def files(self) -> Mapping[str, Observation]:
        return self._watcher.observations

    def read(self) -> None:
        """Reads them all, the top one first."""
        stack = [] if self._only_files else [layer for layer in self._layers if layer_walk.is_filesystem(layer)]
        for layer in self._layers:
            self.size += layer.size
            key = (layer.digest, layer.media_type)
            try:
                if key in self._seen.errors:
                    raise self._seen.errors[key]
                if self._is_known(layer, layer in stack):
                    continue
                self._seen.begin(layer)
                if layer in stack and not media_types.is_encrypted(layer.media_type):
                    self._archive(layer, last=layer is stack[-1])
                else:
                    self._blob(layer)
                    blobs.check_readable(layer)
            except (*BLOB_ERRORS, UnsupportedImageError) as error:
                self._seen.errors[key] = error
                self.broken.add(layer.digest)
                self.findings.append(Problem(subject=f"layer {layer.digest.short}", error=error))
                self._search = None if layer in stack else self._search
        if self._search and self._looks_for_files:
            self._finish(self._search, stack)

    def member(self, part: Member) -> Observation:
        """The file that *part* is in the archive that one layer is: seen already, or read now. Raises as
        `in_archive`."""
        for path, place in self._places.items():
            if place == (part.descriptor.digest, "/".join(components(part.path))):
                return self.files[path]
        key = (part.descriptor.digest, part.path, part.or_whole_blob)
        if key not in self._members:
            self._seen.begin(part.descriptor)
            watcher = RecordingConsumer()
            files.in_archive(self._source, part.descriptor, [part.path], watcher, or_whole_blob=part.or_whole_blob)
            self._members[key] = watcher.observations[part.path]
        return self._members[key]

    def _is_known(self, layer: Descriptor, in_stack: bool) -> bool:
        """Whether all that there is to be known of *layer* is known already, which is then taken over."""
        if in_stack and self._looks_for_files:
            return False
        parts = {(part.descriptor.digest, part.compression) for part in self._blob_parts(layer)}
        is_archive = in_stack and not media_types.is_encrypted(layer.media_type)
        verified: Collection[Digest] = self._seen.diff_ids if is_archive else self._seen.verified
        if layer.digest not in verified or not parts <= self._seen.blobs.keys():
            return False
        if is_archive:
            self.diff_ids[layer.digest] = self._seen.diff_ids[layer.digest]
        self.blobs |= {key: self._seen.blobs[key] for key in parts}
        return True

    def _blob_parts(self, layer: Descriptor) -> list[Blob]:
        return [part for part in self._parts if isinstance(part, Blob) and part.descriptor.digest == layer.digest]

    def _archive(self, layer: Descriptor, *, last: bool) -> None:
        measured: list[HashingStream] = []
        passing = ExitStack()

        def measuring(archive: Iterable[bytes]) -> Iterable[bytes] | ByteReader:
            measured.append(HashingStream(archive, threaded=True))
            chunks = passing.enter_context(closing(_generated(measured[0])))  # ends its thread in any case
            return self._search.input(chunks) if self._search else chunks

        with passing, open_blob(self._source, layer, self._reporter) as chunks:
            head, chunks = peek_head(chunks)
            if self._may_be_bytes(layer) and not is_tar_archive(head):
                return
            with read_members(chunks, measuring, self._seen.budget) as entries:
                if self._search:
                    self._search.read(entries, last=last)
        self.diff_ids[layer.digest] = self._seen.diff_ids[layer.digest] = measured[0].digest
        self._seen.end(layer, measured[0].size)

    def _may_be_bytes(self, layer: Descriptor) -> bool:
        members = (part for part in self._parts if isinstance(part, Member))
        return any(part.or_whole_blob and part.descriptor.digest == layer.digest for part in members)

    def _blob(self, layer: Descriptor) -> None:
        parts = self._blob_parts(layer)
        compression = next((part.compression for part in parts if part.compression), "")
        key, size = (layer.digest, compression), layer.size
        with open_blob(self._source, layer, self._reporter) as chunks:
            if parts:
                plain = decompressed(chunks, Compression(compression)) if compression else None
                with prefetched(plain) if plain else nullcontext(chunks) as part:
                    self.blobs[key] = self._seen.blobs[key] = observe(part)
                size = self.blobs[key].size
        self._seen.end(layer, size)

    def _finish(self, search: Search, stack: Sequence[Descriptor]) -> None:
        if not stack:
            search.read((), last=True)
        for number, missed in search.missed_files().items():
            self._seen.begin(stack[number])
            archive = open_layer(self._source, stack[number], self._reporter, budget=self._seen.budget)
            with archive as entries:
                search.read_again(entries, missed, number)
        self.failed = search.failed()
        self._places = {
            path: (stack[location.layer].digest, location.path) for path, location in search.found().items()
        }


def _generated(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    yield from chunks
