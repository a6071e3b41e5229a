"""Image indexes, and the selection of an entry for a platform; CNAB bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eci_convert.errors import UnsupportedImageError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor, descriptors
from eci_convert.oci.json_fields import Fields
from eci_convert.oci.platform import Platform, host_platform, variant_rank

BUNDLE_KIND = "io.cnab.manifest.type"
"""An annotation of each entry: `config`, `invocation` or `component`."""

BUNDLE_COMPONENT = "io.cnab.component.name"
"""An annotation of a component: its name in the bundle."""

BUNDLE_HINT = (
    "hint: `eci-convert cnab pull` writes its bundle.json, `copy` copies all of it, and one of its images is "
    "NAME@sha256:…"
)


class IsBundleError(UnsupportedImageError):
    """*index* is a CNAB bundle where an image was expected."""

    def __init__(self, index: Index, where: str) -> None:
        images = [entry for entry in index.manifests if entry.annotations.get(BUNDLE_KIND) != "config"]
        names = (
            f"{entry.annotations.get(BUNDLE_COMPONENT, 'invocation image')} {entry.digest.short}" for entry in images
        )
        super().__init__(f"{where} is a CNAB bundle, not an image: it has {', '.join(names) or 'no images'}")
        self.index = index
        self.add_note(BUNDLE_HINT)


def is_bundle(index: Index) -> bool:
    """Whether *index* is a bundle: by its annotations, or because one of its entries is the bundle's config."""
    return "io.cnab.runtime_version" in index.annotations or any(
        entry.annotations.get(BUNDLE_KIND) == "config" for entry in index.manifests
    )


def check_no_bundle(index: Index, where: str) -> None:
    """Raises IsBundleError if *index*, located at *where*, is a bundle."""
    if is_bundle(index):
        raise IsBundleError(index, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Several images under one name (image-spec v1.1.1, image-index.md; Docker manifest list)."""

    manifests: tuple[Descriptor, ...]
    media_type: str = media_types.OCI_INDEX
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    subject: Descriptor | None = None
    schema_version: int = 2

    def json(self) -> dict[str, Any]:
        """The JSON object, in the order of Go's `specs-go`, of schema version 2."""
        fields: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            fields["artifactType"] = self.artifact_type
        fields["manifests"] = [entry.json() for entry in self.manifests]
        if self.subject:
            fields["subject"] = self.subject.json()
        if self.annotations:
            fields["annotations"] = dict(sorted(self.annotations.items()))
        return fields


def parse_index(data: Fields, media_type: str, where: str) -> Index:
    subject = json_fields.optional(data, "subject", dict, where, {})
    return Index(
        media_type=media_type,
        manifests=descriptors(data, "manifests", where),
        annotations=json_fields.strings(data, "annotations", where),
        artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
        subject=Descriptor.parse(subject, f"{where}.subject") if subject else None,
        schema_version=data.get("schemaVersion") or 0,
    )


_DESCRIBED: Final = 8  # entries listed in an error
_NEUTRAL: Final = ("org.opencontainers.", "io.containerd.")
"""Annotations that do not distinguish entries: names, versions, descriptions."""
_ATTESTATION = "vnd.docker.reference.type"


def candidates(index: Index) -> tuple[Descriptor, ...]:
    """The entries of *index* that are images, without attestations and entries for `unknown/unknown`."""
    return tuple(
        entry
        for entry in index.manifests
        if entry.media_type in media_types.DOCUMENTS | {""}
        and _ATTESTATION not in entry.annotations
        and not (entry.platform and entry.platform.os == "unknown" and entry.platform.architecture == "unknown")
    )


def select(index: Index, platform: Platform | None, where: str = "index") -> Descriptor:
    """The entry of *index* for *platform*; None: the only image, else the one for this computer.

    Of several matches, the one with the highest variant is selected, then the one whose variant is spelt as requested,
    then the first. Raises UnsupportedImageError, listing what there is, also if equally good entries differ in
    annotations or artifact types.
    """
    check_no_bundle(index, where)
    images = candidates(index)
    if platform is None and len(images) == 1:
        return images[0]
    requested = platform or host_platform()
    suiting = sorted(
        (rank, entry.platform.variant != requested.variant, number)
        for number, entry in enumerate(images)
        if entry.platform and (rank := variant_rank(entry.platform, requested)) is not None
    )
    if suiting:
        _check_alike([images[number] for rank, _, number in suiting if rank == suiting[0][0]], requested, where)
        return images[suiting[0][2]]
    available = (
        ", ".join(sorted({str(entry.platform) if entry.platform else "(none named)" for entry in images})) or "nothing"
    )
    error = UnsupportedImageError(f"{where} has no image for {requested}: it has {available}")
    error.add_note("hint: select one with --platform OS/ARCH")
    raise error


def _check_alike(entries: list[Descriptor], requested: Platform, where: str) -> None:
    """Raises UnsupportedImageError unless *entries*, which match equally well, are of one kind."""
    distinct = list({entry.digest: entry for entry in entries}.values())
    if all(_kind(entry) == _kind(distinct[0]) for entry in distinct):
        return
    listed = "; ".join(map(_described, distinct[:_DESCRIBED]))
    more = f"; and {len(distinct) - _DESCRIBED} more" if len(distinct) > _DESCRIBED else ""
    error = UnsupportedImageError(f"{where} has {len(distinct)} different images for {requested}: {listed}{more}")
    error.add_note("hint: select one by its digest, NAME@sha256:…; copy --all-platforms copies the whole index")
    raise error


def _kind(entry: Descriptor) -> tuple[str, dict[str, str]]:
    return entry.artifact_type, {key: value for key, value in entry.annotations.items() if not key.startswith(_NEUTRAL)}


def _described(entry: Descriptor) -> str:
    artifact_type, annotations = _kind(entry)
    marks = {"artifactType": artifact_type} if artifact_type else {}
    texts = [f"{key}={value}"[:120] for key, value in list((marks | annotations).items())[:4]]
    return " ".join([str(entry.digest), str(entry.platform), *texts])
