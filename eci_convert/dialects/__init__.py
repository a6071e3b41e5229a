"""Formats of machine images. One row of DIALECTS is one dialect; the rest of the program reads that table.
To add one: docs/contributing/add-a-dialect.md.

A reader determines the role of each blob and path, from the manifest and config of an image alone. A writer makes a
Blueprint. Neither does I/O, and no dialect depends on another.

eci/               lf-edge/edge-containers: artifacts, legacy images, and any container image with ECI's labels
oci_artifacts/     formats whose parts are blobs: ironcore (and onmetal), kubevirt
container_images/  formats whose parts are files in a container image: containerdisk, unikraft
index_sizes.py     wrong sizes in indexes
blueprint.py       Blueprint, Recipe: the image that a writer describes
part_names.py      canonical names of parts, safe paths
part_labels.py     the labels and annotations that name files as parts
image_config.py    configs of container images
containerdisk_layout.py  the path and mode of the disk in a containerDisk
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from eci_convert.dialects import part_labels, part_names
from eci_convert.errors import FormatError, UnknownDialectError, UnsupportedImageError, UsageError

if TYPE_CHECKING:
    from eci_convert.dialects.blueprint import Blueprint, WriteOptions
    from eci_convert.model import Artifact
    from eci_convert.oci.image import ImageMetadata

if TYPE_CHECKING:
    Reader = Callable[[ImageMetadata], Artifact | None]
    Writer = Callable[[Artifact, WriteOptions], Blueprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format that can be written: *function* of the dialect's module is its writer.

    *ignores* are the fields of `WriteOptions`, and "compression", for which its images have no room. *indexed*: they
    are always in an index, which gets the annotations too. *tar_layers*: parts become members of tar archives, where
    the size of a file is written before its bytes: one that comes through a pipe is spooled for it.
    """

    name: str
    function: str = "write"
    ignores: frozenset[str] = frozenset()
    indexed: bool = False
    tar_layers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One dialect: *function* of *module*, which is imported when it is needed, is its reader.

    *what* says whose images these are, for README. *recogniser* is the function for images of which nobody says what
    they are, if it is more careful than the reader. *formats* are what can be written and is read as this dialect.
    """

    name: str
    module: str
    what: str
    function: str = "read"
    recogniser: str = ""
    formats: tuple[Format, ...] = ()


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="eci-artifacts",
        module="eci.artifacts",
        what="ECI, `artifacts`",
        function="read_artifacts",
        formats=(Format(name="artifacts", ignores=frozenset({"compression"})),),
    ),
    Dialect(
        name="eci-legacy",
        module="eci.legacy",
        what="ECI, `legacy`",
        function="read_legacy",
        formats=(Format(name="legacy", tar_layers=True),),
    ),
    Dialect(
        name="ironcore",
        module="oci_artifacts.ironcore",
        what="ironcore-image",
        formats=(
            Format(name="ironcore", ignores=frozenset({"author", "labels", "compression"}), indexed=True),
            Format(
                name="onmetal",
                function="write_onmetal",
                ignores=frozenset({"author", "labels", "annotations", "platform", "compression"}),
            ),
        ),
    ),
    Dialect(
        name="unikraft",
        module="container_images.unikraft",
        what="KraftKit",
        formats=(Format(name="unikraft", ignores=frozenset({"author", "compression"}), indexed=True, tar_layers=True),),
    ),
    Dialect(
        name="kubevirt",
        module="oci_artifacts.kubevirt",
        what="KubeVirt's virtual machines",
        formats=(Format(name="kubevirt", ignores=frozenset({"author", "labels", "compression"}), indexed=True),),
    ),
    Dialect(
        name="labels",
        module="eci.labels",
        what="any container image with `org.lfedge.eci.artifact.*` labels or annotations",
    ),
    Dialect(
        name="containerdisk",
        module="container_images.containerdisk",
        what="KubeVirt's containerDisk",
        recogniser="recognise",
        formats=(Format(name="containerdisk", tar_layers=True),),
    ),
)
"""In the order in which they are asked. Any container image may have a disk in /disk, so that one is taken for a
containerDisk only where its manifest or config says so. No dialect is ever a guess."""


def _reader(module: str, name: str) -> Reader:
    """The reader *name* of *module* here, which is imported when an image is to be read: most commands need none."""
    return lambda image: cast("Reader", _function(module, name))(image)


def _writer(module: str, name: str) -> Writer:
    """The same for a writer."""
    return lambda artifact, options: cast("Writer", _function(module, name))(artifact, options)


def _function(module: str, name: str) -> object:
    return getattr(import_module(f"{__name__}.{module}"), name)


READERS: Mapping[str, Reader] = MappingProxyType(
    {dialect.name: _reader(dialect.module, dialect.function) for dialect in DIALECTS}
)
"""In the order of DIALECTS."""

_RECOGNISERS: Mapping[str, Reader] = MappingProxyType(
    {dialect.name: _reader(dialect.module, dialect.recogniser or dialect.function) for dialect in DIALECTS}
)

_FORMATS = tuple((dialect, written) for dialect in DIALECTS for written in dialect.formats)

WRITERS: Mapping[str, Writer] = MappingProxyType(
    {written.name: _writer(dialect.module, written.function) for dialect, written in _FORMATS}
)

READ_AS: Mapping[str, str] = MappingProxyType({written.name: dialect.name for dialect, written in _FORMATS})
"""The dialect as which an image of a format is read."""

IGNORED: Mapping[str, frozenset[str]] = MappingProxyType({written.name: written.ignores for _, written in _FORMATS})
"""What an image of each format has no room for, among what a writer may be told."""

INDEXED = frozenset(written.name for _, written in _FORMATS if written.indexed)
"""Formats whose images are always in an index."""

TAR_LAYERS = frozenset(written.name for _, written in _FORMATS if written.tar_layers)
"""Formats that need to know a part's size before its bytes."""


