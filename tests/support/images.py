"""Images for tests, built in memory as a sentence says them.

    source = an_image().layer(KERNEL_TYPE, b"kernel", role="kernel").build()
    source = an_image().tar_layer({"boot/kernel": b"kernel"}, compression="gzip").label(KEY, "/boot/kernel").build()
    source = an_index(an_image().platform("linux/amd64"), an_image().platform("linux/arm64")).build()

`build` gives a MemorySource: `source.blobs` is a dict from Digest to bytes, for spoiling; `source.resolve()` is the
manifest's descriptor. `copied(source, sink)` puts the same image anywhere else.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from eci_convert.model import Part
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform, parse_platform
from eci_convert.reading.blobs import load_document, open_blob
from eci_convert.reading.images import load_image, load_manifest
from eci_convert.tar import EntryType, TarMember, archived
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.memory import MemorySource, MemoryStore

KERNEL_TYPE = "application/vnd.lfedge.eci.kernel.layer.v1+kernel"
INITRD_TYPE = "application/vnd.lfedge.eci.initrd.layer.v1+cpio"
RAW_TYPE = "application/vnd.lfedge.disk.layer.v1+raw"
ROLE = "org.lfedge.eci.role"
MEDIA_TYPE = "org.lfedge.eci.mediaType"
TITLE = "org.opencontainers.image.title"
LABEL = "org.lfedge.eci.artifact."


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in a tar layer."""

    target: str


@dataclass(frozen=True, slots=True)
class Hard:
    """A hard link in a tar layer."""

    target: str


Files = Mapping[str, bytes | Link | Hard | None]
"""Paths in an archive and what is there; None is a directory."""


def a_tar(files: Files, *, mtime: int = 0) -> bytes:
    """The tar archive of *files*, in their order, as Go writes it."""
    return b"".join(archived(_member(path, what, mtime) for path, what in files.items()))


def _member(path: str, what: bytes | Link | Hard | None, mtime: int) -> tuple[TarMember, tuple[bytes, ...]]:
    match what:
        case bytes():
            return TarMember(name=path, size=len(what), mtime=mtime), (what,)
        case Link():
            return TarMember(name=path, type=EntryType.SYMLINK, linkname=what.target, mode=0o777, mtime=mtime), ()
        case Hard():
            return TarMember(name=path, type=EntryType.HARDLINK, linkname=what.target, mtime=mtime), ()
        case None:
            return TarMember(name=path, type=EntryType.DIR, mode=0o755, mtime=mtime), ()


def layer_type(compression: str) -> str:
    """The OCI media type of a tar layer with *compression*: "none", "gzip" or "zstd"."""
    return media_types.OCI_LAYER if compression == "none" else f"{media_types.OCI_LAYER}+{compression}"


