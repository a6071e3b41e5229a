"""Images of ironcore-image, and of onmetal-image before it (docs/specs/ironcore.md): one blob per part; its
media type says its role.

Three generations of media types are read, of any parts; the newest is written, and as "onmetal" the oldest, byte for
byte as the original does. The kernel's command line lies in the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, WriteOptions
from eci_convert.dialects.image_config import container_platform
from eci_convert.dialects.part_names import canonical_name, unsupported_part
from eci_convert.errors import AmbiguousRoleError, CannotHoldError
from eci_convert.model import Artifact, Blob, DiskType, Part, Role
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation of media types: *layers* by what ironcore calls a part, in the order in which it writes them.

    *needed*: what its reader does not do without. *index*: whether its builder puts the image into an index.
    """

    name: str
    config: str
    layers: Mapping[str, str]
    needed: tuple[str, ...] = ()
    index: bool = False


ONMETAL = Generation(
    name="onmetal",
    config="application/vnd.onmetal.image.config.v1alpha1+json",
    layers={
        "rootfs": "application/vnd.onmetal.image.rootfs.v1alpha1.rootfs",
        "initramfs": "application/vnd.onmetal.image.initramfs.v1alpha1.initramfs",
        "kernel": "application/vnd.onmetal.image.vmlinuz.v1alpha1.vmlinuz",
    },
    needed=("rootfs", "initramfs", "kernel"),
)
ALPHA = Generation(
    name="ironcore",
    config="application/vnd.ironcore.image.config.v1alpha1+json",
    layers={
        "rootfs": "application/vnd.ironcore.image.rootfs.v1alpha1.rootfs",
        "initramfs": "application/vnd.ironcore.image.initramfs.v1alpha1.initramfs",
        "kernel": "application/vnd.ironcore.image.vmlinuz.v1alpha1.vmlinuz",
        "squashfs": "application/vnd.ironcore.image.squashfs.v1alpha1.squashfs",
    },
)
FLAT = Generation(
    name="ironcore",
    config="application/vnd.ironcore.image.config.v1+json",
    layers={
        word: f"application/vnd.ironcore.image.{word}"
        for word in ("rootfs", "initramfs", "kernel", "squashfs", "uki", "iso")
    },
    index=True,
)
_DISK_IMAGE = {"disk": "application/vnd.ironcore.image.disk.img"}
"""In the specification of the flat generation, and in none of its code: read, never written."""

_GENERATIONS = tuple(
    {media_type: word for word, media_type in layers.items()}
    for layers in ({**FLAT.layers, **_DISK_IMAGE}, ALPHA.layers, ONMETAL.layers)
)
"""What each media type is, the newest generation first."""

_WORDS = {Role.KERNEL: "kernel", Role.INITRD: "initramfs"}
_ROLES = {word: role for role, word in _WORDS.items()}
_FREE = ("squashfs", "uki")
"""Parts that ironcore alone has. They are other parts of these names."""


def read(image: ImageMetadata) -> Artifact | None:
    """What *image* holds if a layer's media type is one of ironcore's, else None. Layers of other types are passed
    over. Raises AmbiguousRoleError where a type stands twice; of two generations, the newer counts."""
    layers_by_word = _by_word(image.manifest.layers)
    if not layers_by_word:
        return None
    parts = tuple(_part(word, layer, layers_by_word) for word, layer in layers_by_word.items())
    command_line = json_fields.optional(image.config.fields, "commandLine", str, "config", "")
    return Artifact(parts=parts, command_line=command_line or None)


def _by_word(layers: tuple[Descriptor, ...]) -> dict[str, Descriptor]:
    layers_by_word: dict[str, Descriptor] = {}
    for types in _GENERATIONS:
        newer = set(layers_by_word)
        for layer in layers:
            word = types.get(layer.media_type, "")
            if not word or word in newer:
                continue
            if word in layers_by_word:
                raise AmbiguousRoleError(
                    f"two layers are the {word}: {layers_by_word[word].digest.short} and {layer.digest.short}"
                )
            layers_by_word[word] = layer
    return layers_by_word


def _part(word: str, layer: Descriptor, beside: Mapping[str, Descriptor]) -> Part:
    """The part that ironcore calls *word*. An ISO or a whole disk is the root disk where there is no other."""
    role, index = _ROLES.get(word, Role.OTHER), None
    disks = [each for each in ("rootfs", "disk", "iso") if each in beside]
    if word in disks:
        place = disks.index(word)
        role, index = (Role.EXTRA_DISK, place - 1) if place else (Role.ROOT_DISK, None)
    return Part(
        role=role,
        locator=Blob(descriptor=layer),
        name=canonical_name(role, word, index),
        disk_type=DiskType.ISO if word == "iso" else None,
        index=index,
    )


def write(artifact: Artifact, options: WriteOptions, generation: Generation = FLAT) -> Blueprint:
    """*artifact* as an ironcore image. Raises CannotHoldError that names the part for which there is no place."""
    options.check_no_extra_dialects(generation.name)
    placed = {_word(part, artifact, generation): part for part in artifact.parts}
    for word in generation.needed:
        if word not in placed:
            raise CannotHoldError(f"{generation.name} needs {_with_article(word)}, and there is none")
    if artifact.environment:
        raise CannotHoldError(f"{generation.name} has no place for the environment {artifact.environment[0]!r}")
    document = {"commandLine": artifact.command_line} if artifact.command_line else {}
    original = options.original
    index_annotations = options.original_index.annotations if options.original_index else {}
    return Blueprint(
        recipes=tuple(
            Recipe(part=placed[word], media_type=media_type, annotations=_notes(placed[word], original))
            for word, media_type in generation.layers.items()
            if word in placed
        ),
        config=lambda written: to_json(document),
        config_type=generation.config,
        manifest_type=None,
        is_container_image=False,
        platform=Platform(os="linux", architecture=container_platform(options.platform).architecture),
        annotations=original.manifest.annotations if original else {},
        index_spec=IndexSpec(
            annotations={**index_annotations, **options.annotations},
            entry=original.descriptor.annotations if original else {},
            names_variants=True,
        )
        if generation.index
        else None,
    )


def is_one(manifest: Manifest) -> bool:
    """Whether *manifest* is that of an image whose index gives it a name of its own."""
    return manifest.config.media_type in (ALPHA.config, FLAT.config)


def _notes(part: Part, original: ImageMetadata | None) -> Mapping[str, str]:
    """The annotations that *part* has in the image that is written again."""
    return part.locator.descriptor.annotations if original and isinstance(part.locator, Blob) else {}


def write_onmetal(artifact: Artifact, options: WriteOptions) -> Blueprint:
    """*artifact* as onmetal-image writes it: all three parts that its reader asks for, and no other."""
    return write(artifact, options, ONMETAL)


def _word(part: Part, artifact: Artifact, generation: Generation) -> str:
    word = _WORDS.get(part.role, "")
    if part.role is Role.ROOT_DISK:
        lone_iso = part.disk_type is DiskType.ISO and not artifact.part(Role.EXTRA_DISK, 0)
        word = "iso" if lone_iso and "iso" in generation.layers else "rootfs"
    elif part.role is Role.EXTRA_DISK and part.index == 0 and part.disk_type is DiskType.ISO:
        word = "iso" if artifact.part(Role.ROOT_DISK) else ""
    elif part.role is Role.OTHER and part.name in _FREE:
        word = part.name
    if word not in generation.layers:
        raise unsupported_part(generation.name, part)
    return word


def _with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
