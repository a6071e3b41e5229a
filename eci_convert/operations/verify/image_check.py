"""Checks one image: its documents, its layers, the declared types of its disks, and files beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from eci_convert import dialects, model
from eci_convert.dialects import part_labels, part_names, read_with
from eci_convert.dialects.part_labels import part_for_label
from eci_convert.disks.declared import check_type
from eci_convert.errors import (
    DigestMismatchError,
    EciError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    LocalError,
    NotFoundError,
    SizeMismatchError,
    UnknownDialectError,
    UnsupportedImageError,
)
from eci_convert.files.safe_open import read_chunks
from eci_convert.model import Artifact, Blob, Member, Part, RootfsFile
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.operations.verify.layer_check import BLOB_ERRORS, LayerCheck, Observation, Repeats
from eci_convert.operations.verify.report import Problem, Report
from eci_convert.options import TransferOptions
from eci_convert.progress import Reporter, planned
from eci_convert.reading.images import Documents, flatten_index, load_root, right_sized, select_image
from eci_convert.reading.layer_walk import is_filesystem
from eci_convert.rootfs import components
from eci_convert.transports.base import Source, with_all_blobs

_DEFAULTS = TransferOptions()
_NO_MACHINE = "no dialect recognises the image, so only its blobs were checked"


def verify_image(
    source: Source,
    *,
    platform: Platform | None = None,
    dialect: str = "",
    directory: Path | None = None,
    options: TransferOptions = _DEFAULTS,
) -> Report:
    """Whether the image that *source* names is what it claims to be; of several, all of them, or that for *platform*.

    Every blob is held against its digest, every layer against its diff id, every label against a file that is there,
    every declared type of a disk against its bytes; a disk that refers to files beside it is wrong. With *directory*,
    the files there under the parts' names are held against the image's. A part larger than *options* allow is wrong.

    Raises what keeps it from looking: TransportError, and the errors of manifests and configs. What is wrong with the
    rest is in the report.
    """
    source = with_all_blobs(source)
    descriptor, document = load_root(source)
    images = blobs = size = 0
    problems = list(_version(descriptor, document)) if isinstance(document, Index) else []
    notes: dict[str, None] = {}
    seen = Repeats(source.origin)
    with planned(options.reporter):
        for image in _images(source, descriptor, document, None if platform or directory else document, platform):
            problems += _sizes(document, image)
            look = _ImageCheck(source, image, dialect, options.reporter, seen)
            look.run(directory, options.max_size)
            images, blobs = images + 1, blobs + len({layer.digest for layer in image.manifest.layers}) + 1
            size += look.layers.size
            problems += look.findings
            notes |= dict.fromkeys(look.notes)
    return Report(
        reference=source.origin,
        digest=descriptor.digest,
        images=images,
        blobs=blobs,
        size=size,
        problems=tuple(problems),
        notes=tuple(notes),
        diff_ids=seen.diff_ids,
    )


def _images(
    source: Source, descriptor: Descriptor, document: Manifest | Index, every: Manifest | Index | None,
    platform: Platform | None,
) -> Iterator[ImageMetadata]:  # fmt: skip
    """The images to look at, one after the other: all that *every* lists, if it is an index, else the chosen one."""
    documents = Documents(source)
    if not isinstance(every, Index):
        yield select_image(documents, descriptor, document, platform)
        return
    entries = {entry.digest: entry for entry in candidates(flatten_index(documents, every, bundle=True))}
    for listed in entries.values():  # a manifest may be listed for two platforms
        entry = right_sized(source, listed)
        yield select_image(documents, entry, documents.manifest(entry), None)


class _ImageCheck:
    """One image, looked at."""

    def __init__(self, source: Source, image: ImageMetadata, dialect: str, reporter: Reporter, seen: Repeats) -> None:
        self.image = image
        self.findings: list[Problem] = []
        self.notes: list[str] = []
        self._artifact = self._read(dialect)
        self._labels = {key: path for key, path in _labels(image) if not self._refuse_label(key, path)}
        locators = [part.locator for part in self._artifact.parts]
        paths = [place.path for place in locators if isinstance(place, RootfsFile)]
        files = [place for place in locators if isinstance(place, Blob | Member)]
        self.layers = LayerCheck(source, image, [*paths, *self._labels.values()], files, reporter, seen)

    def run(self, directory: Path | None, max_size: int | None) -> None:
        self.findings += _version(self.image.descriptor, self.image.manifest)
        self.layers.read()
        self.findings += self.layers.findings
        self.findings += _diff_ids(self.image, self.layers.diff_ids)
        self.notes += _odd_diff_ids(self.image)
        self.findings += self._missing_labels()
        for part in self._artifact.parts:
            try:
                seen = self._observation(part)
            except (*BLOB_ERRORS, UnsupportedImageError) as error:
                self._add(part.name, error)
                continue
            if seen:
                self._check_part(part, seen)
            if seen and max_size is not None and seen.size > max_size:
                self._add(part.name, LimitExceededError(f"{part.name!r} is larger than the limit of {max_size} bytes"))
            if seen and directory:
                self._check_file(directory / part.name, seen)

    def _read(self, dialect: str) -> Artifact:
        try:
            return (read_with(dialect, self.image) if dialect else dialects.read(self.image))[1]
        except UnknownDialectError:
            self.notes.append(_NO_MACHINE)
        except (FormatError, UnsupportedImageError) as error:
            self._add("the machine", error)
        return Artifact(parts=())

    def _refuse_label(self, key: str, path: str) -> bool:
        """Whether *path* is too long to be looked for, which is wrong."""
        if part_names.is_too_long(path):
            self._add(f"label {key}", LimitExceededError(f"a path of {len(path)} characters: {path[:80]!r}…"))
        return part_names.is_too_long(path)

    def _add(self, subject: str, error: EciError) -> None:
        self.findings.append(Problem(subject=subject, error=error))

    def _observation(self, part: Part) -> Observation | None:
        """What *part* is; None if that cannot be known, for a reason that is reported elsewhere."""
        match part.locator:
            case Blob(descriptor=blob, compression=compression):
                return self.layers.blobs.get((blob.digest, compression))
            case Member() as member:
                return None if member.descriptor.digest in self.layers.broken else self.layers.member(member)
            case RootfsFile(path=path):
                if path in self.layers.failed and path not in self._labels.values():
                    raise self.layers.failed[path]
                return self.layers.files.get(path)
            case _:
                return None

    def _missing_labels(self) -> Iterator[Problem]:
        """Labels that lead to nothing. Those of an image without a filesystem name the titles of its layers."""
        titles = {layer.annotations.get(TITLE, "") for layer in self.image.manifest.layers}
        for key, path in self._labels.items():
            if path in self.layers.failed and "/".join(components(path)) not in titles:
                yield Problem(subject=f"label {key}", error=self.layers.failed[path])

    def _check_part(self, part: Part, seen: Observation) -> None:
        if part.role not in model.DISK_ROLES:
            return
        try:
            check_type(part.disk_type, seen.disk_type, repr(part.name))
        except UnsupportedImageError as error:
            self._add(part.name, error)
        if seen.foreign_reference:
            self._add(part.name, FormatError(f"{part.name!r} refers to {seen.foreign_reference}, outside of itself"))

    def _check_file(self, path: Path, seen: Observation) -> None:
        try:
            _compare(path, seen)
        except (IntegrityError, NotFoundError) as error:
            self._add(str(path), error)


def _compare(path: Path, seen: Observation) -> None:
    """Raises SizeMismatchError or DigestMismatchError unless the file at *path* is what was *seen*, NotFoundError,
    LocalError."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(path)!r}") from error
    except OSError as error:
        raise LocalError(f"{str(path)!r}: {error.strerror or error}") from error
    if size != seen.size:
        raise SizeMismatchError(seen.size, size, repr(str(path)))
    hasher = hashlib.sha256()
    for chunk in read_chunks(path):
        hasher.update(chunk)
    if hasher.hexdigest() != seen.digest.hex:
        raise DigestMismatchError(seen.digest, f"sha256:{hasher.hexdigest()}", repr(str(path)))


