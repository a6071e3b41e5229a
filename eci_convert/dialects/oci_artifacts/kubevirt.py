"""Virtual machines as KubeVirt exports them: a zstd-compressed raw disk a layer, the machine's definition as config.

KubeVirt enhancement 256, "OCI artifact export", and virt-exportserver as of v1.9: artifact types and annotations are
theirs, the index around even one image too. Older spellings of the enhancement are read. Which disk boots is said by
the definition; where it is not, the first does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from eci_convert import model
from eci_convert.dialects import part_labels
from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, WriteOptions
from eci_convert.dialects.image_config import container_platform, rfc3339
from eci_convert.dialects.part_labels import boot_annotations
from eci_convert.dialects.part_names import (
    assign_indexes,
    canonical_name,
    checked_name,
    describe,
    original_name,
    safe_relative_path,
    unsupported_part,
)
from eci_convert.errors import CannotHoldError, FormatError
from eci_convert.model import Artifact, Blob, DiskType, Part, Role
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.manifest import to_json
from eci_convert.oci.platform import Platform

MACHINE = "application/vnd.kubevirt.virtualmachine.v1"
_TEMPLATE = "application/vnd.kubevirt.virtualmachinetemplate.v1"
_CONFIG = "application/vnd.kubevirt.virtualmachine.config.v1+json"
_DISK = "application/vnd.kubevirt.disk.raw+zstd"
_TYPES = {
    _DISK: (DiskType.RAW, "zstd"),
    "application/vnd.kubevirt.disk.raw+gzip": (DiskType.RAW, "gzip"),
    "application/vnd.kubevirt.disk.raw": (DiskType.RAW, ""),
    "application/vnd.kubevirt.disk.qcow2": (DiskType.QCOW2, ""),
}
_SUFFIXES = {"zstd": ".zst", "gzip": ".gz", "": ""}
_VOLUME = "io.kubevirt.disk.name"
_VOLUMES = "io.kubevirt.disk.names"
_SIZE = "io.kubevirt.disk.size"
_CAPACITY = "io.kubevirt.pvc.capacity"
_CREATED = "org.opencontainers.image.created"
_DISK_KEY = "io.eci-convert.disk"
"""Which disk a layer is, `root` or a number: the order of layers cannot tell of gaps."""
_GENERATED = "io.eci-convert.generated"
"""In the metadata of a definition that we made up: it is no part of the machine."""
_SIZES = re.compile(r"([0-9]{1,15})(|Ki|Mi|Gi|Ti|Pi)", re.ASCII)
_NO_LABEL = re.compile(r"[^a-z0-9]+", re.ASCII)
_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


def read(image: ImageMetadata) -> Artifact | None:
    """What *image* holds if it is a machine of KubeVirt's, else None. Raises FormatError for hostile names."""
    layers = [
        (layer, f"manifest.layers[{index}]")
        for index, layer in enumerate(image.manifest.layers)
        if layer.media_type in _TYPES
    ]
    if not layers and image.manifest.artifact_type not in (MACHINE, _TEMPLATE):
        return None
    root_disk = _root_disk(image, [layer for layer, _ in layers])
    declared = [_number(layer) for layer, _ in layers if layer is not root_disk]
    numbers = assign_indexes(declared)
    parts = [_part(layer, None if layer is root_disk else next(numbers), where) for layer, where in layers]
    if image.manifest.config.media_type.endswith("+json") and not _is_generated(image):
        parts.append(
            Part(role=Role.CONFIG, locator=Blob(descriptor=image.manifest.config), name=canonical_name(Role.CONFIG, ""))
        )
    return Artifact(
        parts=tuple(parts), command_line=part_labels.command_line(image), environment=part_labels.environment(image)
    )


def _part(layer: Descriptor, index: int | None, where: str) -> Part:
    role = Role.ROOT_DISK if index is None else Role.EXTRA_DISK
    title = layer.annotations.get(TITLE, "")
    if title:
        title = safe_relative_path(title, f"{where}.annotations[{TITLE!r}]").rpartition("/")[2]
    disk_type, compression = _TYPES[layer.media_type]
    base = title.removesuffix(_SUFFIXES[compression]) or f"disk.{disk_type}"
    return Part(
        role=role,
        locator=Blob(descriptor=layer, compression=compression, size=_size(layer, where)),
        name=canonical_name(role, base, index),
        disk_type=disk_type,
        index=index,
    )


def _size(layer: Descriptor, where: str) -> int | None:
    """The size of the disk in bytes, where the image tells it as a quantity of Kubernetes: `10Gi`, `512`."""
    text = layer.annotations.get(_SIZE, "")
    if not text:
        return None
    match = _SIZES.fullmatch(text)
    if not match:
        raise FormatError(f"{text[:80]!r} is no size in bytes", where=f"{where}.annotations[{_SIZE!r}]")
    return int(match[1]) << 10 * _UNITS.index(match[2])


