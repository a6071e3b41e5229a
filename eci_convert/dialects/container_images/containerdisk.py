"""KubeVirt's containerdisks: a container image with one file in /disk, which is the machine's disk.

Nothing marks them. They are what an image is taken for that no other dialect knows and that runs no program; whether
there is a file in /disk shows when it is looked for. The containerdisks project, which publishes KubeVirt's own, gives
them an entrypoint that is none, so that a container can be created of them. KubeVirt runs qemu as user and group 107,
who must be able to read the file (user guide, "containerDisk"). Kernel and initrd for KubeVirt's kernelBoot may lie in
the same image: KubeVirt is told their paths elsewhere, and we by ECI's labels.
"""

from __future__ import annotations

from typing import Any

from eci_convert.dialects import part_labels
from eci_convert.dialects.blueprint import Blueprint, Recipe, TarEntrySpec, WriteOptions
from eci_convert.dialects.image_config import container_platform, image_config, merge_labels
from eci_convert.dialects.part_labels import labels_for, other_labels
from eci_convert.dialects.part_names import canonical_name, checked_name, describe, original_name, unsupported_part
from eci_convert.errors import CannotHoldError, UsageError
from eci_convert.model import Artifact, DiskType, Part, Role, RootfsFile
from eci_convert.oci import media_types
from eci_convert.oci.image import Image

DIRECTORY = "disk/"
USER = 107
_BOOT = {Role.KERNEL: "boot/vmlinuz", Role.INITRD: "boot/initrd"}
_NO_PROGRAM = ["no-entrypoint"]
_TYPES = (DiskType.RAW, DiskType.ISO, DiskType.QCOW2, None)
"""What KubeVirt's qemu takes; it looks at the bytes to tell them apart."""


def read(image: Image) -> Artifact | None:
    """The disk of *image* if it is a container image at all, else None."""
    layers = image.manifest.layers
    if image.manifest.config.media_type not in media_types.CONFIGS or not layers:
        return None
    if not all(media_types.is_tar_layer(layer.media_type) for layer in layers):
        return None
    part = Part(role=Role.ROOT_DISK, locator=RootfsFile(path=DIRECTORY), name=canonical_name(Role.ROOT_DISK, "disk"))
    return Artifact(
        parts=(part,),
        command_line=part_labels.command_line(image),
        environment=part_labels.environment(image),
        labels=other_labels(image.config.labels),
    )


def guess(image: Image) -> Artifact | None:
    """The disk of *image* if it may be a containerdisk: it runs nothing, or its history tells of /disk, and its layers
    are no files; else None."""
    if part_labels.is_file_artifact(image):
        return None
    found = image.config.fields.get("config")
    settings = found if isinstance(found, dict) else {}
    if settings.get("Entrypoint") == _NO_PROGRAM:
        return read(image)
    runs = any(settings.get(key) for key in ("Cmd", "Entrypoint"))
    return None if runs and not _tells_of_disk(image.config.fields.get("history")) else read(image)


def _tells_of_disk(history: Any) -> bool:
    steps = [step for step in history if isinstance(step, dict)] if isinstance(history, list) else []
    return any("/disk" in str(step.get("created_by", "")) for step in steps)


def write(artifact: Artifact, terms: WriteOptions) -> Blueprint:
    """*artifact* as a containerdisk. Raises CannotHold that names the part for which there is no place."""
    if terms.extra_dialects:
        raise UsageError(f"an image of the format 'containerdisk' cannot serve {terms.extra_dialects[0]!r} as well")
    paths = {part.name: _path(part) for part in artifact.parts}
    if not artifact.part(Role.ROOT_DISK):
        raise CannotHoldError("a containerdisk is a root disk, and there is none")
    boots = any(artifact.part(role) for role in _BOOT)
    own = labels_for(artifact, paths if boots else {})
    texts = merge_labels(own, artifact.labels, terms.labels)
    return Blueprint(
        recipes=tuple(_recipe(part, paths[part.name], terms) for part in artifact.parts),
        config=lambda written: image_config(terms, texts, written, history=True),
        annotations=terms.annotations,
        platform=container_platform(terms.platform),
    )


def _path(part: Part) -> str:
    if part.role in _BOOT:
        return _BOOT[part.role]
    if part.role is not Role.ROOT_DISK:
        raise unsupported_part("containerdisk", part)
    if part.disk_type not in _TYPES:
        raise CannotHoldError(f"a containerdisk is raw or qcow2, and {describe(part)} is {part.disk_type}")
    checked_name(part)
    return DIRECTORY + original_name(part)


def _recipe(part: Part, path: str, terms: WriteOptions) -> Recipe:
    entry = TarEntrySpec(path=path, mode=0o440, uid=USER, gid=USER, mtime=terms.created)
    return Recipe(part=part, media_type=media_types.OCI_LAYER, entry=entry)
