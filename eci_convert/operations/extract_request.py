"""ExtractRequest: the parts to extract, and their output paths.

An image is opened once; `inspect` stops at its small documents, `extract_files` goes on to the blobs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from eci_convert.dialects import part_labels, part_names, unknown_dialect_error
from eci_convert.dialects.part_labels import FILE_PATH
from eci_convert.dialects.part_names import canonical_name
from eci_convert.errors import (
    AmbiguousRoleError,
    EciError,
    FormatError,
    LocalError,
    MissingPartError,
    UnsupportedImageError,
    UsageError,
)
from eci_convert.files.atomic import named_file
from eci_convert.files.temp_files import resolve_path
from eci_convert.model import Artifact, Blob, Member, Memory, Part, Role, RootfsFile, part_label
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.platform import Platform
from eci_convert.operations.inspect import Inspection
from eci_convert.operations.output_files import OutputTarget

PartOutput = Path | str | BinaryIO
"""Where a part goes: a file by its path, or anything whose `write` takes bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRequest:
    """Which parts are wanted, and where.

    With *directory* all parts go there under their own names, but for those that have an output of their own. *disks*
    are by the index that the image gives them. *paths* are files of the image's filesystem by their absolute path; of
    an artifact, layers by their titles. *image_names*: what goes to the directory keeps the names that it has in the
    image.
    *only* narrows the parts that go to the directory. *config_blob*: what goes there is what `eci pull` writes: the
    image's own config where it has no config part, and no file for the kernel command line. *optional* are roles that
    an image may lack as long as it has something else that is wanted: a warning tells it. Of an index, the image for
    *platform* is meant; it is read as *dialect*, or as the one that recognises it. *sparse* restores holes; *digests*
    has the digest of every file told. Without *replace* a file that is there already is an error.
    """

    directory: Path | str | None = None
    roles: Mapping[Role, PartOutput] = field(default_factory=dict)
    disks: Mapping[int, PartOutput] = field(default_factory=dict)
    paths: Mapping[str, PartOutput] = field(default_factory=dict)
    only: tuple[Role, ...] = ()
    image_names: bool = False
    config_blob: bool = False
    optional: frozenset[Role] = frozenset()
    platform: Platform | None = None
    dialect: str = ""
    sparse: bool = True
    digests: bool = False
    replace: bool = True

    @property
    def needs_dialect(self) -> bool:
        """Whether anything is wanted that only a dialect can find."""
        return bool(self.directory is not None or self.roles or self.disks)


def plan_targets(inspection: Inspection, request: ExtractRequest) -> tuple[OutputTarget, ...]:
    """What is to be written where. Raises MissingPartError, UnknownDialectError, UsageError, UnsupportedImageError,
    and LocalError for a file that is there and is not to be replaced."""
    if request.needs_dialect and not inspection.dialect:
        raise unknown_dialect_error(inspection.image)
    named = [*_requested(inspection, request), *_by_path(inspection, request)]
    targets = (*named, *_remaining(inspection, request))
    if not targets:
        raise MissingPartError(f"{inspection.reference} has nothing of what was asked for")
    _check_distinct(named, UsageError)
    _check_distinct(targets, UnsupportedImageError)
    if not request.replace:
        check_absent(targets)
    return targets


def check_absent(targets: Sequence[OutputTarget]) -> None:
    """Raises LocalError where a file is there already that one of *targets* is to be."""
    if existing := [str(target.path) for target in targets if target.path and os.path.lexists(target.path)]:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise LocalError(f"{existing[0]}: file exists{more}, and files are not to be replaced")


def _requested(inspection: Inspection, request: ExtractRequest) -> list[OutputTarget]:
    roles = {
        role: output
        for role, output in request.roles.items()
        if role not in request.optional or inspection.artifact.part(role) or role is Role.CONFIG
    }
    parts = [(_part(inspection, role), output) for role, output in roles.items()]
    parts += [(_disk(inspection, index), output) for index, output in request.disks.items()]
    return [_target(part, output) for part, output in parts]


def _part(inspection: Inspection, role: Role) -> Part:
    part = command_line_part(inspection.artifact) if role is Role.CMDLINE else inspection.artifact.part(role)
    if part is None and role is Role.CONFIG:
        return _config(inspection.image.manifest.config)
    if part is None:
        raise MissingPartError(f"{inspection.reference} has no {role}: it has {_summary_of_parts(inspection)}")
    return part


def _disk(inspection: Inspection, index: int) -> Part:
    part = inspection.artifact.part(Role.EXTRA_DISK, index)
    if part is None:
        raise MissingPartError(f"{inspection.reference} has no disk {index}: it has {_summary_of_parts(inspection)}")
    return part


