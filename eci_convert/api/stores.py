"""What a program does with the names of images: list, tag and delete them, join them in an index, attach files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from eci_convert.api.options import Options
from eci_convert.api.words import as_platform
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.operations import inspect as inspect_operation
from eci_convert.operations.destination import published
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
from eci_convert.transports import image_name, open_referrer_sink, open_sink, open_source
from eci_convert.transports.registry.file_request import FileRequest

_NOTHING: Final[Mapping[str, str]] = {}


def list_images(place: str, *, options: Options | None = None) -> tuple[ListedImage, ...]:
    """The images of *place*: a layout, a repository, an engine, a store (`oci:DIR`, `docker://HOST/REPO`).

    Raises UsageError, NotFoundError, AccessDeniedError, and TransportError.
    """
    return list_operation.list_images(place, (options or Options()).settings())


def tag(image: str, *names: str, options: Options | None = None) -> Digest:
    """Makes each of *names* refer to *image*, and returns its digest. A name is one of the same place, or a reference
    into it.

    Raises NotFoundError without such an image, UsageError for an invalid name, CannotHoldError for a place that cannot
    be changed, and TransportError. In all of these cases no name has changed.
    """
    return tag_operation.tag(image, names, (options or Options()).settings())


def delete(*references: str, all_tags: bool = False, options: Options | None = None) -> tuple[str, ...]:
    """Removes the names *references*, and returns the names that are gone. A reference may be an id; *all_tags* then
    removes all of its names.

    Raises NotFoundError, UsageError for an id with several names, CannotHoldError for a place that cannot be changed,
    and TransportError.
    """
    removed = delete_operation.delete(references, (options or Options()).settings(), all_tags=all_tags)
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
    images are taken, or the one for *platform*.

    Raises UsageError for two images of one platform, CannotHoldError for a place without indexes, IntegrityError, and
    TransportError.
    """
    options = options or Options()
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
        opened = [stack.enter_context(open_source(source, settings, "")) for source in sources]
        sink = stack.enter_context(open_sink(reference, settings, ""))
        result = index_operation.create(opened, sink, as_platform(platform), append)
    return published(result, reference)


def blob_url(
    reference: str,
    part: str = "",
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    follow: bool = False,
    options: Options | None = None,
) -> FileRequest:
    """The HTTP request (`.url`, `.headers`) for *part* (a role, `disk-N` or a name) of the image *reference* in a
    registry; for its manifest without *part*. The headers may hold a login.

    *follow*: the address that the registry redirects to, which needs no login. Raises UsageError outside of registries,
    MissingPartError, UnsupportedImageError for a part that is no blob, and TransportError.
    """
    options = options or Options()
    with open_source(reference, options.settings(), "docker") as source:
        inspection = inspect_operation.inspect(source, as_platform(platform), dialect)
        if not part:
            return url_operation.manifest_request(source, inspection, follow=follow)
        return url_operation.part_request(source, url_operation.choose_part(inspection, part), follow=follow)


def attach(
    reference: str,
    files: Mapping[str | os.PathLike[str], str] | Iterable[str | os.PathLike[str]],
    artifact_type: str,
    *,
    annotations: Mapping[str, str] = _NOTHING,
    platform: Platform | str | None = None,
    dry_run: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> PushResult:
    """Stores *files*, paths or a mapping of paths to media types, as an artifact that refers to the image *reference*.

    Source: image-spec v1.1.1, manifest.md, `subject`. Raises UsageError for two files of one name, LocalError,
    CannotHoldError for a place without referrers, and TransportError.
    """
    options = options or Options()
    settings = options.settings(progress, dry_run=dry_run)
    typed = files if isinstance(files, Mapping) else dict.fromkeys(files, attach_operation.DEFAULT_TYPE)
    attachments = [
        Attachment(path=Path(path), media_type=attach_operation.check_media_type(media_type))
        for path, media_type in typed.items()
    ]
    with open_referrer_sink(reference, settings) as sink, open_source(reference, settings, "") as source:
        subject = attach_operation.subject_of(source, as_platform(platform))
        return attach_operation.attach(
            subject,
            sink,
            attachments,
            artifact_type,
            annotations=dict(annotations),
            options=options.transfer(progress, dry_run=dry_run),
        )
