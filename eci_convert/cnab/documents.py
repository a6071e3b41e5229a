"""Bundles of the Cloud Native Application Bundle kind, as cnab-to-oci stores them (docs/specs/cnab.md): the documents
alone.

A bundle is an index: of its own description (a config blob, with a manifest around it) and of the images that it needs,
all in one repository. It is no machine, so it is not in DIALECTS. Every document is byte for byte the
original's, but that an empty list of layers is `[]` unless *strict* asks for the original's `null`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from eci_convert.cnab.bundle import Bundle, as_stored
from eci_convert.cnab.canonical_json import canonical
from eci_convert.errors import FormatError, UsageError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import MAX_SIZE, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import BUNDLE_COMPONENT, BUNDLE_KIND, Index
from eci_convert.oci.manifest import to_json

CONFIG_TYPE = "application/vnd.cnab.config.v1+json"

_MAINTAINER = ("name", "email", "url")


class Variant(StrEnum):
    """How the config's manifest is written: as CNAB would have it, or as registries that know less take it."""

    CNAB = "cnab"
    OCI = "oci"
    DOCKER = "docker"


def config_blob(bundle: Bundle, *, strict: bool = False) -> bytes:
    """*bundle* as the config blob: canonical JSON. *strict*: with the keys that the original knows, and no other.

    Raises FormatError for what is no bundle.
    """
    return canonical(as_stored(bundle, strict=strict))


def config_manifest(blob: bytes, variant: Variant = Variant.CNAB, *, strict: bool = False) -> tuple[bytes, str]:
    """The manifest around the config *blob*, and its media type."""
    if variant is Variant.DOCKER:
        descriptor = Descriptor.of(blob, media_types.DOCKER_CONFIG)
        entry = {"mediaType": descriptor.media_type, "size": descriptor.size, "digest": str(descriptor.digest)}
        document = {"schemaVersion": 2, "mediaType": media_types.DOCKER_MANIFEST, "config": entry, "layers": [entry]}
        return json.dumps(document, indent=3).encode(), media_types.DOCKER_MANIFEST
    config = Descriptor.of(blob, CONFIG_TYPE if variant is Variant.CNAB else media_types.OCI_CONFIG)
    document = {"schemaVersion": 2, "config": config.json(), "layers": None if strict else []}
    return to_json(document), media_types.OCI_MANIFEST


def index(
    bundle: Bundle, config: Descriptor, digests: Mapping[str, Digest] | None = None, *, docker: bool = False
) -> tuple[bytes, str]:
    """The index of *bundle*, and its media type. *config* is the config's manifest; *digests* are what the images of
    the bundle are in the repository, by the names that the bundle has for them; None: what the bundle itself says.

    Raises UsageError for a bundle that cannot be stored: not one invocation image, an image without digest, size or
    a media type of a manifest.
    """
    invocation = json_fields.optional(bundle, "invocationImages", list, "bundle", [])
    if len(invocation) != 1:
        raise UsageError(f"the bundle has {len(invocation)} invocation images: only one is supported")
    entries = [
        replace(config, annotations={BUNDLE_KIND: "config"}),
        _entry(invocation[0], digests, {BUNDLE_KIND: "invocation"}),
    ]
    images = json_fields.optional(bundle, "images", dict, "bundle", {})
    entries += [
        _entry(images[name], digests, {BUNDLE_COMPONENT: name, BUNDLE_KIND: "component"})
        for name in sorted(images, key=lambda name: str(name).encode())
    ]
    document = {
        "schemaVersion": 2,
        "manifests": [entry.json() for entry in entries],
        "annotations": dict(sorted(_annotations(bundle).items())),
    }
    if docker:
        return to_json({**document, "mediaType": media_types.DOCKER_LIST}), media_types.DOCKER_LIST
    return to_json(document), media_types.OCI_INDEX


def _entry(data: Any, digests: Mapping[str, Digest] | None, annotations: Mapping[str, str]) -> Descriptor:
    image = json_fields.typed(data, dict, "bundle.images")
    name = json_fields.optional(image, "image", str, "bundle.images", "")
    size = json_fields.optional(image, "size", int, "bundle.images", 0)
    if digests is None:
        digests = {name: Digest.parse(json_fields.optional(image, "contentDigest", str, "bundle.images", ""))}
    if name not in digests:
        raise UsageError(f"image {name!r} of the bundle is not in the relocation map")
    if not 0 < size <= MAX_SIZE:
        raise UsageError(f"the size of image {name!r} of the bundle is not set")
    return Descriptor(media_type=_type(image, name), digest=digests[name], size=size, annotations=annotations)


def _type(image: Bundle, name: str) -> str:
    kinds = {"docker": media_types.DOCKER_MANIFEST, "oci": media_types.OCI_MANIFEST}
    media_type = image.get("mediaType") or kinds.get(image.get("imageType", ""), "")
    if media_type not in media_types.DOCUMENTS:
        raise UsageError(f"image {name!r} of the bundle has no media type of a manifest: {media_type!r}")
    return str(media_type)


def _annotations(bundle: Bundle) -> dict[str, str]:
    def text(key: str) -> str:
        return json_fields.optional(bundle, key, str, "bundle", "")

    annotations = {
        "io.cnab.runtime_version": text("schemaVersion"),
        "org.opencontainers.artifactType": "application/vnd.cnab.manifest.v1",
        "org.opencontainers.image.title": text("name"),
        "org.opencontainers.image.version": text("version"),
        "org.opencontainers.image.description": text("description"),
    }
    if bundle.get("keywords") is not None:
        annotations["io.cnab.keywords"] = _inner(bundle["keywords"])
    if (maintainers := bundle.get("maintainers")) is not None:
        known = as_stored({"maintainers": maintainers}, strict=True).get("maintainers", [])
        annotations["org.opencontainers.image.authors"] = _inner(
            [{key: one[key] for key in _MAINTAINER if key in one} for one in known]
        )
    return annotations


def _inner(value: Any) -> str:
    """*value* as Go writes it into an annotation: compact, `<`, `>` and `&` escaped."""
    return to_json({"": value}).decode()[len('{"":') : -1]


def config_of(index: Index) -> Descriptor:
    """The entry of *index* that is the config's manifest. Raises FormatError where it is no bundle."""
    for entry in index.manifests:
        if entry.annotations.get(BUNDLE_KIND) == "config":
            return entry
    raise FormatError("bundle config not found", where="index.manifests")
