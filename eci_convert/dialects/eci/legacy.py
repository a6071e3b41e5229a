"""Writes ECI's format "legacy": a container image with one layer per part (docs/specs/eci.md#3.3).

Roles are told by annotations of the layers and by labels of the config: Docker and podman's store keep only the
latter. The diff ids are right (the original's are not). The history, which the original leaves out, has an entry a
layer, so that `docker history` says which layer is which part; `WriteOptions.strict` leaves it out too.
"""

from __future__ import annotations

from dataclasses import replace

from eci_convert.dialects.blueprint import Blueprint, Recipe, StoredBlob, TarEntrySpec, WriteOptions
from eci_convert.dialects.containerdisk_layout import ENTRYPOINT, check_containerdisk, disk_entry
from eci_convert.dialects.eci.layer_roles import artifact_of, is_marked
from eci_convert.dialects.eci.media_types import DISKS, MEDIA_TYPE, ROLE, TYPES
from eci_convert.dialects.image_config import container_platform, image_config, merge_labels
from eci_convert.dialects.part_labels import FILE_SIZE, labels_for
from eci_convert.dialects.part_names import checked_name
from eci_convert.errors import UsageError
from eci_convert.model import DISK_ROLES, Artifact, DiskType, Part, Role
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.image import ImageMetadata

CONTAINERDISK = "containerdisk"


def write(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as a legacy image; with the extra dialect "containerdisk", its root disk lies where KubeVirt looks.

    Raises UsageError for names that an image cannot carry and for labels that contradict the parts.
    """
    served = _also(artifact, options)
    sizes = () if options.strict else (FILE_SIZE,)
    entries = {part.name: _entry(part, options, served) for part in artifact.parts}
    own = labels_for(artifact, {name: entry.path for name, entry in entries.items()})
    texts = merge_labels(own, artifact.labels, options.labels)

    def config(written: tuple[StoredBlob, ...]) -> bytes:
        entrypoint = ENTRYPOINT if served else ()
        return image_config(options, texts, written, history=not options.strict, entrypoint=entrypoint)

    return Blueprint(
        recipes=tuple(_recipe(part, entries[part.name], sizes) for part in artifact.parts),
        config=config,
        config_annotations={TITLE: "config.json"},
        annotations=options.annotations,
        platform=container_platform(options.platform),
    )


def _also(artifact: Artifact, options: WriteOptions) -> bool:
    for name in options.extra_dialects:
        if name != CONTAINERDISK:
            raise UsageError(
                f"an image of the format 'legacy' cannot serve {name!r} as well ({CONTAINERDISK!r} it can)"
            )
    if options.extra_dialects:
        check_containerdisk(artifact)
    return bool(options.extra_dialects)


def _entry(part: Part, options: WriteOptions, containerdisk: bool) -> TarEntrySpec:
    name = checked_name(part)
    if containerdisk and part.role is Role.ROOT_DISK:
        return disk_entry(part, options)
    return TarEntrySpec(path=name, mtime=options.created)


def _recipe(part: Part, entry: TarEntrySpec, sizes: tuple[str, ...]) -> Recipe:
    role = "" if part.role in (Role.CONFIG, Role.OTHER) else str(part.role)
    annotations = {ROLE: role, TITLE: entry.path}
    is_disk = part.role in DISK_ROLES
    media_type = (DISKS[part.disk_type] if part.disk_type else "") if is_disk else TYPES[part.role]
    if media_type:
        annotations[MEDIA_TYPE] = media_type

    def retyped(disk_type: DiskType) -> Recipe:
        return _recipe(replace(part, disk_type=disk_type), entry, sizes)

    return Recipe(
        part=part,
        media_type=media_types.OCI_LAYER,
        entry=entry,
        annotations=annotations,
        size_annotations=sizes,
        with_disk_type=None if media_type else retyped,
    )


def read_legacy(image: ImageMetadata) -> Artifact | None:
    """What *image* holds where layers are archives of one file, or None. Raises as `read_artifacts`."""
    return artifact_of(image) if any(is_marked(layer) for layer in image.manifest.layers) else None
