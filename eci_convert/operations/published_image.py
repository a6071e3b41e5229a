"""The digest, the image id and the pinned reference of an image that was just written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.reference import Reference
from eci_convert.pack.result import PushResult
from eci_convert.transports import open_source, parse_reference
from eci_convert.transports.base import IMAGE_ID_ANNOTATION
from eci_convert.transports.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """What an image that was just written is known by. *pinned* is its reference by *digest*, which is the image id
    where no manifest is kept; *image_id* is "" for an index."""

    pinned: str
    digest: str
    image_id: str


def published_image(
    reference: str, packed: PushResult, settings: Settings, default: str = "docker-daemon"
) -> PublishedImage:
    """How the image *packed*, which *reference* stands for now, is named by its digest. *default* is the transport of
    a bare name. Raises what the Docker engine raises when it is asked for the image's id."""
    scheme, rest = parse_reference(reference, default)
    image_id = str(packed.manifest.config.digest) if isinstance(packed.manifest, Manifest) else ""
    if scheme.name == "docker-daemon":
        with open_source(reference, settings, default) as source:
            image_id = str(source.resolve().annotations.get(IMAGE_ID_ANNOTATION, ""))
        return PublishedImage(pinned=f"docker-daemon:{image_id}", digest=image_id, image_id=image_id)
    digest = str(packed.descriptor.digest) if scheme.keeps_manifests else image_id
    if scheme.name == "docker":
        return PublishedImage(pinned=by_digest(rest, digest), digest=digest, image_id=image_id)
    name = reference.removesuffix(f"@{digest}")
    return PublishedImage(pinned=f"{name}@{digest}", digest=digest, image_id=image_id)


def by_digest(name: str, digest: str) -> str:
    """The reference to *digest* as `docker pull` takes it: *name*, which is in a registry, and no transport.

    >>> by_digest("localhost:5000/edge:1", "sha256:" + 64 * "0").replace(64 * "0", "0…")
    'localhost:5000/edge:1@sha256:0…'
    """
    return str(replace(Reference.parse(name), digest=Digest.parse(digest)))