def wrapped(archive: bytes, compression: str) -> bytes:
    """*archive* compressed: "none", "gzip" or "zstd"."""
    if compression == "none":
        return archive
    if compression == "gzip":
        return gzip.compress(archive, 1, mtime=0)
    from eci_convert.compression.libzstd import zstd

    return zstd.compress(archive)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuilder:
    """An image so far. Every method gives a new builder."""

    runs_on: Platform | None
    layers: tuple[tuple[Descriptor, bytes], ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    own_config: tuple[bytes, str] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = media_types.OCI_MANIFEST
    artifact_type: str = ""
    subject_: Descriptor | None = None
    extra: tuple[bytes, ...] = ()

    def layer(
        self,
        media_type: str,
        blob: bytes,
        *,
        role: str | None = None,
        title: str | None = None,
        annotations: Mapping[str, str] | None = None,
        diff_id: Digest | None = None,
    ) -> Self:
        """One more layer, on top: *blob* as it is. Its diff id is its digest unless *diff_id* says otherwise."""
        notes = {ROLE: role, TITLE: title} | dict(annotations or {})
        descriptor = Descriptor.of(blob, media_type, {key: text for key, text in notes.items() if text is not None})
        return replace(
            self, layers=(*self.layers, (descriptor, blob)), diff_ids=(*self.diff_ids, diff_id or descriptor.digest)
        )

    def tar_layer(
        self,
        files: Files | bytes,
        *,
        compression: str = "none",
        media_type: str | None = None,
        role: str | None = None,
        title: str | None = None,
        annotations: Mapping[str, str] | None = None,
        diff_id: Digest | None = None,
    ) -> Self:
        """One more layer of the filesystem: the archive of *files* (or an archive itself), with its right diff id."""
        archive = files if isinstance(files, bytes) else a_tar(files)
        return self.layer(
            media_type or layer_type(compression),
            wrapped(archive, compression),
            role=role,
            title=title,
            annotations=annotations,
            diff_id=diff_id or Digest.of(archive),
        )

    def label(self, key: str, value: str) -> Self:
        """One label more in the config."""
        return replace(self, labels={**self.labels, key: value})

    def annotation(self, key: str, value: str) -> Self:
        """One annotation more on the manifest."""
        return replace(self, annotations={**self.annotations, key: value})

    def platform(self, text: str | None) -> Self:
        """What the image runs on, "linux/arm64"; None says nothing of it."""
        return replace(self, runs_on=parse_platform(text) if text else None)

    def config(self, blob: bytes, media_type: str = media_types.OCI_CONFIG) -> Self:
        """A config of one's own: *blob* as it is."""
        return replace(self, own_config=(blob, media_type))

    def config_field(self, key: str, value: Any) -> Self:
        """The config's JSON with *key* set to *value*, whatever would stand there."""
        return replace(self, changes={**self.changes, key: value})

    def typed(self, media_type: str, artifact_type: str = "") -> Self:
        """The manifest's media type, and its artifact type."""
        return replace(self, media_type=media_type, artifact_type=artifact_type)

    def subject(self, descriptor: Descriptor) -> Self:
        """What the image refers to."""
        return replace(self, subject_=descriptor)

    def beside(self, *others: ImageBuilder) -> Self:
        """The same image in a store that holds *others* too (referrers, say)."""
        found = {content for other in others for content in other.contents().values()}
        return replace(self, extra=(*self.extra, *found))

    def config_blob(self) -> tuple[bytes, str]:
        """The config and its media type."""
        if self.own_config is not None:
            return self.own_config
        data: dict[str, Any] = self.runs_on.json() if self.runs_on else {}
        if self.labels:
            data["config"] = {"Labels": dict(self.labels)}
        data["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}
        docker = self.media_type == media_types.DOCKER_MANIFEST
        kind = media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG
        return json.dumps(data | dict(self.changes), separators=(",", ":")).encode(), kind

    def manifest(self) -> Manifest:
        """The manifest."""
        return Manifest(
            media_type=self.media_type,
            artifact_type=self.artifact_type,
            config=Descriptor.of(*self.config_blob()),
            layers=tuple(descriptor for descriptor, _ in self.layers),
            annotations=self.annotations,
            subject=self.subject_,
        )

    def descriptor(self) -> Descriptor:
        """What stands for the image in an index."""
        found = Descriptor.of(to_json(self.manifest()), self.media_type)
        return replace(found, platform=self.runs_on, artifact_type=self.artifact_type)

    def contents(self) -> dict[Digest, bytes]:
        """All blobs and documents."""
        blobs = [to_json(self.manifest()), self.config_blob()[0], *(blob for _, blob in self.layers), *self.extra]
        return {Digest.of(blob): blob for blob in blobs}

    def build(self, name: str = "image") -> MemorySource:
        """The image in a store of its own."""
        root = Descriptor.of(to_json(self.manifest()), self.media_type)
        return MemorySource(MemoryStore(self.contents(), {name: root}), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBuilder:
    """Several images under one name."""

    images: tuple[ImageBuilder, ...]
    media_type: str = media_types.OCI_INDEX
    annotations: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def annotated(self, which: int, annotations: Mapping[str, str]) -> Self:
        """With *annotations* on the entry number *which*, from 0."""
        return replace(self, notes={**self.notes, which: annotations})

    def index(self) -> Index:
        """The index."""
        entries = (
            replace(image.descriptor(), annotations=dict(self.notes.get(place, {})))
            for place, image in enumerate(self.images)
        )
        return Index(media_type=self.media_type, manifests=tuple(entries), annotations=self.annotations)

    def build(self, name: str = "image") -> MemorySource:
        """The images in one store, their index under *name*."""
        text = to_json(self.index())
        blobs = {digest: blob for image in self.images for digest, blob in image.contents().items()}
        return MemorySource(
            MemoryStore({**blobs, Digest.of(text): text}, {name: Descriptor.of(text, self.media_type)}), name
        )


def an_image() -> ImageBuilder:
    """An image without layers, for linux/amd64."""
    return ImageBuilder(runs_on=Platform(os="linux", architecture="amd64"))


def an_index(*images: ImageBuilder) -> IndexBuilder:
    """An index of *images*, each entry with its platform."""
    return IndexBuilder(images=images)


def a_machine(kernel: bytes = b"kernel", initrd: bytes = b"initrd", root: bytes = b"root" * 300) -> ImageBuilder:
    """A small machine in ECI's artifacts format."""
    return (
        an_image()
        .layer(KERNEL_TYPE, kernel, role="kernel", title="kernel", annotations={MEDIA_TYPE: KERNEL_TYPE})
        .layer(INITRD_TYPE, initrd, role="initrd", title="initrd", annotations={MEDIA_TYPE: INITRD_TYPE})
        .layer(RAW_TYPE, root, role="disk-root", title="disk-root-root.raw", annotations={MEDIA_TYPE: RAW_TYPE})
    )


def a_container(compression: str = "gzip") -> ImageBuilder:
    """A small machine as a container image: two layers, and labels that say where its parts are."""
    return (
        an_image()
        .tar_layer({"boot/": None, "boot/kernel": b"kernel"}, compression=compression)
        .tar_layer({"boot/initrd": b"initrd", "root.raw": b"root" * 300}, compression=compression)
        .label(LABEL + "kernel", "/boot/kernel")
        .label(LABEL + "initrd", "/boot/initrd")
        .label(LABEL + "root", "/root.raw")
    )


def parts(source: Source) -> tuple[Part, ...]:
    """The parts of the image, by whichever dialect recognises it."""
    from eci_convert import dialects

    return dialects.read(load_image(source))[1].parts


def only_part(source: Source) -> Part:
    """The one part of the image."""
    [part] = parts(source)
    return part


def files_in(directory: Path) -> dict[str, bytes]:
    """Every file below *directory*, by its path there, hidden ones too; of a link, where it leads."""
    return {
        str(path.relative_to(directory)): f"-> {path.readlink()}".encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


def copied(source: Source, sink: Sink) -> Descriptor:
    """Puts the image, all platforms of it, into *sink* byte for byte, and publishes it."""
    with source, sink:
        descriptor = source.resolve()
        _copy_tree(source, sink, descriptor)
        sink.publish(descriptor)
    return descriptor


def _copy_tree(source: Source, sink: Sink, descriptor: Descriptor) -> None:
    found = load_manifest(source, descriptor)
    for child in found.manifests if isinstance(found, Index) else (*found.layers, found.config):
        if isinstance(found, Index):
            _copy_tree(source, sink, child)
        elif not sink.has(child):
            with open_blob(source, child) as chunks:
                sink.put(child.media_type, chunks, digest=child.digest, size=child.size)
    text = load_document(source, descriptor)
    sink.put(descriptor.media_type, (text,), digest=descriptor.digest, size=descriptor.size)
