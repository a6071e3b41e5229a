"""How a machine is put into an image. One row of READERS or WRITERS is one dialect; the rest of the program reads the
tables.

A reader answers one question, which blob and which path in it has which role, from an image's small documents alone.
A writer says what is to be written. Neither does I/O, and none knows another.

eci/               lf-edge/edge-containers: artifacts, legacy images, and any container image with ECI's labels
oci_artifacts/     formats whose parts are blobs: ironcore (and onmetal), kubevirt
container_images/  formats whose parts are files in a container image: containerdisk, unikraft
index_sizes.py     sizes that an index lies about
blueprint.py       Blueprint, Recipe: what a writer wants written
part_names.py      canonical names of parts, safe paths
part_labels.py     the labels and annotations that name files as parts
image_config.py    configs of container images
containerdisk_layout.py  where a containerDisk has its disk, whichever format it is
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from eci_convert.dialects import part_labels, part_names
from eci_convert.errors import FormatError, UnknownDialectError, UnsupportedImageError, UsageError

if TYPE_CHECKING:
    from eci_convert.dialects.blueprint import Blueprint, WriteOptions
    from eci_convert.model import Artifact
    from eci_convert.oci.image import Image

if TYPE_CHECKING:
    Reader = Callable[[Image], Artifact | None]
    Writer = Callable[[Artifact, WriteOptions], Blueprint]


def _reader(module: str, name: str = "read") -> Reader:
    """The reader *name* of *module* here, which is imported when an image is to be read: most words need none."""
    return lambda image: cast("Reader", _found(module, name))(image)


def _writer(module: str, name: str = "write") -> Writer:
    """The same for a writer."""
    return lambda artifact, terms: cast("Writer", _found(module, name))(artifact, terms)


def _found(module: str, name: str) -> object:
    return getattr(import_module(f"{__name__}.{module}"), name)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "eci-artifacts": _reader("eci.artifacts", "read_artifacts"),
        "eci-legacy": _reader("eci.legacy", "read_legacy"),
        "ironcore": _reader("oci_artifacts.ironcore"),
        "unikraft": _reader("container_images.unikraft"),
        "kubevirt": _reader("oci_artifacts.kubevirt"),
        "labels": _reader("eci.labels"),
        "containerdisk": _reader("container_images.containerdisk"),
    }
)
"""In the order in which they are asked."""

_RECOGNISERS: Mapping[str, Reader] = MappingProxyType(
    {**READERS, "containerdisk": _reader("container_images.containerdisk", "recognise")}
)
"""The same for images of which nobody says what they are: any container image may have a disk in /disk, so that one
is taken for a containerDisk only where its manifest or config says so. No dialect is ever a guess."""

WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "artifacts": _writer("eci.artifacts"),
        "legacy": _writer("eci.legacy"),
        "ironcore": _writer("oci_artifacts.ironcore"),
        "onmetal": _writer("oci_artifacts.ironcore", "write_onmetal"),
        "unikraft": _writer("container_images.unikraft"),
        "containerdisk": _writer("container_images.containerdisk"),
        "kubevirt": _writer("oci_artifacts.kubevirt"),
    }
)


READ_AS: Mapping[str, str] = MappingProxyType(
    {"artifacts": "eci-artifacts", "legacy": "eci-legacy", "onmetal": "ironcore"}
)
"""What an image of a format is read as, where the two have different names."""


IGNORED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "artifacts": frozenset({"compression"}),
        "legacy": frozenset(),
        "ironcore": frozenset({"author", "labels", "compression"}),
        "onmetal": frozenset({"author", "labels", "annotations", "platform", "compression"}),
        "unikraft": frozenset({"author", "compression"}),
        "containerdisk": frozenset(),
        "kubevirt": frozenset({"author", "labels", "compression"}),
    }
)
"""What an image of each format has no room for, among what a writer may be told."""


INDEXED = frozenset({"ironcore", "unikraft", "kubevirt"})
"""Formats whose images are always in an index, which gets the annotations too."""


def read(image: Image) -> tuple[str, Artifact]:
    """The dialect of *image*, and what it holds. Raises UnknownDialectError, and what the dialect's reader raises."""
    for name, reader in _RECOGNISERS.items():
        if artifact := reader(image):
            part_names.check_distinct(artifact.parts)
            return name, artifact
    raise unknown_dialect_error(image)


def served_dialects(image: Image) -> tuple[str, ...]:
    """Every dialect that reads *image* as one of its own, in the order in which they are asked.

    One whose marks *image* has, but which finds it malformed, is not among them.
    """
    served = []
    for name, reader in _RECOGNISERS.items():
        with suppress(FormatError, UnsupportedImageError):
            if (artifact := reader(image)) and artifact.parts:
                part_names.check_distinct(artifact.parts)
                served.append(name)
    return tuple(served)


def unknown_dialect_error(image: Image) -> UnknownDialectError:
    """The error for an *image* that declares no parts, with hints at what can be tried."""
    if any(layer.media_type.endswith("+encrypted") for layer in image.manifest.layers):
        return UnknownDialectError("the image is encrypted, and its parts cannot be read here")
    error = UnknownDialectError("the image declares no parts: no media type, annotation or label names any")
    for hint in untried(image):
        error.add_note(f"hint: {hint}")
    return error


def untried(image: Image) -> tuple[str, ...]:
    """What can be tried with an *image* that declares no parts, one sentence each."""
    from eci_convert.dialects.container_images import containerdisk

    if part_labels.is_file_artifact(image) or not containerdisk.read(image):
        return ("take a file out of it with --path TITLE=FILE",)
    return (
        "take any file out of it by its path with --path IMAGEPATH=FILE",
        "if it is a KubeVirt containerDisk, --dialect containerdisk looks for the disk in /disk",
    )


def read_with(name: str, image: Image) -> tuple[str, Artifact]:
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