def read(image: ImageMetadata) -> tuple[str, Artifact]:
    """The dialect of *image*, and what it holds. Raises UnknownDialectError, and what the dialect's reader raises."""
    for name, reader in _RECOGNISERS.items():
        if artifact := reader(image):
            part_names.check_distinct(artifact.parts)
            return name, artifact
    raise unknown_dialect_error(image)


def served_dialects(image: ImageMetadata) -> tuple[str, ...]:
    """Every dialect that recognises *image*, in order of precedence.

    One whose marks *image* has, but which finds it malformed, is not among them.
    """
    served = []
    for name, reader in _RECOGNISERS.items():
        with suppress(FormatError, UnsupportedImageError):
            if (artifact := reader(image)) and artifact.parts:
                part_names.check_distinct(artifact.parts)
                served.append(name)
    return tuple(served)


def unknown_dialect_error(image: ImageMetadata) -> UnknownDialectError:
    """The error for an *image* that declares no parts, with hints at what can be tried."""
    if any(layer.media_type.endswith("+encrypted") for layer in image.manifest.layers):
        return UnknownDialectError("the image is encrypted, and its parts cannot be read here")
    error = UnknownDialectError("the image declares no parts: no media type, annotation or label names any")
    for hint in untried(image):
        error.add_note(f"hint: {hint}")
    return error


def untried(image: ImageMetadata) -> tuple[str, ...]:
    """What can be tried with an *image* that declares no parts, one sentence each."""
    from eci_convert.dialects.container_images import containerdisk

    if part_labels.is_file_artifact(image) or not containerdisk.read(image):
        return ("take a file out of it with --path TITLE=FILE",)
    return (
        "take any file out of it by its path with --path IMAGEPATH=FILE",
        "if it is a KubeVirt containerDisk, --dialect containerdisk looks for the disk in /disk",
    )


def read_with(name: str, image: ImageMetadata) -> tuple[str, Artifact]:
    """What *image* holds if it is of the dialect *name*. Raises UsageError for a name that is none, UnknownDialectError
    where it is not of that dialect, and what the dialect's reader raises."""
    if name not in READERS:
        raise UsageError(f"{name!r} is no dialect that can be read: {', '.join(READERS)}")
    artifact = READERS[name](image)
    if not artifact:
        raise UnknownDialectError(f"the image is not of the dialect {name!r}")
    part_names.check_distinct(artifact.parts)
    return name, artifact


def writer(name: str) -> Writer:
    """The writer of the dialect *name*. Raises UsageError."""
    if name not in WRITERS:
        raise UsageError(f"{name!r} is no format that can be written: {', '.join(WRITERS)}")
    return WRITERS[name]
