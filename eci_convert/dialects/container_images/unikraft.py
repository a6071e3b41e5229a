"""Unikernels as KraftKit packages them (docs/specs/unikraft.md): kernel and initrd, each alone in an uncompressed tar
layer.

The mark of such an image is an annotation, `sh.kraftkit.version`; each layer's path is one too. Operating system and
architecture are named in KraftKit's words (qemu, x86_64), and stand in the config's descriptor as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, StoredBlob, TarEntrySpec, WriteOptions
from eci_convert.dialects.container_images.command_line import join_command_line, split_command_line
from eci_convert.dialects.image_config import merge_labels, rfc3339
from eci_convert.dialects.part_labels import other_labels
from eci_convert.dialects.part_names import absolute_image_path, canonical_name, unsupported_part
from eci_convert.errors import CannotHoldError
from eci_convert.model import Artifact, Blob, Locator, Member, Part, Role, RootfsFile
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform

MARK = "sh.kraftkit.version"
_PATHS = {Role.KERNEL: "unikraft/bin/kernel", Role.INITRD: "unikraft/bin/initrd"}
_KEYS = {Role.KERNEL: "org.unikraft.kernel.image", Role.INITRD: "org.unikraft.kernel.initrd"}
_NAME = "org.unikraft.image.name"
_REPOSITORY = "org.opencontainers.image.ref.name"
_REFERENCE = "io.containerd.image.name"
_CREATED = "org.opencontainers.image.created"
_VERSION = "eci-convert"
"""Any value marks an image as KraftKit's; a number would change digests from one version of ours to the next."""

_HASH_LENGTH = 32
_ARCHIVES = ("application/vnd.unikraft.image.v1", "application/vnd.unikraft.image.v1+gzip")
_SYSTEMS = {"linux": "qemu", "kvm": "qemu", "firecracker": "fc"}
_SYSTEM_OPTIONS = ("CONFIG_PLAT_", "CONFIG_KVM_VMM_")
_OPTIONS = {
    "qemu": ("CONFIG_PLAT_KVM=y", "CONFIG_KVM_VMM_QEMU=y"),
    "fc": ("CONFIG_PLAT_KVM=y", "CONFIG_KVM_VMM_FIRECRACKER=y"),
    "xen": ("CONFIG_PLAT_XEN=y",),
}
_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}


def read(image: ImageMetadata) -> Artifact | None:
    """What *image* holds if a layer is annotated as a unikernel, or the image as KraftKit's; else None."""
    parts = tuple(_annotated(image)) or tuple(_well_known(image))
    if not any(part.role is Role.KERNEL for part in parts):
        return None
    settings = json_fields.optional(image.config.fields, "config", dict, "config", {})
    return Artifact(
        parts=parts,
        command_line=join_command_line(_words(settings, "Cmd")) or None,
        labels=other_labels(image.config.labels),
        environment=_words(settings, "Env"),
    )


def _words(settings: json_fields.Fields, key: str) -> tuple[str, ...]:
    words = json_fields.optional(settings, key, list, "config.config", [])
    return tuple(json_fields.typed(word, str, f"config.config.{key}[{index}]") for index, word in enumerate(words))


def _annotated(image: ImageMetadata) -> Iterable[Part]:
    for index, layer in enumerate(image.manifest.layers):
        for role, key in _KEYS.items():
            if path := layer.annotations.get(key, ""):
                where = f"manifest.layers[{index}].annotations[{key!r}]"
                yield Part(role=role, locator=_locator(layer, path, where), name=canonical_name(role, ""))


def _locator(layer: Descriptor, path: str, where: str) -> Locator:
    if media_types.is_tar_layer(layer.media_type) or layer.media_type in _ARCHIVES:
        return Member(descriptor=layer, path=absolute_image_path(path, where).lstrip("/"))
    return Blob(descriptor=layer, compression="gzip" if layer.media_type.endswith("+gzip") else "")


def _well_known(image: ImageMetadata) -> Iterable[Part]:
    """Where KraftKit puts things, in an image that it marked but whose layers lost what they said."""
    if MARK not in {**image.manifest.annotations, **image.descriptor.annotations}:
        return
    for role, path in list(_PATHS.items())[: len(image.manifest.layers)]:
        yield Part(role=role, locator=RootfsFile(path=f"/{path}"), name=canonical_name(role, ""))


