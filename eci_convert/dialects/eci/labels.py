"""Reads container images whose labels name files as parts (docs/specs/eci.md#2.4 and docs/specs/eci.md#6, "container
style").

Labels outlast annotations: Docker and podman's store keep the former and drop the latter. So images of the legacy
format carry both, and are read here where only labels are left. Disks are counted from 0 by ECI's code and from 1 by
its documentation; any number is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eci_convert.dialects import part_labels
from eci_convert.dialects.part_labels import other_labels, part_for_label
from eci_convert.dialects.part_names import absolute_image_path, canonical_name
from eci_convert.errors import FormatError
from eci_convert.model import Artifact, Part, Role, RootfsFile
from eci_convert.oci.image import ImageMetadata


def read(image: ImageMetadata) -> Artifact | None:
    """What the labels of *image* name; without labels, what its annotations do, or None. Raises FormatError for a
    label that is no path, and AmbiguousRoleError where two say where the same disk is."""
    places = (
        ("config.config.Labels", image.config.labels),
        ("manifest.annotations", image.manifest.annotations),
        ("index.annotations", image.descriptor.annotations),
    )
    for where, texts in places:
        parts = tuple(_parts(texts, where))
        if any(part.role is not Role.OTHER for part in parts):
            return Artifact(
                parts=parts,
                command_line=part_labels.command_line(image),
                environment=part_labels.environment(image),
                labels=other_labels(image.config.labels),
            )
    return None


def _parts(texts: Mapping[str, str], where: str) -> Iterable[Part]:
    for key, value in texts.items():
        if role_and_index := part_for_label(key):
            role, index = role_and_index
            path = _path(value, f"{where}[{key!r}]")
            name = canonical_name(role, path.rpartition("/")[2], index)
            yield Part(role=role, locator=RootfsFile(path=path), name=name, index=index)


def _path(value: str, where: str) -> str:
    if not value:
        raise FormatError("empty: it should be a path", where=where)
    return absolute_image_path(value, where)
