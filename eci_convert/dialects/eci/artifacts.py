"""ECI's format "artifacts", written: a layer's blob is the file, and its media type says which (specs/eci.md §3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eci_convert.dialects import part_labels, part_names
from eci_convert.dialects.blueprint import Blueprint, Recipe, Terms, Written
from eci_convert.dialects.image_config import combined, container_platform, image_config
from eci_convert.dialects.part_labels import CONFIG_TYPE, DISK_ROLES, DISKS, MEDIA_TYPE, ROLE, TITLE, TYPES
from eci_convert.errors import UsageError
from eci_convert.model import Artifact, DiskType, Part, Role
from eci_convert.oci import media_types

ARTIFACT_TYPE = "application/vnd.lfedge.eci.v1+json"
"""What ECI calls a manifest of its own, though its code never writes it; with `Terms.strict`, neither do we."""


def write(artifact: Artifact, terms: Terms) -> Blueprint:
    """*artifact* as ECI artifacts. A config of the user's takes the place of the generated one, whose labels then
    become annotations of the manifest. Raises UsageError for names that an image cannot carry."""
    if terms.also:
        raise UsageError(f"an image of the format 'artifacts' cannot serve {terms.also[0]!r} as well")
    parts = tuple(part for part in artifact.parts if part.role is not Role.CONFIG)
    own = part_labels.labels(artifact, {part.name: part_names.checked(part) for part in parts})
    texts = combined(own, artifact.labels, terms.labels)
    annotations = dict(terms.annotations)
    user = artifact.part(Role.CONFIG)
    if user:
        annotations = {key: text for key, text in texts.items() if not part_labels.labelled(key)} | annotations
    return Blueprint(
        recipes=tuple(map(_recipe, parts)),
        config=_recipe(user) if user else _generated(terms, texts),
        config_type=CONFIG_TYPE if user else media_types.OCI_CONFIG,
        config_annotations={TITLE: "config.json"},
        artifact_type="" if terms.strict else ARTIFACT_TYPE,
        annotations=annotations,
        container=False,
        platform=container_platform(terms.platform),
    )


def _generated(terms: Terms, texts: dict[str, str]) -> Callable[[tuple[Written, ...]], bytes]:
    return lambda written: image_config(terms, texts, written)


def _recipe(part: Part) -> Recipe:
    media_type = _media_type(part)
    role = "" if part.role in (Role.CONFIG, Role.OTHER) else str(part.role)

    def retyped(disk_type: DiskType) -> Recipe:
        return _recipe(replace(part, disk_type=disk_type))

    return Recipe(
        part=part,
        media_type=media_type,
        annotations={MEDIA_TYPE: media_type, ROLE: role, TITLE: part_names.checked(part)},
        retyped=None if media_type else retyped,
    )


def _media_type(part: Part) -> str:
    """The media type that says what *part* is; "" for a disk of unknown type, which there is none for."""
    if part.role in DISK_ROLES:
        return DISKS[part.disk_type] if part.disk_type else ""
    return TYPES[part.role]
