"""Every layer of an image read once: its digest, its diff id, and the files that are looked for in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eci_convert import content, rootfs
from eci_convert.errors import EciError, FormatError, IntegrityError, LayoutError, NotFound
from eci_convert.model import Blob, DiskType, Image, Member
from eci_convert.oci import mediatype
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor
from eci_convert.outputs import Seen
from eci_convert.overlay import parts as components
from eci_convert.progress import Reporter
from eci_convert.rootfs.search import Search
from eci_convert.streams.compress import Compression, decompressed
from eci_convert.streams.measure import Measured
from eci_convert.streams.tar_input import Input
from eci_convert.transports.base import Source
from eci_convert.verify.report import Finding

FAULTS = (IntegrityError, FormatError, NotFound)
"""What may be wrong with a blob while the place that has it is in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A file that went by: *size* in bytes, what sort of disk it is, what it wants read beside itself."""

    size: int
    digest: Digest
    disk_type: DiskType | None
    foreign_reference: str | None


class Watcher:
    """Consumes files and remembers, by the paths that were looked for, what they were."""

    retractable = True

    def __init__(self) -> None:
        self.seen: dict[str, Observation] = {}

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        found = observed(chunks)
        self.seen.update(dict.fromkeys(paths, found))


def observed(chunks: Iterable[bytes]) -> Observation:
    """What *chunks* are."""
    seen = Seen(chunks)
    measured = Measured(seen, threaded=True)
    for _ in measured:
        pass
    return Observation(
        size=seen.size,
        digest=measured.digest,
        disk_type=seen.disk_type,
        foreign_reference=seen.foreign_reference,
    )


class Layers:
    """All blobs of *image*, read once. *paths* are looked for in its filesystem; *parts* are files by themselves.

    *findings*: what is wrong with them; *diff_ids*: the right ones, by the digests of the blobs. *files* are what was
    seen at the paths, *failed* says why others were not there; neither has a path of which nobody can know, because of
    *broken* layers. *blobs*: what the parts are, by their digests and compressions.
    """

    def __init__(
        self, source: Source, image: Image, paths: Iterable[str], parts: Iterable[Blob | Member], reporter: Reporter
    ) -> None:
        self.findings: list[Finding] = []
        self.diff_ids: dict[Digest, Digest] = {}
        self.blobs: dict[tuple[Digest, str], Observation] = {}
        self.failed: Mapping[str, EciError] = {}
        self.broken: set[Digest] = set()
        self.size = 0
        self._source = source
        self._reporter = reporter
        self._watcher = Watcher()
        self._search: Search | None = Search(paths, self._watcher)
        self._places: Mapping[str, tuple[Digest, str]] = {}
        self._parts = tuple(parts)
        self._layers = list({layer.digest: layer for layer in reversed(image.manifest.layers)}.values())

    @property
    def files(self) -> Mapping[str, Observation]:
        return self._watcher.seen

    def read(self) -> None:
        """Reads them all, the top one first."""
        stack = [layer for layer in self._layers if rootfs.is_filesystem(layer)]
        for layer in self._layers:
            self.size += layer.size
            try:
                if layer in stack and not mediatype.is_encrypted(layer.media_type):
                    self._archive(layer, last=layer is stack[-1])
                else:
                    self._blob(layer)
                    content.check_readable(layer)
            except (*FAULTS, LayoutError) as error:
                self.broken.add(layer.digest)
                self.findings.append(Finding(subject=f"layer {layer.digest.short}", error=error))
                self._search = None if layer in stack else self._search
        if self._search:
            self._finish(self._search, stack)

    def member(self, part: Member) -> Observation:
        """The file that *part* is in the archive that one layer is: seen already, or read now. Raises as
        `rootfs.in_archive`."""
        for path, place in self._places.items():
            if place == (part.descriptor.digest, "/".join(components(part.path))):
                return self.files[path]
        watcher = Watcher()
        rootfs.in_archive(self._source, part.descriptor, [part.path], watcher, or_bytes=part.or_bytes)
        return watcher.seen[part.path]

    def _archive(self, layer: Descriptor, *, last: bool) -> None:
        measured: list[Measured] = []

        def measuring(archive: Iterable[bytes]) -> Iterable[bytes] | Input:
            measured.append(Measured(archive, threaded=True))
            return self._search.input(measured[0]) if self._search else measured[0]

        with content.opened(self._source, layer, self._reporter) as chunks:
            head, chunks = content.peeked(chunks)
            if self._may_be_bytes(layer) and not content.is_archive(head):
                return
            with content.members(chunks, measuring) as entries:
                if self._search:
                    self._search.read(entries, last=last)
        self.diff_ids[layer.digest] = measured[0].digest

    def _may_be_bytes(self, layer: Descriptor) -> bool:
        members = (part for part in self._parts if isinstance(part, Member))
        return any(part.or_bytes and part.descriptor.digest == layer.digest for part in members)

    def _blob(self, layer: Descriptor) -> None:
        parts = [part for part in self._parts if isinstance(part, Blob) and part.descriptor.digest == layer.digest]
        compression = next((part.compression for part in parts if part.compression), "")
        with content.opened(self._source, layer, self._reporter) as chunks:
            if not parts:
                return
            if not compression:
                self.blobs[layer.digest, ""] = observed(chunks)
                return
            with content.threaded(decompressed(chunks, Compression(compression))) as plain:
                self.blobs[layer.digest, compression] = observed(plain)

    def _finish(self, search: Search, stack: Sequence[Descriptor]) -> None:
        if not stack:
            search.read((), last=True)
        for number, missed in search.missed().items():
            with content.archive(self._source, stack[number], self._reporter) as entries:
                search.read_again(entries, missed, number)
        self.failed = search.failed()
        self._places = {path: (stack[found.layer].digest, found.path) for path, found in search.found().items()}
