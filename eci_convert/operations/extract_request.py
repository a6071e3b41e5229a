"""What is in an image, and which of it goes where: the questions that `inspect`, `extract_files`, `pull` and `pullfiles` ask.

An image is opened once; `inspect` stops at its small documents, `extract_files` goes on to the blobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from eci_convert.dialects import part_names, unknown_dialect_error
from eci_convert.errors import EciError, MissingPartError, UnsupportedImageError, UsageError
from eci_convert.files.atomic import named_file
from eci_convert.files.temp_files import resolve_path
from eci_convert.model import Blob, Part, Role, RootfsFile, part_label
from eci_convert.oci.descriptor import Descriptor
from eci_convert.operations.inspect import Inspection
from eci_convert.operations.output_files import OutputTarget

Output = Path | str | BinaryIO
"""Where a part goes: a file by its path, or anything whose `write` takes bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRequest:
    """Which parts are wanted, and where.

    With *directory* all parts go there under their own names, but for those that have an output of their own. *disks*
    are by the index that the image gives them. *paths* are files of the image's filesystem by their absolute path.
    *only* narrows the parts that go to the directory. *config_blob*: an image without a config part gives its own
    config, as `eci pull` does. *optional* are roles that an image may lack as long as it has something else that is
    wanted: a warning tells it.
    """

    directory: Path | str | None = None
    roles: Mapping[Role, Output] = field(default_factory=dict)
    disks: Mapping[int, Output] = field(default_factory=dict)
    paths: Mapping[str, Output] = field(default_factory=dict)
    only: tuple[Role, ...] = ()
    config_blob: bool = False
    optional: frozenset[Role] = frozenset()

    @property
    def needs_dialect(self) -> bool:
        """Whether anything is wanted that only a dialect can find."""
        return bool(self.directory is not None or self.roles or self.disks)


def plan_targets(found: Inspection, order: ExtractRequest) -> tuple[OutputTarget, ...]:
    """What is to be written where. Raises MissingPart, UnknownDialect, UsageError, LayoutError."""
    if order.needs_dialect and not found.dialect:
        raise unknown_dialect_error(found.image)
    named = [*_requested(found, order), *_by_path(order)]
    targets = (*named, *_remaining(found, order))
    if not targets:
        raise MissingPartError(f"{found.reference} has nothing of what was asked for")
    _check_distinct(named, UsageError)
    _check_distinct(targets, UnsupportedImageError)
    return targets


def _requested(found: Inspection, order: ExtractRequest) -> list[OutputTarget]:
    roles = {
        role: output
        for role, output in order.roles.items()
        if role not in order.optional or found.artifact.part(role) or role is Role.CONFIG
    }
    parts = [(_part(found, role), output) for role, output in roles.items()]
    parts += [(_disk(found, index), output) for index, output in order.disks.items()]
    return [_target(part, output) for part, output in parts]


def _part(found: Inspection, role: Role) -> Part:
    part = found.artifact.part(role)
    if part is None and role is Role.CONFIG:
        return _config(found.image.manifest.config)
    if part is None:
        raise MissingPartError(f"{found.reference} has no {role}: it has {_summary_of_parts(found)}")
    return part


def _disk(found: Inspection, index: int) -> Part:
    part = found.artifact.part(Role.EXTRA_DISK, index)
    if part is None:
        raise MissingPartError(f"{found.reference} has no disk {index}: it has {_summary_of_parts(found)}")
    return part


def _summary_of_parts(found: Inspection) -> str:
    return ", ".join(map(part_label, found.artifact.parts)) or "no parts"


def _config(blob: Descriptor) -> Part:
    return Part(role=Role.CONFIG, locator=Blob(descriptor=blob), name="config.json")


def _by_path(order: ExtractRequest) -> list[OutputTarget]:
    for path in order.paths:
        if part_names.is_too_long(path):
            raise UsageError(f"a path of {len(path)} characters is longer than any in an image: {path[:80]!r}…")
    return [
        _target(Part(role=Role.OTHER, locator=RootfsFile(path=path), name=path.rpartition("/")[2]), output)
        for path, output in order.paths.items()
    ]


def _remaining(found: Inspection, order: ExtractRequest) -> list[OutputTarget]:
    if order.directory is None:
        return []
    parts = list(found.artifact.parts)
    if order.config_blob and found.artifact.part(Role.CONFIG) is None:
        parts.append(_config(found.image.manifest.config))
    wanted = [part for part in parts if not order.only or part.role in order.only]
    for role in order.only:
        if not any(part.role is role for part in wanted):
            raise MissingPartError(f"{found.reference} has no {role}: it has {_summary_of_parts(found)}")
    chosen = {(target.part.role, target.part.index) for target in _requested(found, order)}
    return [
        _target(part, Path(order.directory, part.name))
        for part in wanted
        if part.role is Role.OTHER or (part.role, part.index) not in chosen
    ]


def _target(part: Part, output: Output) -> OutputTarget:
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
    """What two values that are the same open file have in common: its number, where the system knows it."""
    try:
        number: object = file.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return ("object", id(file))
    return ("number", number)