def _summary_of_parts(inspection: Inspection) -> str:
    parts = [*inspection.artifact.parts, *filter(None, (command_line_part(inspection.artifact),))]
    return ", ".join(map(part_label, parts)) or "no parts"


def command_line_part(artifact: Artifact) -> Part | None:
    """The kernel command line of *artifact* as a file of its own; None where it has none."""
    if artifact.command_line is None:
        return None
    content = artifact.command_line.encode("utf-8", "surrogatepass")
    return Part(role=Role.CMDLINE, locator=Memory(content=content), name=canonical_name(Role.CMDLINE, ""))


def _config(blob: Descriptor) -> Part:
    return Part(role=Role.CONFIG, locator=Blob(descriptor=blob), name="config.json")


def _by_path(inspection: Inspection, request: ExtractRequest) -> list[OutputTarget]:
    for path in request.paths:
        if part_names.is_too_long(path):
            raise UsageError(f"a path of {len(path)} characters is longer than any in an image: {path[:80]!r}…")
    return [
        _target(Part(role=Role.OTHER, locator=_locator(inspection, path), name=path.rpartition("/")[2]), output)
        for path, output in request.paths.items()
    ]


def _locator(inspection: Inspection, path: str) -> Blob | RootfsFile:
    """The layer of an artifact that has *path* for a title, or a digest; else a file of the filesystem."""
    image = inspection.image
    layers = {
        layer.digest: layer
        for layer in (image.manifest.layers if part_labels.is_artifact(image) else ())
        if path in (layer.annotations.get(TITLE), str(layer.digest))
    }
    if len(layers) > 1:
        raise AmbiguousRoleError(f"{inspection.reference} has {len(layers)} layers with the title {path!r}")
    return Blob(descriptor=next(iter(layers.values()))) if layers else RootfsFile(path=path)


def _remaining(inspection: Inspection, request: ExtractRequest) -> list[OutputTarget]:
    if request.directory is None:
        return []
    parts = list(inspection.artifact.parts)
    if (text := command_line_part(inspection.artifact)) and not request.config_blob:
        parts.append(text)
    if request.config_blob and inspection.artifact.part(Role.CONFIG) is None:
        parts.append(_config(inspection.image.manifest.config))
    wanted = [part for part in parts if not request.only or part.role in request.only]
    for role in request.only:
        if not any(part.role is role for part in wanted):
            raise MissingPartError(f"{inspection.reference} has no {role}: it has {_summary_of_parts(inspection)}")
    chosen = {(target.part.role, target.part.index) for target in _requested(inspection, request)}

    def name(part: Part) -> str:
        return file_name_in_image(part, inspection.image) if request.image_names else part.name

    return [
        _target(part, Path(request.directory, name(part)))
        for part in wanted
        if part.role is Role.OTHER or (part.role, part.index) not in chosen
    ]


def file_name_in_image(part: Part, image: ImageMetadata) -> str:
    """The name that the file of *part* has in *image*, without directories; the part's own where it has none there."""
    match part.locator:
        case RootfsFile(path=path) if path.endswith("/"):
            titles = [layer.annotations.get(FILE_PATH, "") for layer in image.manifest.layers]
            names = [title for title in titles if title.rpartition("/")[0].strip("/") == path.strip("/")]
            name = names[0].rpartition("/")[2] if len(names) == 1 else ""
        case RootfsFile(path=path) | Member(path=path):
            name = path.rpartition("/")[2]
        case Blob(descriptor=layer, compression=compression):
            name = layer.annotations.get(TITLE, "").rpartition("/")[2]
            name = name.removesuffix(_SUFFIXES.get(compression, ""))
        case _:
            name = ""
    try:
        return part_names.safe_relative_path(name, "name") if name else part.name
    except FormatError:
        return part.name


_SUFFIXES = {"zstd": ".zst", "gzip": ".gz"}


def _target(part: Part, output: PartOutput) -> OutputTarget:
    if isinstance(output, (str, Path)):
        return OutputTarget(part=part, path=named_file(output) if isinstance(output, str) else output)
    return OutputTarget(part=part, file=output)


def _check_distinct(targets: Sequence[OutputTarget], kind: type[EciError]) -> None:
    seen: set[Path] = set()
    open_files: set[object] = set()
    for target in targets:
        if target.path is None:
            if (file := _identity(target.file)) in open_files:
                raise kind(f"two parts would be written to one open file: {target.part.name!r} is the second")
            open_files.add(file)
            continue
        place = resolve_path(target.path.parent) / target.path.name
        if place in seen:
            raise kind(f"two parts would be written to {str(target.path)!r}")
        seen.add(place)


def _identity(file: object) -> object:
    """A key that is equal for two values that are the same open file: its descriptor, if it has one."""
    try:
        number: object = file.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return ("object", id(file))
    return ("number", number)
