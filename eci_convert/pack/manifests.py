"""Config, manifest and index: written last, when the blobs are known."""

from __future__ import annotations

from dataclasses import replace

from eci_convert.dialects.blueprint import Blueprint, IndexSpec, Recipe, StoredBlob
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.pack.blob_writer import BlobWriter


def recipes(blueprint: Blueprint) -> dict[int, Recipe]:
    """All recipes of *blueprint* by number: those of the layers, in order, and of a config that is a recipe."""
    all_recipes = [*blueprint.recipes]
    if isinstance(blueprint.config, Recipe):
        all_recipes.append(blueprint.config)
    return dict(enumerate(all_recipes))


def store_manifest(
    blueprint: Blueprint, written: dict[int, StoredBlob], writer: BlobWriter
) -> tuple[Manifest, Descriptor]:
    """Writes config and manifest; the manifest, and its descriptor as the entry of an index has it."""
    layers = tuple(written[number] for number in range(len(blueprint.recipes)))
    if isinstance(blueprint.config, Recipe):
        config = written[len(layers)].descriptor
    else:
        config = writer.write_manifest(blueprint.config(layers), blueprint.config_type, again=False)
        config = replace(config, annotations=blueprint.config_annotations)
    manifest = Manifest(
        config=replace(config, platform=blueprint.config_platform),
        layers=tuple(layer.descriptor for layer in layers),
        media_type=blueprint.manifest_type or media_types.OCI_MANIFEST,
        annotations=blueprint.annotations,
        artifact_type=blueprint.artifact_type,
    )
    stored = writer.write_manifest(
        manifest_text(manifest, typed=blueprint.manifest_type is not None), manifest.media_type
    )
    annotations = blueprint.index_spec.entry if blueprint.index_spec else {}
    return manifest, replace(stored, platform=blueprint.platform, annotations=annotations)


def manifest_text(manifest: Manifest, *, typed: bool) -> bytes:
    """The JSON of *manifest*; not *typed*, without its own media type (docs/specs/ironcore.md#4)."""
    document = manifest.json()
    if not typed:
        del document["mediaType"]
    return to_json(document)


def store_index(spec: IndexSpec, entries: tuple[Descriptor, ...], writer: BlobWriter) -> Descriptor:
    """Writes the index of *entries*, and returns its descriptor."""
    index = index_of(spec, entries)
    return writer.write_manifest(to_json(index), index.media_type)


def index_of(spec: IndexSpec, entries: tuple[Descriptor, ...]) -> Index:
    """The index of *entries*."""
    return Index(manifests=entries, annotations=spec.annotations, artifact_type=spec.artifact_type)


def without_index_fields(entry: Descriptor) -> Descriptor:
    """*entry* without what only an index has to say about it."""
    return replace(entry, platform=None, annotations={})
