"""The store of onmetal-image and ironcore-image, and their operations on it (docs/specs/ironcore.md#8).

Their texts of errors are kept, for scripts read them. Their defects are not: an image is listed once, short ids name
images, what is not there cannot be deleted, and reading makes no store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from eci_convert.compression.codec import Codec
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.model import Artifact, DiskType, LocalFile, Part, Role
from eci_convert.oci import media_types
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import parse_manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.push import PushRequest, push
from eci_convert.pack.image import Packing, pack_all
from eci_convert.reading.blobs import load_document
from eci_convert.transports.base import CatalogEntry
from eci_convert.transports.ids import is_id_prefix
from eci_convert.transports.layout import kraftkit
from eci_convert.transports.layout.catalog import LayoutCatalog
from eci_convert.transports.layout.directory import LayoutSink, LayoutSource
from eci_convert.transports.layout.index import layout_entries
from eci_convert.transports.layout.selector import ImageSelector
from eci_convert.transports.registry.sink import RegistrySink
from eci_convert.transports.registry.source import RegistrySource
from eci_convert.transports.settings import Settings

_RAW: Final = Codec.parse("none")
_NOT_CANONICAL: Final = "repository name must be canonical"
_DISKS: Final = {"rootfs": DiskType.RAW, "iso": DiskType.ISO}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles:
    """The files of one image, by ironcore's words (`rootfs`, `initramfs`, `kernel`, `squashfs`, `uki`, `iso`)."""

    files: Mapping[str, str]
    command_line: str = ""
    architecture: str = ""


class IroncoreStore:
    """The store in the directory *path*, which is made when something is written."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings

    def entries(self) -> tuple[Descriptor, ...]:
        """What index.json lists, doubled entries too; nothing where there is no store."""
        try:
            return layout_entries(kraftkit.reader(self._path), f"oci:{self._path}")
        except NotFoundError:
            return ()

    def images(self) -> tuple[CatalogEntry, ...]:
        """Each name once, and each image without a name."""
        try:
            return self._catalog().images()
        except NotFoundError:
            return ()

    def resolve(self, text: str) -> Descriptor:
        """What *text* stands for: a name exactly as it was given, with a digest or without; an id, or the first digits
        of one. The descriptor has annotations where it was found by its name. Raises NotFoundError, UsageError."""
        entries = self.entries()
        name, _, digest = text.partition("@")
        named = [entry for entry in entries if entry.annotations.get(REF_NAME) == name]
        if digest:
            named = [entry for entry in named if str(entry.digest) == digest]
        if named:
            return named[0]
        by_id = {entry.digest: entry for entry in entries if is_id_prefix(text, entry.digest)}
        if len(by_id) == 1:
            return replace(next(iter(by_id.values())), annotations={})
        if by_id:
            raise UsageError(f"error getting descriptor for ref {text}: the ids of {len(by_id)} images begin so")
        raise NotFoundError(f"error getting descriptor for ref {text}: not found: no index matching")

    def inspect(self, text: str) -> dict[str, Any]:
        """An image's descriptor, manifest and config; of an index, the index itself."""
        entry = self.resolve(text)
        content = self._read(entry)
        document = json.loads(content)
        if entry.media_type in media_types.INDEXES:
            return dict(document)
        config = json.loads(self._read(parse_manifest(content, entry.media_type).config))  # type: ignore[union-attr]
        kept = {"commandLine": config["commandLine"]} if config.get("commandLine") else {}
        return {"descriptor": entry.json(), "manifest": document, "config": kept}

    def tag(self, source: str, name: str) -> None:
        """Make *name* stand for *source* too."""
        problem = canonical_problem(name)
        if problem:
            raise UsageError(f"destination has to be a named reference: {problem}")
        try:
            entry = self.resolve(source)
        except NotFoundError as error:
            raise NotFoundError(f"error resolving source ref: {error}") from error
        self._catalog().tag(f"@{entry.digest}", [name])

    def delete(self, text: str) -> None:
        """Remove a name, or an image with all its names; and the blobs that nothing refers to any more."""
        entry = self.resolve(text)
        name = entry.annotations.get(REF_NAME)
        self._catalog().delete([name or f"@{entry.digest}"], all_tags=not name)

    def build_onmetal(self, image: ImageFiles, name: str) -> Digest:
        """Store one image, under *name* unless that is empty; the digest of its manifest."""
        artifact = _artifact(image, ("rootfs", "initramfs", "kernel"), required=True)
        problem = canonical_problem(name) if name else ""
        if problem:
            raise UsageError(
                f"error pushing to ref {name}: error tagging image with ref {name}: destination has to be a named "
                f"reference: {problem}"
            )
        with self._sink(name) as sink:
            request = PushRequest(format="onmetal", write=_options(""), codec=_RAW)
            return push(artifact, sink, request).descriptor.digest

    def build_ironcore(self, images: Sequence[ImageFiles], name: str, annotations: Mapping[str, str]) -> Digest:
        """Store an index of *images*, under *name* unless that is empty, and each under *name*-ARCHITECTURE."""
        artifacts = []
        for image in images:
            try:
                artifacts.append(_artifact(image, tuple(image.files), required=False))
            except LocalError as error:
                reason = str(error).removeprefix("error building image: ")
                raise LocalError(f"error building image for arch {image.architecture}: {reason}") from error
        if name and (problem := canonical_problem(name)):
            raise UsageError(f"error tagging image with ref {name}: destination has to be a named reference: {problem}")
        with self._sink(name) as sink:
            packings = [
                Packing(blueprint=writer("ironcore")(artifact, _options(image.architecture, annotations)))
                for image, artifact in zip(images, artifacts, strict=True)
            ]
            if packings:
                return pack_all(packings, sink, codec=_RAW).descriptor.digest
            content = to_json(Index(manifests=(), annotations=annotations))
            index = sink.put(media_types.OCI_INDEX, [content], digest=Digest.of(content), size=len(content))
            sink.publish(index)
            return index.digest

    def push(self, text: str, *, variants: bool) -> tuple[Descriptor, tuple[Descriptor, ...]]:
        """Send *text* to the registry that its name is in; what was sent, and of an index the images that were sent
        under names of their own."""
        try:
            entry = self.resolve(text)
        except NotFoundError as error:
            raise NotFoundError(f"error resolving ref {text}: {error}") from error
        reference = _remote(text, entry.digest)
        children: tuple[Descriptor, ...] = ()
        if entry.media_type in media_types.INDEXES:
            index = parse_manifest(self._read(entry), entry.media_type)
            children = index.manifests if isinstance(index, Index) and variants else ()
        for child in children:
            suffix = f"-{child.platform.architecture}" if child.platform else ""
            tagged = replace(reference, tag=reference.tag + suffix) if reference.tag and suffix else None
            self._send(child, tagged or replace(reference, tag="", digest=child.digest))
        self._send(entry, reference)
        return entry, children

    def pull(self, text: str) -> Digest:
        """Fetch an image from its registry and store it under *text*; of an index of one image, that image."""
        reference = Reference.parse(text)
        prefix = f"error pulling ref {text}: error resolving ref {text}"
        if not _is_tagged(text) and not reference.digest:
            raise UsageError(f"{prefix}: error resolving {text}: object required")
        with RegistrySource(reference, self._settings) as source, self._sink(text.partition("@")[0]) as sink:
            try:
                entry = source.resolve()
            except NotFoundError as error:
                raise NotFoundError(f"{prefix}: error resolving {text}: {text}: not found") from error
            document = parse_manifest(load_document(source, entry), entry.media_type)
            if isinstance(document, Index):
                if len(document.manifests) != 1:
                    raise UsageError(f"{prefix}: no matching platform found in index: platform not found <nil>")
                only = replace(reference, tag="", digest=document.manifests[0].digest)
                with RegistrySource(only, self._settings) as image:
                    return copy(image, sink).descriptor.digest
            return copy(source, sink).descriptor.digest

    def _send(self, entry: Descriptor, reference: Reference) -> None:
        source = LayoutSource(self._path, ImageSelector(digest=entry.digest))
        with source, RegistrySink(reference, self._settings) as sink:
            copy(source, sink, CopyRequest(all_platforms=entry.media_type in media_types.INDEXES))

    def _read(self, entry: Descriptor) -> bytes:
        return load_document(LayoutSource(self._path, ImageSelector()), replace(entry, data=None))

    def _catalog(self) -> LayoutCatalog:
        return LayoutCatalog(self._path, ImageSelector(), self._settings)

    def _sink(self, name: str) -> LayoutSink:
        return LayoutSink(self._path, ImageSelector.parse(name).writable(), Settings(timeout=self._settings.timeout))


