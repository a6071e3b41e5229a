"""What is in an image, and which of it goes where: the questions that `inspect`, `extract`, `pull` and `pullfiles` ask.

An image is opened once; `inspect` stops at its small documents, `extract` goes on to the blobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from eci_convert import dialects
from eci_convert.dialects import part_names
from eci_convert.errors import EciError, LayoutError, MissingPart, UnknownDialect, UsageError
from eci_convert.files.atomic import named_file
from eci_convert.files.temp_files import resolve
from eci_convert.model import Artifact, Blob, Image, Part, Role, Rootfs, described
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, Index, Manifest, Platform
from eci_convert.oci.platform import candidates
from eci_convert.operations.extract import Extracted, extract
from eci_convert.operations.output_files import Target
from eci_convert.progress import SILENT, Reporter
from eci_convert.reading import blobs
from eci_convert.transports.base import IDENTITY, Source

Output = Path | str | BinaryIO
"""Where a part goes: a file by its path, or anything whose `write` takes bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an image says of itself. *digest* is what the name stands for: an index, where it names one, and in the
    Docker engine the image's id.

    *dialect* is "" and *artifact* empty where no dialect recognises the image; *unknown* then says why.
    """

    reference: str
    digest: Digest
    dialect: str
    platforms: tuple[Platform, ...]
    image: Image
    artifact: Artifact
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
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
    def names_parts(self) -> bool:
        """Whether anything is wanted that only a dialect can find."""
        return bool(self.directory is not None or self.roles or self.disks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken out of an image."""

    inspection: Inspection
    files: tuple[Extracted, ...]


def inspect(source: Source, platform: Platform | None = None, dialect: str = "") -> Inspection:
    """What the image that *source* names says of itself; no blob beyond manifests and configs is read.

    *dialect* reads it as that dialect and no other. Raises what `root` raises.
    """
    descriptor, found = blobs.root(source)
    documents = blobs.Documents(source)
    image = blobs.selected(documents, descriptor, found, platform)
    name, artifact, unknown = _read(image, dialect)
    return Inspection(
        reference=source.origin,
        digest=Digest.parse(descriptor.annotations.get(IDENTITY, str(descriptor.digest))),
        dialect=name,
        platforms=_platforms(found if isinstance(found, Manifest) else blobs.flattened(documents, found), image),
        image=image,
        artifact=artifact,
        unknown=unknown,
    )


def take(
    source: Source,
    order: Order,
    *,
    platform: Platform | None = None,
    dialect: str = "",
    max_size: int | None = None,
    sparse: bool = True,
    digests: bool = False,
    journal: Path | None = None,
    reporter: Reporter = SILENT,
) -> Taken:
    """Writes what *order* wants of the image that *source* names: all of it, or nothing.

    *max_size* (bytes) bounds each part; *sparse* restores holes; *digests* has the digest of every file told. *journal*
    is a directory in which what arrives over a network is kept until all is done.
    Raises MissingPart for a part that the image has not, and what `extract` raises.
    """
    found = inspect(source, platform, dialect)
    targets = plan(found, order)
    for role in sorted(order.optional & order.roles.keys()):
        if found.artifact.part(role) is None:
            reporter.warned(f"{found.reference} has no {role}: {str(order.roles[role])!r} is not written")
    try:
        files = extract(
            source,
            found.image,
            targets,
            reporter=reporter,
            max_size=max_size,
            sparse=sparse,
            digests=digests,
            journal=journal,
        )
    except MissingPart as error:
        if found.dialect != dialects.GUESSED or dialect or not order.names_parts:
            raise
        raise dialects.unknown(found.image) from error
    return Taken(inspection=found, files=files)


def plan(found: Inspection, order: Order) -> tuple[Target, ...]:
    """What is to be written where. Raises MissingPart, UnknownDialect, UsageError, LayoutError."""
    if order.names_parts and not found.dialect:
        raise dialects.unknown(found.image)
    named = [*_chosen(found, order), *_by_path(order)]
    targets = (*named, *_rest(found, order))
    if not targets:
        raise MissingPart(f"{found.reference} has nothing of what was asked for")
    _check_distinct(named, UsageError)
    _check_distinct(targets, LayoutError)
    return targets


def _read(image: Image, dialect: str) -> tuple[str, Artifact, str]:
    try:
        name, artifact = dialects.read_as(dialect, image) if dialect else dialects.read(image)
    except UnknownDialect as error:
        if dialect:
            raise
        return "", Artifact(parts=()), str(error)
    return name, artifact, ""


def _platforms(found: Manifest | Index, image: Image) -> tuple[Platform, ...]:
    if isinstance(found, Manifest):
        return (image.platform,) if image.platform else ()
    return tuple(entry.platform for entry in candidates(found) if entry.platform)


def _chosen(found: Inspection, order: Order) -> list[Target]:
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
        raise MissingPart(f"{found.reference} has no {role}: it has {_has(found)}")
    return part


def _disk(found: Inspection, index: int) -> Part:
    part = found.artifact.part(Role.EXTRA_DISK, index)
    if part is None:
        raise MissingPart(f"{found.reference} has no disk {index}: it has {_has(found)}")
    return part


def _has(found: Inspection) -> str:
    return ", ".join(map(described, found.artifact.parts)) or "no parts"


def _config(blob: Descriptor) -> Part:
    return Part(role=Role.CONFIG, locator=Blob(descriptor=blob), name="config.json")


def _by_path(order: Order) -> list[Target]:
    for path in order.paths:
        if part_names.is_too_long(path):
            raise UsageError(f"a path of {len(path)} characters is longer than any in an image: {path[:80]!r}…")
    return [
        _target(Part(role=Role.OTHER, locator=Rootfs(path=path), name=path.rpartition("/")[2]), output)
        for path, output in order.paths.items()
    ]


def _rest(found: Inspection, order: Order) -> list[Target]:
    if order.directory is None:
        return []
    parts = list(found.artifact.parts)
    if order.config_blob and found.artifact.part(Role.CONFIG) is None:
        parts.append(_config(found.image.manifest.config))
    wanted = [part for part in parts if not order.only or part.role in order.only]
    for role in order.only:
        if not any(part.role is role for part in wanted):
            raise MissingPart(f"{found.reference} has no {role}: it has {_has(found)}")
    chosen = {(target.part.role, target.part.index) for target in _chosen(found, order)}
    return [
        _target(part, Path(order.directory, part.name))
        for part in wanted
        if part.role is Role.OTHER or (part.role, part.index) not in chosen
    ]


def _target(part: Part, output: Output) -> Target:
    if isinstance(output, (str, Path)):
        return Target(part=part, path=named_file(output) if isinstance(output, str) else output)
    return Target(part=part, file=output)


def _check_distinct(targets: Sequence[Target], kind: type[EciError]) -> None:
    seen: set[Path] = set()
    open_files: set[object] = set()
    for target in targets:
        if target.path is None:
            if (file := _identity(target.file)) in open_files:
                raise kind(f"two parts would be written to one open file: {target.part.name!r} is the second")
            open_files.add(file)
            continue
        place = resolve(target.path.parent) / target.path.name
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
