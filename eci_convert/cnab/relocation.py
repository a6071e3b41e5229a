"""Relocation maps: where each image of a bundle is, by the name that the bundle has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from eci_convert.cnab.bundle import Bundle
from eci_convert.cnab.go_json import decode
from eci_convert.errors import FormatError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import BUNDLE_COMPONENT, BUNDLE_KIND, Index
from eci_convert.oci.reference import Reference

RelocationMap = Mapping[str, str]


def parse_relocation_map(content: bytes, where: str = "relocation map") -> dict[str, str]:
    """The map in *content*, a JSON object of texts. Raises FormatError."""
    members = json_fields.typed(decode(content, where), dict, where)
    return {name: json_fields.typed(place, str, f"{where}[{name!r}]") for name, place in members.items()}


def relocated(target: Reference, digest: Digest) -> str:
    """The value of a map for an image with *digest* in the repository of *target*: the host is always there."""
    return str(replace(target, tag="", digest=digest))


def relocation_map(bundle: Bundle, index: Index, repository: str) -> dict[str, str]:
    """Where each image of *bundle* is now, by its name in the bundle: *repository*, and the digest that *index* has.

    An image without a name is there under its contentDigest. Raises FormatError for an index that is not this bundle's.
    """
    places: dict[str, str] = {}
    for number, entry in enumerate(index.manifests):
        where = f"index.manifests[{number}]"
        if entry.media_type not in media_types.DOCUMENTS:
            raise FormatError(f"{entry.media_type!r} is not the media type of a manifest", where=where)
        image = _image_of(bundle, entry, where)
        if image is not None:
            places[image_key(image)] = f"{repository}@{entry.digest}"
    return places


def image_key(image: Bundle) -> str:
    """What *image*, an image of a bundle, is called in a map: its name, or where it has none, its digest."""
    return json_fields.optional(image, "image", str, "bundle.images", "") or json_fields.optional(
        image, "contentDigest", str, "bundle.images", ""
    )


def _image_of(bundle: Bundle, entry: Descriptor, where: str) -> Bundle | None:
    """The image of *bundle* that *entry* is, or None if it is the config."""
    match json_fields.required(entry.annotations, BUNDLE_KIND, str, f"{where}.annotations"):
        case "config":
            return None
        case "invocation":
            images = json_fields.required(bundle, "invocationImages", list, "bundle")
            return json_fields.typed(images[0] if images else None, dict, "bundle.invocationImages[0]")
        case "component":
            name = json_fields.required(entry.annotations, BUNDLE_COMPONENT, str, f"{where}.annotations")
            components = json_fields.optional(bundle, "images", dict, "bundle", {})
            return json_fields.required(components, name, dict, "bundle.images")
        case kind:
            raise FormatError(f"{kind!r} is not a kind of manifest in a bundle", where=where)
