"""KubeVirt's containerDisks: a container image with one file in /disk, which is the machine's disk.

KubeVirt asks for no mark, but most publishers leave one that manifest and config show: an artifact
type, the Entrypoint `no-entrypoint` of the containerdisks project, which lets `docker create` take the image, labels
of Deckhouse, the variable PODVM_IMAGE_PATH of OpenShift, or a build step that copies something into /disk. An image
without any of them is read as one only if that is asked for. KubeVirt runs qemu as user and group 107, who must be
able to read the file (user guide, "containerDisk"). Kernel and initrd for KubeVirt's kernelBoot may lie in the same
image: KubeVirt is told their paths elsewhere, and we by ECI's labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eci_convert.dialects import part_labels
from eci_convert.dialects.blueprint import Blueprint, Recipe, TarEntrySpec, WriteOptions
from eci_convert.dialects.containerdisk_layout import (
    DIRECTORY,
    ENTRYPOINT,
    USER,
    check_containerdisk,
    disk_entry,
)
from eci_convert.dialects.image_config import container_platform, image_config, merge_labels
from eci_convert.dialects.part_labels import FILE_PATH, FILE_SIZE, labels_for, other_labels
from eci_convert.dialects.part_names import (
    absolute_image_path,
    canonical_name,
    unsupported_part,
)
from eci_convert.model import Artifact, Part, Role, RootfsFile
from eci_convert.oci import media_types
from eci_convert.oci.image import ImageMetadata

_BOOT = {Role.KERNEL: "boot/vmlinuz", Role.INITRD: "boot/initrd"}
_ARTIFACT_TYPE = "application/vnd.kubevirt.containerdisk"
_LABELS = ("source-image-format", "source-image-size")
"""Labels that Deckhouse's importer sets, both of them."""
_PATH_VARIABLE = "PODVM_IMAGE_PATH=/"
_COPY_STEP = re.compile(r"\b(?:ADD|COPY)\b.*\s[\"']?/disk(?:/[^\s\"']*)?[\"']?\]?\s*(?:#.*)?")
"""A step of a Dockerfile whose destination is /disk or in it, as the classic builder, BuildKit and buildah tell it."""
_OWN_STEP = "eci-convert: disk-root-"
"""How the history of a containerDisk begins that an eci-convert before 0.2 wrote: it had no Entrypoint."""
_ROOT_LABEL = part_labels.LABEL + "root"


def read(image: ImageMetadata) -> Artifact | None:
    """The disk of *image* if it is a container image at all, else None: what `--dialect containerdisk` asks for."""
    layers = image.manifest.layers
    if image.manifest.config.media_type not in media_types.CONFIGS or not layers:
        return None
    if not all(media_types.is_tar_layer(layer.media_type) for layer in layers):
        return None
    path = _variable_path(_settings(image)) or DIRECTORY
    name = canonical_name(Role.ROOT_DISK, "disk")
    part = Part(role=Role.ROOT_DISK, locator=RootfsFile(path=path), name=name)
    return Artifact(
        parts=(part,),
        command_line=part_labels.command_line(image),
        environment=part_labels.environment(image),
        labels=other_labels(image.config.labels),
    )


def recognise(image: ImageMetadata) -> Artifact | None:
    """The disk of *image* if its manifest or config marks it as a containerDisk, else None."""
    return read(image) if not part_labels.is_file_artifact(image) and _is_marked(image) else None


def _is_marked(image: ImageMetadata) -> bool:
    settings = _settings(image)
    return (
        _ARTIFACT_TYPE in (image.manifest.artifact_type, image.descriptor.artifact_type)
        or settings.get("Entrypoint") == list(ENTRYPOINT)
        or all(label in image.config.labels for label in _LABELS)
        or bool(_variable_path(settings))
        or any(_COPY_STEP.fullmatch(_after_shell(step)) for step in _build_steps(image))
        or _is_of_old_containerdisk(image)
    )


def _settings(image: ImageMetadata) -> Mapping[str, Any]:
    settings = image.config.fields.get("config")
    return settings if isinstance(settings, dict) else {}


def _variable_path(settings: Mapping[str, Any]) -> str:
    """The path of the disk in the environment; "" if there is none. Raises FormatError for a hostile one."""
    variables = settings.get("Env")
    for variable in variables if isinstance(variables, list) else ():
        if isinstance(variable, str) and variable.startswith(_PATH_VARIABLE):
            return absolute_image_path(variable.partition("=")[2], "config.config.Env")
    return ""


def _build_steps(image: ImageMetadata) -> list[str]:
    """The build steps in the history of *image*, if they are text."""
    history = image.config.fields.get("history")
    steps = [step.get("created_by") for step in history if isinstance(step, dict)] if isinstance(history, list) else []
    return [step for step in steps if isinstance(step, str)]


def _is_of_old_containerdisk(image: ImageMetadata) -> bool:
    """Whether we made *image* before containerDisks had an Entrypoint. The history of our other formats names a root
    disk as well, but a label has its path there, which is not in /disk."""
    path = image.config.labels.get(_ROOT_LABEL, "/" + DIRECTORY)
    return path.startswith("/" + DIRECTORY) and any(step.startswith(_OWN_STEP) for step in _build_steps(image))


def _after_shell(step: str) -> str:
    """*step* from its ADD or COPY on: "" where it has none, or runs a command that only mentions one."""
    instruction = step.strip().removeprefix("/bin/sh -c #(nop)").strip()
    return instruction if instruction.startswith(("ADD", "COPY")) and "\n" not in instruction else ""


def write(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as a containerdisk. Raises CannotHoldError that names the part for which there is no place."""
    options.check_no_extra_dialects("containerdisk")
    check_containerdisk(artifact)
    entries = {part.name: _entry(part, options) for part in artifact.parts}
    paths = {name: entry.path for name, entry in entries.items()}
    boots = any(artifact.part(role) for role in _BOOT)
    own = labels_for(artifact, paths if boots else {})
    texts = merge_labels(own, artifact.labels, options.labels)
    return Blueprint(
        recipes=tuple(
            Recipe(
                part=part,
                media_type=media_types.OCI_LAYER,
                entry=entries[part.name],
                annotations={FILE_PATH: "/" + paths[part.name]},
                size_annotations=(FILE_SIZE,),
            )
            for part in artifact.parts
        ),
        config=lambda written: image_config(options, texts, written, history=True, entrypoint=ENTRYPOINT),
        annotations=options.annotations,
        platform=container_platform(options.platform),
    )


def _entry(part: Part, options: WriteOptions) -> TarEntrySpec:
    if part.role is Role.ROOT_DISK:
        return disk_entry(part, options)
    if part.role not in _BOOT:
        raise unsupported_part("containerdisk", part)
    return TarEntrySpec(path=_BOOT[part.role], mode=0o440, uid=USER, gid=USER, mtime=options.created)