def write(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as a unikernel. Raises CannotHoldError that names the part for which there is no place."""
    options.check_no_extra_dialects("unikraft")
    for part in artifact.parts:
        if part.role not in _PATHS:
            raise unsupported_part("unikraft", part)
    if not artifact.part(Role.KERNEL):
        raise CannotHoldError("unikraft needs a kernel, and there is none")
    platform = unikraft_platform(options.platform, options.system)
    annotations = _annotations(options)
    top = {key: text for key, text in annotations.items() if key in (MARK, _REPOSITORY, _REFERENCE)}
    if options.original_index:
        top = {**options.original_index.annotations, **top}
    return Blueprint(
        recipes=tuple(_kept(artifact, options.original) or map(_recipe, artifact.parts)),
        config=lambda written: _config(artifact, options, platform, written),
        config_platform=replace(platform, os_features=tuple(key for key, _ in groupby(platform.os_features))),
        annotations=annotations,
        is_container_image=False,
        platform=platform,
        index_spec=IndexSpec(annotations=top | dict(options.annotations), entry=annotations),
    )


def _recipe(part: Part) -> Recipe:
    path = _PATHS[part.role]
    return Recipe(
        part=part,
        media_type=media_types.OCI_LAYER,
        entry=TarEntrySpec(path=path, mode=0o755),
        may_compress=False,
        annotations={_KEYS[part.role]: f"/{path}"},
    )


def _kept(artifact: Artifact, original: ImageMetadata | None) -> list[Recipe]:
    """The layers of the package that is written again, whole: modes stay, and layers that are no part of a machine,
    such as the kernel with its debugging symbols. None where a layer does not say which part it is."""
    if not original or any(isinstance(part.locator, RootfsFile) for part in artifact.parts):
        return []
    parts = {part.locator.descriptor.digest: part for part in artifact.parts if isinstance(part.locator, Blob | Member)}
    return [_kept_layer(number, layer, parts) for number, layer in enumerate(original.manifest.layers)]


def _kept_layer(number: int, layer: Descriptor, parts: Mapping[Digest, Part]) -> Recipe:
    part = parts.get(layer.digest)
    is_archive = media_types.is_tar_layer(layer.media_type) or layer.media_type in _ARCHIVES
    if part and not is_archive:
        return _recipe(part)
    name = part.name if part else f"layer-{number}"
    compression = next((one for one in ("gzip", "zstd") if is_archive and layer.media_type.endswith(one)), "")
    return Recipe(
        part=Part(role=Role.OTHER, locator=Blob(descriptor=layer, compression=compression), name=name),
        media_type=media_types.OCI_LAYER if is_archive else layer.media_type,
        annotations=layer.annotations,
    )


def _annotations(options: WriteOptions) -> dict[str, str]:
    annotations = {MARK: _VERSION}
    if options.original:
        annotations |= options.original.manifest.annotations
    annotations[_CREATED] = rfc3339(options.created)
    if options.name:
        repository = _repository(options.name)
        annotations |= {_NAME: repository, _REPOSITORY: repository, _REFERENCE: options.name}
    return annotations | dict(options.annotations)


def _repository(name: str) -> str:
    """*name* without tag and digest; a port is no tag."""
    path = name.partition("@")[0]
    directory, slash, last = path.rpartition("/")
    return directory + slash + last.partition(":")[0]


def _config(artifact: Artifact, options: WriteOptions, platform: Platform, written: tuple[StoredBlob, ...]) -> bytes:
    """The config JSON (docs/specs/unikraft.md#4)."""
    settings: dict[str, Any] = {"Env": list(artifact.environment)} if artifact.environment else {}
    if artifact.command_line:
        settings["Cmd"] = split_command_line(artifact.command_line)
    if labels := merge_labels({}, artifact.labels, options.labels):
        settings["Labels"] = dict(sorted(labels.items()))
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in written]}
    return to_json({**platform.json(), "config": settings, "rootfs": rootfs})


def unikraft_platform(platform: Platform, system: str = "") -> Platform:
    """*platform* in KraftKit's words; a machine that is none of its own is qemu's. *system* is what it runs on
    instead; options of its kernel that tell another one then tell that.

    >>> str(unikraft_platform(Platform(os="linux", architecture="amd64")))
    'qemu/x86_64'
    >>> str(unikraft_platform(Platform(os="linux", architecture="arm64"), "firecracker"))
    'fc/arm64'
    """
    if system and platform.os_features:
        others = (text for text in platform.os_features if not text.startswith(_SYSTEM_OPTIONS))
        own = _OPTIONS.get(_SYSTEMS.get(system, system), ())
        platform = replace(platform, os_features=(*others, *own))
    return Platform(
        os=_SYSTEMS.get(system or platform.os, system or platform.os),
        architecture=_ARCHITECTURES.get(platform.architecture, platform.architecture),
        os_version=platform.os_version,
        os_features=tuple(sorted_features(platform.os_features)),
    )


def sorted_features(features: Iterable[str]) -> list[str]:
    """Kernel options in KraftKit's order: numbers first, descending, then all else as text.

    >>> sorted_features(["CONFIG_B=1", "10", "CONFIG_A=y", "9", "2"])
    ['10', '9', '2', 'CONFIG_A=y', 'CONFIG_B=1']
    """
    names = list(features)
    numbers = [text for text in names if text.isascii() and text.isdigit()]
    rest = [text for text in names if text not in numbers]
    return sorted(numbers, key=int, reverse=True) + sorted(rest, key=lambda text: text.encode())


def package_annotations(manifest: Manifest, name: str) -> dict[str, str]:
    """The annotations of the index that a target of a package is in, under *name* if that is said; none for what is
    no target."""
    if MARK not in manifest.annotations:
        return {}
    annotations = {key: text for key, text in manifest.annotations.items() if key in (MARK, _REPOSITORY, _REFERENCE)}
    return annotations | ({_REPOSITORY: _repository(name), _REFERENCE: name} if name else {})


def is_package(index: Index) -> bool:
    """Whether *index* is a package of KraftKit's, which finds nothing but whole ones."""
    return MARK in index.annotations or bool(
        index.manifests and all(MARK in entry.annotations for entry in index.manifests)
    )


def has_false_size(entry: Descriptor) -> bool:
    """Whether KraftKit gave this entry of an index the length of a hash for a size: it does so with all entries that
    it did not just make (docs/specs/unikraft.md#13 and docs/specs/unikraft.md#K2)."""
    return entry.size == _HASH_LENGTH and MARK in entry.annotations and entry.data is None
