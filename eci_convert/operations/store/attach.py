"""Attaches files (SBOMs, build logs) to an image (image-spec v1.1.1, manifest.md, `subject`)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from eci_convert.dialects.blueprint import Recipe
from eci_convert.errors import CannotHoldError, ManifestRefusedError, UsageError
from eci_convert.model import LocalFile, Part, Role
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.options import TransferOptions
from eci_convert.pack.blob_writer import BlobWriter
from eci_convert.pack.dry_run import DryRunSink
from eci_convert.pack.result import PushResult
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.base import Sink, Source

DEFAULT_TYPE = "application/octet-stream"

_EMPTY = b"{}"
_DEFAULTS = TransferOptions()
_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file to attach, and the media type of its blob."""

    path: Path
    media_type: str = DEFAULT_TYPE


def parse_attachment(text: str) -> Attachment:
    """The attachment that *text*, `FILE[:MEDIA-TYPE]`, names. A path that is there may hold colons. Raises UsageError.

    >>> parse_attachment("sbom.json:application/spdx+json").media_type
    'application/spdx+json'
    """
    path, colon, media_type = text.rpartition(":")
    if not colon or os.path.exists(text):
        return Attachment(path=Path(text))
    if not path:
        raise UsageError(f"{text!r} names no file")
    if not os.path.exists(path) and not _MEDIA_TYPE.fullmatch(media_type):
        return Attachment(path=Path(text))
    return Attachment(path=Path(path), media_type=check_media_type(media_type))


def check_media_type(text: str) -> str:
    """*text*, which is a media type (RFC 6838 §4.2). Raises UsageError."""
    if not _MEDIA_TYPE.fullmatch(text):
        raise UsageError(f"{text!r} is not a media type: write TYPE/SUBTYPE, such as application/spdx+json")
    return text


def check_anything(attachments: Sequence[Attachment], annotations: Mapping[str, str]) -> None:
    """Raises UsageError where there is nothing to attach."""
    if not attachments and not annotations:
        raise UsageError("nothing to attach: name a file, or give an annotation")


def subject_of(source: Source, platform: Platform | None = None) -> Descriptor:
    """The descriptor to attach to: the root of *source*, or with *platform* one image of an index.

    Raises CannotHoldError where the place keeps no manifest of it that others could refer to.
    """
    descriptor = load_image(source, platform).descriptor if platform else load_root(source)[0]
    if source.traits.synthetic or descriptor.data is not None:
        error = CannotHoldError(f"{source.origin} has no manifest of its own that files could refer to")
        error.add_note("hint: choose one image of several with --platform, or a place that keeps manifests")
        raise error
    return Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size)


def attach(
    subject: Descriptor,
    sink: Sink,
    attachments: Sequence[Attachment],
    artifact_type: str,
    *,
    annotations: Mapping[str, str],
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Stores *attachments* in *sink* as an artifact of *artifact_type* that refers to *subject*.

    *sink* is that of `open_referrer_sink`, for the place of the subject. The same files make the same artifact.
    Where a registry refuses manifests with an artifactType, the type is that of the config.

    Raises UsageError for two files of one name, and for neither a file nor an annotation; NotFoundError and LocalError
    for files that cannot be read, and what the sink raises.
    """
    check_anything(attachments, annotations)
    check_media_type(artifact_type)
    _check_names(attachments)
    target = DryRunSink(sink) if options.dry_run else sink
    writer = BlobWriter(target, probe=True, reporter=options.reporter)
    with ThreadPoolExecutor(options.concurrency, thread_name_prefix="attach") as pool:
        layers = tuple(blob.descriptor for blob in pool.map(writer.write_local, map(_recipe, attachments)))
    empty = writer.write_manifest(_EMPTY, media_types.OCI_EMPTY, again=False)
    manifest = Manifest(
        config=empty,
        layers=layers or (empty,),
        annotations=annotations,
        artifact_type=artifact_type,
        subject=subject,
    )
    artifact_types = sink.capabilities.artifact_types
    if artifact_types is False:
        manifest = _typed_by_config(manifest)
    try:
        descriptor = _publish(manifest, writer)
    except ManifestRefusedError:
        if artifact_types is True or not manifest.artifact_type:
            raise
        manifest = _typed_by_config(manifest)
        descriptor = _publish(manifest, writer)
    return PushResult(
        descriptor=descriptor,
        manifest=manifest,
        bytes_sent=writer.bytes_sent,
        bytes_reused=writer.bytes_reused,
    )


def _check_names(attachments: Sequence[Attachment]) -> None:
    seen: set[str] = set()
    for attachment in attachments:
        name = attachment.path.name
        if not name:
            raise UsageError(f"{str(attachment.path)!r} is no file")
        if name in seen:
            raise UsageError(f"two files are called {name!r}, and whoever takes them out gets one")
        seen.add(name)


def _recipe(attachment: Attachment) -> Recipe:
    part = Part(role=Role.OTHER, locator=LocalFile(path=attachment.path), name=attachment.path.name)
    return Recipe(part=part, media_type=attachment.media_type, annotations={TITLE: attachment.path.name})


def _typed_by_config(manifest: Manifest) -> Manifest:
    """*manifest* as artifacts were typed before image-spec v1.1."""
    config = replace(manifest.config, media_type=manifest.artifact_type)
    return replace(manifest, config=config, artifact_type="")


def _publish(manifest: Manifest, writer: BlobWriter) -> Descriptor:
    descriptor = writer.write_manifest(to_json(manifest), manifest.media_type)
    writer.sink.publish(descriptor)
    return descriptor
