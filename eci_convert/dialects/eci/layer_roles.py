"""Reads images of lf-edge/edge-containers: one part per layer, its role in an annotation (docs/specs/eci.md).

"artifacts": the blob is the file and its media type says what it is. "legacy": the blob is a layer of a container, a
tar archive with the file as its one member. Both spellings of media types that code and documentation use are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from eci_convert.dialects import part_labels, part_names
from eci_convert.dialects.eci.media_types import CONFIG_TYPE, DISKS, MEDIA_TYPE, ROLE, TYPES
from eci_convert.dialects.part_labels import other_labels
from eci_convert.dialects.part_names import assign_indexes, canonical_name, safe_relative_path
from eci_convert.errors import AmbiguousRoleError
from eci_convert.model import DISK_ROLES, Artifact, Blob, DiskType, Member, Part, Role
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata

_ROLES = {str(role): role for role in (Role.KERNEL, Role.INITRD, Role.ROOT_DISK, Role.EXTRA_DISK)}
_PLAIN = {text: role for role, text in TYPES.items()} | {
    "application/vnd.lfedge.eci.kernel.layer.v1.tar": Role.KERNEL,
    "application/vnd.lfedge.eci.initrd.layer.v1.tar": Role.INITRD,
}
_DISK_TYPES = {text: disk for disk, text in DISKS.items()}
_KNOWN = frozenset(_PLAIN) | frozenset(_DISK_TYPES)


def is_artifact_layer(layer: Descriptor) -> bool:
    return layer.media_type in _KNOWN or (is_marked(layer) and not media_types.is_tar_layer(layer.media_type))


def is_marked(layer: Descriptor) -> bool:
    return layer.annotations.get(ROLE) in _ROLES or layer.annotations.get(MEDIA_TYPE) in _KNOWN


def artifact_of(image: ImageMetadata) -> Artifact:
    claims = [
        _claim(layer, f"manifest.layers[{index}]")
        for index, layer in enumerate(image.manifest.layers)
        if layer.media_type in _KNOWN or is_marked(layer)
    ]
    config = image.manifest.config
    if CONFIG_TYPE in (config.media_type, config.annotations.get(MEDIA_TYPE)):
        claims.append(replace(_claim(config, "manifest.config"), role=Role.CONFIG))
    parts = tuple(_part(claim, number) for number, claim in enumerate(_with_indexes(_with_disk_roles(claims))))
    return Artifact(
        parts=parts,
        command_line=part_labels.command_line(image),
        environment=part_labels.environment(image),
        labels=other_labels(image.config.labels),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _LayerClaim:
    """What the annotations and the media type of one layer declare. *role* None: a disk of unspecified role."""

    layer: Descriptor
    where: str
    title: str
    role: Role | None
    index: int | None
    disk_type: DiskType | None


def _claim(layer: Descriptor, where: str) -> _LayerClaim:
    title = layer.annotations.get(TITLE, "")
    if title:
        title = safe_relative_path(title, f"{where}.annotations[{TITLE!r}]")
    types = [text for text in (layer.media_type, layer.annotations.get(MEDIA_TYPE, "")) if text in _KNOWN]
    if len(set(types)) > 1 and not (_PLAIN.get(types[0]) and _PLAIN.get(types[0]) == _PLAIN.get(types[1])):
        raise AmbiguousRoleError(f"{where} is called both {types[0]!r} and {types[1]!r}")
    role = _role(layer, types, where)
    hint = part_names.disk_role(title.rpartition("/")[2])
    if role is None and hint:
        role = hint[0]
    return _LayerClaim(
        layer=layer,
        where=where,
        title=title,
        role=role,
        index=hint[1] if hint and hint[0] is role is Role.EXTRA_DISK else None,
        disk_type=_DISK_TYPES.get(types[0]) if types else None,
    )


def _role(layer: Descriptor, types: list[str], where: str) -> Role | None:
    """The role that annotation and media type agree on. None: a disk of unspecified role."""
    declared = _ROLES.get(layer.annotations.get(ROLE, ""))
    if not types:
        return declared or Role.OTHER
    implied = _PLAIN.get(types[0])
    if (
        declared
        and implied is not Role.OTHER
        and not (declared is implied or (implied is None and declared in DISK_ROLES))
    ):
        raise AmbiguousRoleError(f"{where} has the role {str(declared)!r} and the media type {types[0]!r}")
    return declared or implied


def _with_disk_roles(claims: list[_LayerClaim]) -> Iterator[_LayerClaim]:
    """*claims*, each disk knowing which it is: the only disk there is is the root disk, one beside it is another."""
    disks = [claim for claim in claims if claim.role is None]
    if len(disks) > 1 and not any(claim.role is Role.ROOT_DISK for claim in claims):
        raise AmbiguousRoleError(f"neither {disks[0].where} nor {disks[1].where} says whether it is the root disk")
    lone = len(disks) == 1 and not any(claim.role in DISK_ROLES for claim in claims)
    for claim in claims:
        yield replace(claim, role=Role.ROOT_DISK if lone else Role.EXTRA_DISK) if claim.role is None else claim


def _with_indexes(claims: Iterable[_LayerClaim]) -> Iterator[_LayerClaim]:
    """*claims*, each extra disk with its number: that of its title, else the lowest unused."""
    settled = list(claims)
    numbers = assign_indexes([claim.index for claim in settled if claim.role is Role.EXTRA_DISK])
    for claim in settled:
        yield replace(claim, index=next(numbers)) if claim.role is Role.EXTRA_DISK else claim


def _part(claim: _LayerClaim, number: int) -> Part:
    role = claim.role or Role.EXTRA_DISK
    base = claim.title.rpartition("/")[2] or _fallback(claim, number)
    return Part(
        role=role,
        locator=_locator(claim),
        name=canonical_name(role, base, claim.index),
        disk_type=claim.disk_type if role in DISK_ROLES else None,
        index=claim.index,
    )


def _fallback(claim: _LayerClaim, number: int) -> str:
    if claim.role is Role.OTHER:
        return f"other-{number}"
    return f"disk.{claim.disk_type}" if claim.disk_type else "disk"


def _locator(claim: _LayerClaim) -> Blob | Member:
    if media_types.is_tar_layer(claim.layer.media_type):
        return Member(descriptor=claim.layer, path=claim.title, or_whole_blob=True)
    return Blob(descriptor=claim.layer)
