"""Writes ECI's format "artifacts": a layer's blob is the file, and its media type says which
(docs/specs/eci.md#3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eci_convert.dialects.blueprint import Blueprint, Recipe, StoredBlob, WriteOptions
from eci_convert.dialects.eci.layer_roles import artifact_of, is_artifact_layer
from eci_convert.dialects.eci.media_types import CONFIG_TYPE, DISKS, MEDIA_TYPE, ROLE, TYPES
from eci_convert.dialects.image_config import container_platform, image_config, merge_labels
from eci_convert.dialects.part_labels import labels_for, part_for_label
from eci_convert.dialects.part_names import checked_name
from eci_convert.model import DISK_ROLES, Artifact, DiskType, Part, Role
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.image import ImageMetadata

ARTIFACT_TYPE = "application/vnd.lfedge.eci.v1+json"
"""What ECI calls a manifest of its own, though its code never writes it; with `WriteOptions.strict`, neither do we."""


def write(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as ECI artifacts. A config of the user's takes the place of the generated one, whose labels then
    become annotations of the manifest. Raises UsageError for names that an image cannot carry."""
    options.check_no_extra_dialects("artifacts")
    parts = tuple(part for part in artifact.parts if part.role is not Role.CONFIG)
    own = labels_for(artifact, {part.name: checked_name(part) for part in parts})
    texts = merge_labels(own, artifact.labels, options.labels)
    annotations = dict(options.annotations)
    user = artifact.part(Role.CONFIG)
    if user:
        annotations = {key: text for key, text in texts.items() if not part_for_label(key)} | annotations
    return Blueprint(
        recipes=tuple(map(_recipe, parts)),
        config=_recipe(user) if user else _generated(options, texts),
        config_type=CONFIG_TYPE if user else media_types.OCI_CONFIG,
        config_annotations={TITLE: "config.json"},
        artifact_type="" if options.strict else ARTIFACT_TYPE,
        annotations=annotations,
        is_container_image=False,
        platform=container_platform(options.platform),
    )


def _generated(options: WriteOptions, texts: dict[str, str]) -> Callable[[tuple[StoredBlob, ...]], bytes]:
    return lambda written: image_config(options, texts, written)


def _recipe(part: Part) -> Recipe:
    media_type = _media_type(part)
    role = "" if part.role in (Role.CONFIG, Role.OTHER) else str(part.role)

    def retyped(disk_type: DiskType) -> Recipe:
        return _recipe(replace(part, disk_type=disk_type))

    return Recipe(
        part=part,
        media_type=media_type,
        annotations={MEDIA_TYPE: media_type, ROLE: role, TITLE: checked_name(part)},
        with_disk_type=None if media_type else retyped,
    )


def _media_type(part: Part) -> str:
    """The media type for *part*; "" for a disk of unknown type, which has none."""
    if part.role in DISK_ROLES:
        return DISKS[part.disk_type] if part.disk_type else ""
    return TYPES[part.role]


def read_artifacts(image: ImageMetadata) -> Artifact | None:
    """What *image* holds where blobs are files, or None. Raises AmbiguousRoleError, and FormatError for hostile
    titles."""
    if (
        any(is_artifact_layer(layer) for layer in image.manifest.layers)
        or image.manifest.config.media_type == CONFIG_TYPE
    ):
        return artifact_of(image)
    return None
