"""Pushes the config, the index and the tag of a bundle whose images are all in the repository."""

from __future__ import annotations

from dataclasses import replace

from eci_convert.cnab import documents
from eci_convert.cnab.bundle import Bundle
from eci_convert.cnab.documents import Variant
from eci_convert.cnab.registries import Registries
from eci_convert.errors import AccessDeniedError, NotFoundError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.base import Sink


def push(
    bundle: Bundle,
    target: Reference,
    registries: Registries,
    *,
    allow_fallbacks: bool = True,
    strict: bool = False,
    dry_run: bool = False,
) -> Descriptor:
    """Pushes *bundle*, whose images `fixup` put into the repository, to *target*, and returns what was pushed.

    A registry that refuses CNAB's config type is sent OCI's, then Docker's manifest; one that refuses an OCI index, a
    Docker list. Not *allow_fallbacks*: the first refusal is final. *strict* writes the original's bytes. What is there
    already is not sent again. *dry_run* sends nothing, and says what would be pushed if nothing is refused.

    Raises UsageError for a bundle that cannot be stored, and what the registry raises.
    """
    blob = documents.config_blob(bundle, strict=strict)
    variants = tuple(Variant) if allow_fallbacks else (Variant.CNAB,)
    manifests = [_with_descriptor(*documents.config_manifest(blob, variant, strict=strict)) for variant in variants]
    first, _ = _with_descriptor(*documents.index(bundle, manifests[0][0]))  # raises before anything is sent
    if dry_run:
        return first
    config = _push_config(blob, manifests, target, registries)
    indexes = [_with_descriptor(*documents.index(bundle, config))]
    if allow_fallbacks:
        indexes.append(_with_descriptor(*documents.index(bundle, config, docker=True)))
    return _push_index(indexes, target, registries)


def _with_descriptor(content: bytes, media_type: str) -> tuple[Descriptor, bytes]:
    return Descriptor.of(content, media_type), content


def _push_config(
    blob: bytes, manifests: list[tuple[Descriptor, bytes]], target: Reference, registries: Registries
) -> Descriptor:
    """The first of *manifests* that the registry has or takes."""
    with registries.sink(replace(target, tag="", digest=None)) as sink:
        _put_blob(sink, blob)
        for descriptor, _ in manifests:
            if sink.has(descriptor):
                return descriptor
        refusal: TransportError | None = None
        for descriptor, content in manifests:
            try:
                _publish(sink, descriptor, content)
            except AccessDeniedError:
                raise
            except TransportError as error:
                refusal = error
            else:
                return descriptor
    raise _about_config(refusal)


def _put_blob(sink: Sink, blob: bytes) -> None:
    descriptor = Descriptor.of(blob, documents.CONFIG_TYPE)
    if not sink.has(descriptor):
        sink.put(descriptor.media_type, [blob], digest=descriptor.digest, size=descriptor.size)


def _about_config(refusal: TransportError | None) -> TransportError:
    error = TransportError(f"error while pushing bundle config manifest: {refusal}")
    for note in getattr(refusal, "__notes__", []):
        error.add_note(note)
    return error


def _push_index(indexes: list[tuple[Descriptor, bytes]], target: Reference, registries: Registries) -> Descriptor:
    """The first of *indexes* that the target is already, or that the registry takes."""
    current = _current(target, registries)
    with registries.sink(replace(target, digest=None)) as sink:
        for descriptor, _ in indexes:
            if descriptor.digest == current or (not target.tag and sink.has(descriptor)):
                return descriptor
        for descriptor, content in indexes[:-1]:
            try:
                _publish(sink, descriptor, content)
            except AccessDeniedError:
                raise
            except TransportError:
                continue
            return descriptor
        descriptor, content = indexes[-1]
        _publish(sink, descriptor, content)
        return descriptor


def _current(target: Reference, registries: Registries) -> Digest | None:
    """The current root of *target*; None if it has none, or if that is unknown."""
    if not target.tag:
        return None
    try:
        with registries.source(replace(target, digest=None)) as source:
            return source.resolve().digest
    except (NotFoundError, AccessDeniedError):
        return None


def _publish(sink: Sink, descriptor: Descriptor, content: bytes) -> None:
    sink.put(descriptor.media_type, [content], digest=descriptor.digest, size=descriptor.size)
    sink.publish(descriptor)
