"""Operations on the names of images: list, tag, delete, create an index, get a blob's URL, attach files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from eci_convert.api.options import Options
from eci_convert.api.words import as_platform, as_words
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.operations import inspect as inspect_operation
from eci_convert.operations.destination import digest_reference, with_pinned_reference
from eci_convert.operations.store import attach as attach_operation
from eci_convert.operations.store import delete as delete_operation
from eci_convert.operations.store import index as index_operation
from eci_convert.operations.store import list as list_operation
from eci_convert.operations.store import tag as tag_operation
from eci_convert.operations.store import url as url_operation
from eci_convert.operations.store.attach import Attachment
from eci_convert.operations.store.list import ListedImage
from eci_convert.operations.store.strategy import AppendOptions
from eci_convert.pack.result import PushResult
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.open_image import open_image
from eci_convert.transports import image_name, open_referrer_sink, open_sink
from eci_convert.transports.traits import FileRequest

_NOTHING: Final[Mapping[str, str]] = {}


def list_images(
    place: str, *, progress: Reporter | None = None, options: Options | None = None
) -> tuple[ListedImage, ...]:
    """The images of *place*: a layout, a repository, an engine or a store (`oci:DIR`, `docker://HOST/REPO`).

    An image whose manifests or config cannot be read is listed without their data, after a warning to *progress*.
    Raises UsageError if *place* names an image, NotFoundError, AccessDeniedError, and TransportError.
    """
    return list_operation.list_images(place, (options or Options()).settings(progress))


def tag(image: str, *names: str, dry_run: bool = False, options: Options | None = None) -> Digest:
    """Makes each of *names* refer to *image*, and returns its digest. A name is a tag or a reference in the same store
    or repository. *dry_run* changes nothing.

    Raises NotFoundError if there is no such image, UsageError for an invalid name, CannotHoldError for a store that is
    read only: then no name was changed. Raises TransportError too: a registry then has the names before the failed one.
    """
    return tag_operation.tag(image, names, (options or Options()).settings(dry_run=dry_run))


def delete(
    *references: str, all_tags: bool = False, dry_run: bool = False, options: Options | None = None
) -> tuple[str, ...]:
    """Removes the names *references*, and returns the removed names as in `list_images`; the digest of an image without
    a name. A reference may be an id; *all_tags* removes all names of the images. *dry_run* changes nothing, and returns
    what would be removed.

    Raises NotFoundError for a missing image, and removes nothing then; UsageError for an id with several names,
    CannotHoldError for a store that is read only, and TransportError.
    """
    settings = (options or Options()).settings(dry_run=dry_run)
    removed = delete_operation.delete(references, settings, all_tags=all_tags)
    return tuple(entry.name or str(entry.digest) for _, entry in removed)


def create_index(
    reference: str,
    sources: Iterable[str],
    *,
    platform: Platform | str | None = None,
    annotations: Mapping[str, str] = _NOTHING,
    max_size: int | None = None,
    dry_run: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> PushResult:
    """Makes *reference* an index of the images *sources*, each for its own platform. Of a source that is an index all
    images are included, or the one for *platform*. An existing image *reference* is replaced.

    Raises UsageError for two images for one platform, UnsupportedImageError for an image without a platform,
    CannotHoldError for a transport without indexes, IntegrityError, and TransportError.
    """
    options = options or Options()
    index_operation.check_name(reference)
    settings = options.settings(progress, dry_run=dry_run)
    append = AppendOptions(
        name=image_name(reference),
        annotations=dict(annotations),
        max_size=max_size,
        concurrency=options.concurrency,
        dry_run=dry_run,
        reporter=progress or NULL_REPORTER,
    )
    with ExitStack() as stack:
        opened = [stack.enter_context(open_image(source, settings.for_reading())) for source in as_words(sources)]
        sink = stack.enter_context(open_sink(reference, settings, ""))
        result = index_operation.create(opened, sink, as_platform(platform), append)
    return with_pinned_reference(result, reference)


def blob_url(
    reference: str,
    part: str = "",
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    follow: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> FileRequest:
    """The HTTP GET request (`.url`, `.headers`) for *part* (a role, `disk-N` or a name) of the image *reference* in a
    registry, compressed as stored there; without *part*, for its manifest. A reference without a transport is in a
    registry. The headers may contain an Authorization, and the Range of the part in a layer.

    *follow*: the URL that the registry redirects to, which needs no credentials. Raises UsageError for other
    transports, MissingPartError, AmbiguousRoleError, UnsupportedImageError for a part that must be unpacked, and
    TransportError.
    """
    options = options or Options()
    with open_image(reference, options.settings(progress).for_reading(), "docker") as source:
        inspection = inspect_operation.inspect(source, as_platform(platform), dialect)
        if not part:
            return url_operation.manifest_request(source, inspection, follow=follow)
        chosen = url_operation.choose_part(inspection, part)
        return url_operation.part_request(source, chosen, follow=follow, reporter=progress or NULL_REPORTER)


def attach(
    reference: str,
    files: Mapping[str | os.PathLike[str], str] | Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    artifact_type: str,
    *,
    annotations: Mapping[str, str] = _NOTHING,
    platform: Platform | str | None = None,
    dry_run: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> PushResult:
    """Stores *files*, a path, paths or a mapping of paths to media types, as an artifact that refers to the image
    *reference*. It has no name: the result's reference has its digest; it is "" for containerd, where an image without
    a name cannot be read.

    Source: image-spec v1.1.1, manifest.md, `subject`. Raises UsageError for two files with one name, and without both
    files and *annotations*; NotFoundError, LocalError, CannotHoldError for a transport without referrers, and
    TransportError.
    """
    options = options or Options()
    settings = options.settings(progress, dry_run=dry_run)
    if isinstance(files, str | os.PathLike):
        files = [files]
    typed = files if isinstance(files, Mapping) else dict.fromkeys(files, attach_operation.DEFAULT_TYPE)
    attachments = [
        Attachment(path=Path(path), media_type=attach_operation.check_media_type(media_type))
        for path, media_type in typed.items()
    ]
    attach_operation.check_anything(attachments, annotations)
    with open_referrer_sink(reference, settings) as sink, open_image(reference, settings) as source:
        subject = attach_operation.subject_of(source, as_platform(platform))
        result = attach_operation.attach(
            subject,
            sink,
            attachments,
            artifact_type,
            annotations=dict(annotations),
            options=options.transfer(progress, dry_run=dry_run),
        )
    return replace(result, reference=digest_reference(reference, result.digest))
