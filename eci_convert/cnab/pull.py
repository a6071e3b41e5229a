"""Pulls a bundle from a repository, with its relocation map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from eci_convert.cnab import documents
from eci_convert.cnab.bundle import parse
from eci_convert.cnab.registries import Registries
from eci_convert.cnab.relocation import relocation_map
from eci_convert.errors import FormatError, UnsupportedImageError
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index, is_bundle
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.reference import Reference
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_manifest, load_root


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledBundle:
    """A bundle, where its images are, and the digest of the index that it was."""

    bundle: dict[str, Any]
    relocation_map: dict[str, str]
    digest: Digest


def pull(reference: Reference, registries: Registries, *, strict: bool = False) -> PulledBundle:
    """The bundle that *reference* stands for, in any OCI index or Docker list; every byte is verified.

    Raises UnsupportedImageError for what is no bundle, FormatError for a malformed one, and what the registry raises.
    """
    with registries.source(reference) as source:
        descriptor, index = load_root(source)
        if not isinstance(index, Index):
            raise UnsupportedImageError(f'invalid media type "{descriptor.media_type}" for bundle manifest')
        if not is_bundle(index):
            raise UnsupportedImageError(
                f'failed to get bundle config manifest from "{reference.familiar}": bundle config not found'
            )
        manifest = load_manifest(source, documents.config_of(index))
        if not isinstance(manifest, Manifest):
            raise FormatError("the config of the bundle is an index", where=source.origin)
        blob = load_document(source, manifest.config, "bundle config")
    bundle = dict(parse(blob, strict=strict))
    repository = replace(reference, tag="", digest=None).familiar
    return PulledBundle(
        bundle=bundle, relocation_map=relocation_map(bundle, index, repository), digest=descriptor.digest
    )
