"""Finds an image of a bundle, and copies it into the bundle's repository under its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from eci_convert.cnab.bundle import Bundle
from eci_convert.cnab.platform_filter import filter_index
from eci_convert.cnab.registries import Registries
from eci_convert.errors import AccessDeniedError, EciError, NotFoundError, TransportError, UsageError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference
from eci_convert.operations import copy
from eci_convert.operations.copy import BlobCopier
from eci_convert.options import TransferOptions
from eci_convert.reading.manifests import Document, documents_of, fetch_document
from eci_convert.transports.base import Sink, Source

_IMAGE_TYPES = frozenset({"docker", "oci", ""})


class ImageNotFoundError(NotFoundError):
    """No place has the image; each note is one attempt."""


class ImageDeniedError(AccessDeniedError):
    """The same where a place would not say."""


class ImageUnreachableError(TransportError):
    """The same where a place did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image in a registry that can be copied, or *is_copied* already. *root* is its manifest or index."""

    root: Descriptor
    source: Source
    reference: Reference | None
    is_copied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFinder:
    """Looks for images in registries, and with *use_engine* in the local engine, from which it pushes them to the
    repository of *target*. *trust_digests*: an image that the repository has under the digest that the bundle promises
    is the one, and the engine need not be asked."""

    registries: Registries
    target: Reference
    use_engine: bool
    trust_digests: bool
    dry_run: bool = False

    @contextmanager
    def find(self, image: Bundle, service: str, relocated: str) -> Iterator[FoundImage]:
        """Where *image*, which is *service* of the bundle, is. *relocated* is where a relocation map has it, "" where
        it has not. Raises ImageNotFoundError, ImageDeniedError, ImageUnreachableError."""
        name = str(image.get("image") or "")
        digest = str(image.get("contentDigest") or "")
        errors: list[tuple[str, EciError]] = []
        with ExitStack() as stack:
            for what, attempt in self._attempts(name, digest, relocated):
                try:
                    found = attempt(stack)
                except EciError as error:
                    errors += [(what, error)] if what else []
                else:
                    break
            else:
                raise _unresolved(relocated or name, service, errors)
            yield found

    def _attempts(self, name: str, digest: str, relocated: str) -> Iterator[tuple[str, _Attempt]]:
        """The places to try, in order, with the description of each for an error; "": not mentioned."""
        repository = replace(self.target, tag="", digest=None)

        def promised(stack: ExitStack) -> FoundImage:
            return self._in_registry(stack, f"{repository}@{digest}")

        has_promise = self.use_engine and self.trust_digests and digest
        if not name and self.use_engine:
            if has_promise:
                yield "", promised
            what = f"failed to push digested image @{digest} to target {repository.familiar}"
            yield what, lambda stack: self._in_engine(stack, digest)
        if relocated:
            yield f"failed to resolve image {relocated}", lambda stack: self._in_registry(stack, relocated)
        if name:
            yield f"failed to resolve image {name}", lambda stack: self._in_registry(stack, name)
            if has_promise:
                yield "", promised
            if self.use_engine:
                yield f"failed to push local image {name}", lambda stack: self._in_engine(stack, name)
            return
        for what in ("resolve image in relocation map", "resolve image", *(["push local image"] * self.use_engine)):
            yield f"failed to {what}", _refuse_empty_name

    def _in_registry(self, stack: ExitStack, name: str) -> FoundImage:
        reference = Reference.parse(name)
        source = stack.enter_context(self.registries.source(reference))
        try:
            return FoundImage(root=source.resolve(), source=source, reference=reference)
        except NotFoundError as error:
            raise NotFoundError(f"{reference.familiar}: not found") from error

    def _in_engine(self, stack: ExitStack, name: str) -> FoundImage:
        """The image of the engine, which is in the repository now: a copy by digest moves no tag."""
        if not name:
            raise UsageError("an image without a name and without a contentDigest")
        source = stack.enter_context(self.registries.engine(name))
        settings = self.registries.settings
        with self.registries.sink(replace(self.target, tag="", digest=None)) as sink:
            options = TransferOptions(
                reporter=settings.reporter, concurrency=settings.concurrency, dry_run=self.dry_run
            )
            packed = copy.copy(source, sink, options=options)
        root = replace(packed.descriptor, media_type=packed.descriptor.media_type or packed.manifest.media_type)
        reference = replace(self.target, tag="", digest=root.digest)
        copied = stack.enter_context(self.registries.source(reference))
        return FoundImage(root=root, source=copied, reference=reference, is_copied=True)


_Attempt = Callable[[ExitStack], FoundImage]


def _refuse_empty_name(stack: ExitStack) -> FoundImage:
    raise UsageError('invalid source ref : "" is not a valid reference: invalid reference format')


def check_image(image: Bundle, service: str) -> None:
    """Raises UsageError for an image of a type that no registry holds."""
    kind, media_type = image.get("imageType") or "", image.get("mediaType") or ""
    if kind not in _IMAGE_TYPES:
        reason = f'image type "{kind}" is not supported'
    elif media_type and media_type not in media_types.DOCUMENTS:
        reason = f'image media type "{media_type}" is not supported'
    else:
        return
    raise UsageError(f'invalid image "{image.get("image") or ""}" for service "{service}": {reason}')


def filtered(found: FoundImage, platforms: Sequence[Platform]) -> Document | None:
    """The index of *found* for *platforms* alone; None where it stays as it is. Raises MissingPartError."""
    if not platforms or found.root.media_type not in media_types.INDEXES:
        return None
    document = fetch_document(found.source, found.root)
    where = found.reference.familiar if found.reference else found.source.origin
    result = filter_index(document, platforms, where)
    return None if result is document else result


def copy_image(found: FoundImage, index: Document | None, sink: Sink, options: TransferOptions) -> None:
    """Copies *found*, or *index* instead of it, to the name of *sink*, which is a repository: manifests that it has are
    not sent again, and of those that it has not, blobs that it has."""
    root = index.descriptor if index else found.root
    if sink.has(root):
        return
    root_document = index or fetch_document(found.source, root)
    documents = [
        _without_foreign_layers(document)
        for document in documents_of(found.source, root_document)[:-1]
        if not sink.has(replace(document.descriptor, media_type=document.value.media_type))
    ]
    documents.append(_without_foreign_layers(root_document))
    BlobCopier(found.source, sink, options, None).copy_all(documents)


def _without_foreign_layers(document: Document) -> Document:
    """*document*, of which the blobs that are elsewhere, by their URLs, are not copied; its bytes list them still."""
    if not isinstance(document.value, Manifest):
        return document
    layers = tuple(layer for layer in document.value.layers if not layer.urls)
    return replace(document, value=replace(document.value, layers=layers))


def _unresolved(name: str, service: str, errors: list[tuple[str, EciError]]) -> TransportError:
    causes = [error for _, error in errors]
    text = f'failed to fixup the image {name} for service "{service}"'
    error: TransportError
    if any(isinstance(cause, AccessDeniedError) for cause in causes):
        error = ImageDeniedError(text)
    elif any(isinstance(cause, NotFoundError | UsageError) for cause in causes):
        error = ImageNotFoundError(text)
    else:
        error = ImageUnreachableError(text)
    for what, cause in errors:
        error.add_note(f"{what}: {cause}")
    return error
