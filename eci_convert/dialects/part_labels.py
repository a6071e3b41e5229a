"""The labels and annotations that name files as parts: ECI's (docs/specs/eci.md#2), and three of our own.

Other dialects than ECI's use the labels as well, for parts that they have no mark for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from eci_convert.model import Artifact, Part, Role
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.manifest import to_json

LABEL = "org.lfedge.eci.artifact."
LABEL_OTHER = "org.lfedge.eci.other"
LABEL_CONFIG = "io.eci-convert.config"
"""Ours: where a config of the user's lies in the image, which ECI's legacy format cannot say."""
LABEL_COMMAND_LINE = "io.eci-convert.command-line"
"""Ours too: ECI has no place for a kernel's command line. Other tools pass over labels that they do not know."""
FILE_SIZE = "io.eci-convert.file.size"
"""An annotation of a layer: the bytes of the one file in it, so that the layer need not be read for it."""
FILE_PATH = "io.eci-convert.file.path"
"""And this its path in the image, where no title says it."""
LABEL_ENVIRONMENT = "io.eci-convert.environment"
"""And this: the environment of a unikernel, as KraftKit has it in a config: `{"Env":["KEY=VALUE"]}`."""

_WORDS = {"kernel": Role.KERNEL, "initrd": Role.INITRD, "root": Role.ROOT_DISK}
_KEY = re.compile(rf"{re.escape(LABEL)}(?:(kernel|initrd|root)|disk-([0-9]{{1,9}}))", re.ASCII)
_OTHER_KEY = re.compile(rf"{re.escape(LABEL_OTHER)}(?:-[0-9]{{1,9}})?", re.ASCII)


def part_for_label(key: str) -> tuple[Role, int | None] | None:
    """Which part the label *key* is about, and the index of an extra disk; None for any other label.

    >>> part_for_label("org.lfedge.eci.artifact.disk-10"), part_for_label("org.lfedge.eci.artifact.disk-١")
    ((<Role.EXTRA_DISK: 'disk-additional'>, 10), None)
    """
    if match := _KEY.fullmatch(key):
        return (Role.EXTRA_DISK, int(match[2])) if match[2] else (_WORDS[match[1]], None)
    if key == LABEL_CONFIG:
        return Role.CONFIG, None
    return (Role.OTHER, None) if _OTHER_KEY.fullmatch(key) else None


def labels_for(artifact: Artifact, paths: Mapping[str, str]) -> dict[str, str]:
    """The labels that say where the parts of *artifact* are: *paths* are the paths in the image, by the parts' names,
    without a leading slash; parts that it does not name get no label.

    The first other part gets ECI's one key for it, further ones a number behind it. Keys ascend.
    """
    labels: dict[str, str] = {}
    others = 0
    for part in artifact.parts:
        if part.name in paths:
            labels[_key(part, others)] = "/" + paths[part.name]
            others += part.role is Role.OTHER
    return dict(sorted((labels | boot_annotations(artifact)).items()))


def boot_annotations(artifact: Artifact) -> dict[str, str]:
    """Our labels or annotations for the kernel command line and the environment of *artifact*; empty without either."""
    annotations = {LABEL_COMMAND_LINE: artifact.command_line} if artifact.command_line else {}
    if artifact.environment:
        annotations[LABEL_ENVIRONMENT] = to_json({"Env": list(artifact.environment)}).decode()
    return annotations


def _key(part: Part, others: int) -> str:
    match part.role:
        case Role.EXTRA_DISK:
            return f"{LABEL}disk-{part.index}"
        case Role.CONFIG:
            return LABEL_CONFIG
        case Role.OTHER:
            return f"{LABEL_OTHER}-{others}" if others else LABEL_OTHER
        case Role.ROOT_DISK:
            return f"{LABEL}root"
        case _:
            return f"{LABEL}{part.role}"


def is_file_artifact(image: ImageMetadata) -> bool:
    """Whether the layers of *image* are files by their titles, as ORAS and ironic store them, whatever their types say:
    there is nothing of a container's about it but a config's media type."""
    layers = image.manifest.layers
    titled = bool(layers) and all(layer.annotations.get(TITLE) for layer in layers)
    return titled and (not image.config.diff_ids or bool(image.manifest.artifact_type))


def is_artifact(image: ImageMetadata) -> bool:
    """Whether the layers of *image* are files, or some of them, and make no filesystem."""
    return (
        image.manifest.config.media_type not in media_types.CONFIGS
        or is_file_artifact(image)
        or any(not media_types.is_tar_layer(layer.media_type) for layer in image.manifest.layers)
    )


def command_line(image: ImageMetadata) -> str | None:
    """The kernel command line in a label or an annotation of ours."""
    return image.config.labels.get(LABEL_COMMAND_LINE, image.manifest.annotations.get(LABEL_COMMAND_LINE))


def environment(image: ImageMetadata) -> tuple[str, ...]:
    """The environment of the unikernel in a label or an annotation of ours. Raises FormatError."""
    text = image.config.labels.get(LABEL_ENVIRONMENT, image.manifest.annotations.get(LABEL_ENVIRONMENT, "{}"))
    where = f"labels[{LABEL_ENVIRONMENT!r}]"
    words = json_fields.optional(
        json_fields.document(text.encode("utf-8", "surrogatepass"), where), "Env", list, where, []
    )
    return tuple(json_fields.typed(word, str, f"{where}.Env[{index}]") for index, word in enumerate(words))


def other_labels(texts: Mapping[str, str]) -> dict[str, str]:
    """Those of *texts* that do not describe parts: they are kept when an image is converted."""
    return {
        key: value
        for key, value in texts.items()
        if not key.startswith((LABEL, "io.eci-convert.")) and not _OTHER_KEY.fullmatch(key)
    }
