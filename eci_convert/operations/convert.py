"""Converts images: reads them in one dialect and writes them in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import read_with, writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.container_images import unikraft
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.operations.conversion_cache import ConversionCache, existing_result, recipe_of
from eci_convert.options import TransferOptions
from eci_convert.pack.preflight import cannot_hold
from eci_convert.pack.result import PushResult
from eci_convert.progress import Reporter, warn
from eci_convert.reading.images import Documents, flatten_index, load_root, right_sized, select_image
from eci_convert.reading.manifests import chosen
from eci_convert.transports.base import Sink, Source

if TYPE_CHECKING:
    from eci_convert.dialects.blueprint import Blueprint
    from eci_convert.operations.copy_request import CopyRequest
    from eci_convert.pack.image import Packing


def convert_images(
    source: Source, sink: Sink, request: CopyRequest, options: TransferOptions, existing: Source | None = None
) -> PushResult:
    """Writes the images of *source* that *request* asks for to the name of *sink*, in the format it asks for.

    Sends nothing if *existing*, which reads what the name stands for now, is what an earlier run made of them.
    """
    whole_package = request.format == "unikraft" and sink.capabilities.indexes
    root, index, images = _requested_images(
        source, request.platform, options.reporter, everything=request.all_platforms, whole_package=whole_package
    )
    if len(images) > 1 and not sink.capabilities.indexes:
        raise cannot_hold(sink, "an index of several images", "choose one image with --platform OS/ARCH")
    from eci_convert.pack.image import ImageOrigin, Packing, pack_all

    packings = [
        Packing(blueprint=_blueprint(image, index, request), origin=ImageOrigin(source=source, image=image))
        for image in images
    ]
    codec = request.codec or Codec.parse("gzip")
    cache = ConversionCache(options.conversions_directory, partial(warn, options.reporter))
    recipe = recipe_of([root, *(image.descriptor for image in images)], sink, request, codec, options.max_size)
    made = cache.result_of(recipe) if existing and not _names_variants(packings) else None
    if existing and made and (result := existing_result(existing, sink, made)):
        return result
    result = pack_all(packings, sink, codec=codec, options=options)
    if existing and not options.dry_run:
        cache.record(recipe, result.digest)
    return result


def _names_variants(packings: Sequence[Packing]) -> bool:
    """Whether more names are written than the one of the sink, and may be missing."""
    return any(packing.blueprint.index_spec and packing.blueprint.index_spec.names_variants for packing in packings)


def _blueprint(image: ImageMetadata, index: Index | None, request: CopyRequest) -> Blueprint:
    name, artifact = read_with(request.dialect, image) if request.dialect else dialects.read(image)
    platform = image.platform or Platform(os="linux", architecture="amd64")
    write = replace(request.write, platform=platform) if request.write else WriteOptions(platform=platform)
    if name == dialects.READ_AS.get(request.format, request.format):
        write = replace(write, original=image, original_index=index)
    return writer(request.format)(artifact, write)


def _requested_images(
    source: Source, platform: Platform | None, reporter: Reporter, *, everything: bool, whole_package: bool
) -> tuple[Descriptor, Index | None, list[ImageMetadata]]:
    """What the source's name refers to, the index that this is, if it is one, and the images: all of a *whole_package*
    of KraftKit's."""
    descriptor, root = load_root(source)
    documents = Documents(source)
    if whole_package and not platform and isinstance(root, Index) and unikraft.is_package(root):
        everything = True
    if not everything and isinstance(root, Index):
        chosen(flatten_index(documents, root), platform, source.origin, reporter)
    index = root if isinstance(root, Index) else None
    if not everything or isinstance(root, Manifest):
        return descriptor, index, [select_image(documents, descriptor, root, platform)]
    entries = candidates(flatten_index(documents, root))
    sized = [right_sized(source, entry) for entry in entries]
    return descriptor, index, [select_image(documents, entry, documents.manifest(entry), platform) for entry in sized]