def _number(layer: Descriptor) -> int | None:
    text = layer.annotations.get(_DISK_KEY, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _root_disk(image: ImageMetadata, disks: list[Descriptor]) -> Descriptor | None:
    """The root disk among *disks*: the one that we marked, that the definition boots, or the first. None: none is."""
    if any(_DISK_KEY in disk.annotations for disk in disks):
        return next((disk for disk in disks if disk.annotations.get(_DISK_KEY) == "root"), None)
    by_volume = {volume: disk for disk in disks for volume in _volumes(disk)}
    order = [by_volume[name] for name in _boot_order(image) if name in by_volume]
    return next(iter(order + disks), None)


def _volumes(disk: Descriptor) -> list[str]:
    names = disk.annotations.get(_VOLUMES) or disk.annotations.get(_VOLUME, "")
    return [name.strip() for name in names.split(",")]


def _boot_order(image: ImageMetadata) -> list[str]:
    """The names of the machine's disks as its definition has them, those with a boot order first."""
    spec = image.config.fields.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("virtualMachine"), dict):
        spec = spec["virtualMachine"].get("spec")
    for key in ("template", "spec", "domain", "devices", "disks"):
        spec = spec.get(key) if isinstance(spec, dict) else None
    disks = [disk for disk in spec if isinstance(disk, dict)] if isinstance(spec, list) else []
    return [name for _, name in sorted(_by_boot_order(disks), key=lambda ranked: ranked[0])]


def _by_boot_order(disks: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    for disk in disks:
        order, name = disk.get("bootOrder"), disk.get("name")
        if isinstance(name, str):
            yield order if isinstance(order, int) and order > 0 else 1 << 32, name


def _is_generated(image: ImageMetadata) -> bool:
    metadata = image.config.fields.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and _GENERATED in annotations


def write(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as a machine of KubeVirt's. A config of the user's is its definition, else one is made up.

    Raises CannotHoldError that names the part for which there is no place.
    """
    options.check_no_extra_dialects("kubevirt")
    disks = [part for part in artifact.parts if part.role is not Role.CONFIG]
    volumes = _named(disks)
    if not disks:
        raise CannotHoldError("a machine of KubeVirt's is its disks, and there is none")
    config = artifact.part(Role.CONFIG)
    architecture = container_platform(options.platform).architecture
    definition = to_json(_definition(options, architecture, list(zip(disks, volumes, strict=True))))
    annotations = boot_annotations(artifact)
    return Blueprint(
        recipes=tuple(_recipe(part, volume) for part, volume in zip(disks, volumes, strict=True)),
        config=Recipe(part=config, media_type=_CONFIG) if config else lambda written: definition,
        config_type=_CONFIG,
        artifact_type=MACHINE,
        annotations=annotations | dict(options.annotations),
        is_container_image=False,
        platform=Platform(os="linux", architecture=architecture),
        index_spec=IndexSpec(annotations={_CREATED: rfc3339(options.created)}, artifact_type=MACHINE),
    )


def _named(disks: list[Part]) -> list[str]:
    """A name for each of *disks* that is valid for a Kubernetes volume, derived from its file name if possible."""
    names: list[str] = []
    for part in disks:
        if part.role not in model.DISK_ROLES:
            raise unsupported_part("kubevirt", part)
        name = _NO_LABEL.sub("-", original_name(part).rpartition(".")[0].lower()).strip("-")[:63].strip("-")
        if not name or name in names:
            name = "rootdisk" if part.index is None else f"disk-{part.index}"
        names.append(name if name not in names else f"{name}-{len(names)}")
    return names


def _recipe(part: Part, volume: str) -> Recipe:
    def retyped(disk_type: DiskType) -> Recipe:
        return _recipe(replace(part, disk_type=disk_type), volume)

    if part.disk_type not in (DiskType.RAW, DiskType.ISO, None):
        error = CannotHoldError(f"kubevirt holds raw disks, and {describe(part)} is {part.disk_type}")
        error.add_note("hint: qemu-img convert -O raw makes one of it")
        raise error
    return Recipe(
        part=part,
        media_type=_DISK if part.disk_type else "",
        compression="zstd",
        annotations={
            _VOLUME: volume,
            _VOLUMES: volume,
            _DISK_KEY: "root" if part.index is None else str(part.index),
            TITLE: _title(part),
        },
        size_annotations=(_SIZE, _CAPACITY),
        with_disk_type=None if part.disk_type else retyped,
    )


def _title(part: Part) -> str:
    checked_name(part)
    return original_name(part) + _SUFFIXES["zstd"]


def _definition(options: WriteOptions, architecture: str, disks: list[tuple[Part, str]]) -> dict[str, Any]:
    """The least definition of a machine with *disks* that KubeVirt takes. It is stopped, and its memory is a guess."""
    devices = [
        {"name": volume, "bootOrder": place, **disk_device(part.disk_type, architecture)}
        for place, (part, volume) in enumerate(disks, 1)
    ]
    volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": volume}} for _, volume in disks]
    name = _NO_LABEL.sub("-", options.name.rpartition("/")[2].partition("@")[0].lower()).strip("-")[:63].strip("-")
    domain = {"devices": {"disks": devices}, "memory": {"guest": "1Gi"}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name or "machine", "annotations": {_GENERATED: "true"}},
        "spec": {
            "runStrategy": "Halted",
            "template": {"spec": {"architecture": architecture, "domain": domain, "volumes": volumes}},
        },
    }


def disk_device(disk_type: DiskType | None, architecture: str) -> dict[str, Any]:
    """What a machine has a disk of *disk_type* as. KubeVirt refuses virtio for CD drives, and SATA, which drivers in
    more systems know than SCSI, on arm64; QEMU's machine for s390x has no SATA either. *architecture* "": unknown."""
    if disk_type is not DiskType.ISO:
        return {"disk": {"bus": "virtio"}}
    return {"cdrom": {"bus": "sata" if architecture in ("", "amd64") else "scsi"}}