def _version(descriptor: Descriptor, document: Manifest | Index) -> Iterator[Problem]:
    """A schemaVersion that registries refuse (image-spec v1.1.1, manifest.md: it must be 2)."""
    if document.schema_version != 2:
        what = "index" if isinstance(document, Index) else "manifest"
        error = FormatError(f"{document.schema_version} is not 2", where=f"{what}.schemaVersion")
        yield Problem(subject=f"{what} {descriptor.digest.short}", error=error)


def _sizes(document: Manifest | Index, image: ImageMetadata) -> Iterator[Problem]:
    """A wrong size in an index, such as KraftKit's: readers that trust it cannot read the image."""
    listed = {entry.digest: entry.size for entry in document.manifests} if isinstance(document, Index) else {}
    descriptor = image.descriptor
    size = listed.get(descriptor.digest, descriptor.size)
    if size != descriptor.size:
        what = f"manifest {descriptor.digest.short}"
        yield Problem(subject=what, error=SizeMismatchError(size, descriptor.size, what))


def _labels(image: ImageMetadata) -> Iterator[tuple[str, str]]:
    for texts in (image.manifest.annotations, image.config.labels):
        for key, value in texts.items():
            if value and part_for_label(key):
                yield key, value


def _diff_ids(image: ImageMetadata, right: Mapping[Digest, Digest]) -> Iterator[Problem]:
    """Diff ids that are not those of the layers (image-spec v1.1.1, config.md). Of what is no layer there is none."""
    layers, promised = image.manifest.layers, image.config.diff_ids
    if image.manifest.config.media_type not in media_types.CONFIGS or not any(map(is_filesystem, layers)):
        return
    if not promised and part_labels.is_file_artifact(image):
        return
    if len(layers) != len(promised):
        error = IntegrityError(f"the config has {len(promised)} diff ids for {len(layers)} layers")
        yield Problem(subject="the config", error=error)
    for layer, diff_id in zip(layers, promised, strict=False):
        if layer.digest in right and right[layer.digest] != diff_id:
            error = DigestMismatchError(diff_id, right[layer.digest], f"layer {layer.digest.short}, uncompressed")
            yield Problem(subject=f"layer {layer.digest.short}", error=error)


def _odd_diff_ids(image: ImageMetadata) -> Iterator[str]:
    layers, promised = image.manifest.layers, image.config.diff_ids
    if promised and not any(map(is_filesystem, layers)) and promised != tuple(layer.digest for layer in layers):
        yield "the config has diff ids that are no blob's; nobody uses them, for the image has no filesystem"