def canonical_problem(text: str) -> str:
    """Why *text* is no name with its registry, in the originals' words; "" if it is one."""
    try:
        Reference.parse(text)
    except UsageError:
        return "invalid reference format"
    first, slash, _ = text.partition("/")
    return "" if slash and (re.search("[.:A-Z]", first) or first == "localhost") else _NOT_CANONICAL


def split_canonical(text: str) -> tuple[str, str]:
    """Repository and tag of a name, as the originals list it: both are "" where it is no name with its registry."""
    if not text or canonical_problem(text):
        return "", ""
    reference = Reference.parse(text)
    return reference.name, reference.tag if _is_tagged(text) else ""


def _is_tagged(text: str) -> bool:
    return ":" in text.partition("@")[0].rpartition("/")[2]


def _remote(text: str, digest: Digest) -> Reference:
    """The name in a registry of what is stored as *text*; one without a tag is sent by its digest alone."""
    if problem := canonical_problem(text):
        raise UsageError(f"error pushing {text}: {problem}")
    reference = Reference.parse(text)
    return replace(reference, digest=None) if _is_tagged(text) else replace(reference, tag="", digest=digest)


def _options(architecture: str, annotations: Mapping[str, str] | None = None) -> WriteOptions:
    return WriteOptions(
        platform=Platform(os="linux", architecture=architecture or "amd64"), annotations=dict(annotations or {})
    )


def _artifact(image: ImageFiles, words: Sequence[str], *, required: bool) -> Artifact:
    parts = [
        _part(word, _opened(image.files.get(word, "")), image) for word in words if required or word in image.files
    ]
    return Artifact(parts=tuple(parts), command_line=image.command_line or None)


def _opened(text: str) -> Path:
    """The file *text*. Raises LocalError in the originals' words."""
    try:
        with open(text, "rb"):
            return Path(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LocalError(f"error building image: error opening file: open {text}: {reason}") from error


def _part(word: str, path: Path, image: ImageFiles) -> Part:
    locator = LocalFile(path=path)
    match word:
        case "kernel":
            return Part(role=Role.KERNEL, locator=locator, name="kernel")
        case "initramfs":
            return Part(role=Role.INITRD, locator=locator, name="initrd")
        case "iso" if "rootfs" in image.files:
            return Part(role=Role.EXTRA_DISK, locator=locator, name="disk-0-iso", disk_type=DiskType.ISO, index=0)
        case "rootfs" | "iso":
            return Part(role=Role.ROOT_DISK, locator=locator, name=f"disk-root-{word}", disk_type=_DISKS[word])
        case _:
            return Part(role=Role.OTHER, locator=locator, name=word)
