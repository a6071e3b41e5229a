"""An image read from its mirrors first and from its own registry last, as by podman and dockerd.

The first endpoint that returns the manifest serves the blobs too; those that it lacks or corrupts are fetched from the
endpoints after it. Everything is verified, whichever endpoint it came from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from eci_convert.errors import EciError, IntegrityError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.oci.reference import Reference
from eci_convert.progress import warn
from eci_convert.transports.base import ContainerFiles, Source, SourceTraits
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.endpoints.choice import Candidate, candidate_endpoints
from eci_convert.transports.registry.source import RegistrySource
from eci_convert.transports.settings import Settings
from eci_convert.transports.traits import FileRequest

_log = logging.getLogger(__name__)

T = TypeVar("T")


def open_mirrored(reference: Reference, settings: Settings) -> Source:
    """The image *reference*, from the endpoints that the user's files configure. Raises LocalError for invalid
    files."""
    endpoints = candidate_endpoints(reference, settings)
    if len(endpoints) == 1 and endpoints[0].reference == reference:
        return RegistrySource(reference, settings)
    return MirroredSource(reference, endpoints)


class MirroredSource:
    """The image *reference*, read from *endpoints* in that order. Several threads may read at once."""

    def __init__(self, reference: Reference, endpoints: tuple[Candidate, ...]) -> None:
        self._reference = reference
        self._endpoints = endpoints
        self._sources = [_open_source(endpoint) for endpoint in endpoints]
        self._first = 0

    @property
    def origin(self) -> str:
        return f"docker://{self._reference}"

    @property
    def traits(self) -> SourceTraits:
        """Those of the image's own registry, whose login no mirror receives. The mount hints are all repositories that
        may hold the blobs: a registry refuses to mount a blob that it lacks."""
        hints: dict[str, str] = {}
        for host, repository in (pair for source in self._sources for pair in source.traits.mount_hints.items()):
            hints[host] = f"{hints[host]},{repository}" if host in hints else repository
        return replace(self._sources[-1].traits, mount_hints=hints, file_request=self._file_request)

    def resolve(self) -> Descriptor:
        self._first = 0
        descriptor, self._first = self._try_each(lambda source: source.resolve(), "the image")
        if len(self._endpoints) > 1 or self._endpoints[0].rule:
            endpoint = self._endpoints[self._first]
            configured = f"configured in {endpoint.rule.origin}" if endpoint.rule else "its own registry"
            _log.info("%s: reading from docker://%s (%s)", self.origin, endpoint.reference, configured)
        return descriptor

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        """The bytes of *blob*. A small one from a mirror is verified here, so that the next endpoint replaces a corrupt
        one."""
        last = len(self._sources) - 1
        if blob.size <= MAX_DOCUMENT and self._first < last:
            content, _ = self._try_each(
                lambda source: _read_small(source, blob, verify=source is not self._sources[last]),
                f"blob {blob.digest.short}",
            )
            yield (content[skip:],)
            return
        with ExitStack() as stack:
            pieces, number = self._try_each(
                lambda source: stack.enter_context(source.fetch(blob, skip)), f"blob {blob.digest.short}"
            )
            try:
                yield self._resumed(iter(pieces), number, blob, skip, stack)
            except IntegrityError as error:
                if number < last:
                    error.add_note(f"it came from the mirror docker://{self._endpoints[number].reference}")
                raise

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The referrers of *subject*, from the first endpoint that lists any. Mirrors seldom do."""
        for number in range(self._first, len(self._sources)):
            try:
                descriptors = self._sources[number].referrers(subject)
            except EciError as error:
                if number == self._first == len(self._sources) - 1:
                    raise
                endpoint = self._endpoints[number]
                warn(
                    endpoint.settings.reporter,
                    f"cannot list the referrers of {subject.short} at {endpoint.reference.host}: {error}",
                )
                continue
            if descriptors:
                return descriptors
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self._sources:
            source.__exit__(kind, error, trace)

    def _file_request(self, blob: Descriptor, *, follow: bool) -> FileRequest:
        """The request with which another HTTP client gets *blob* from the first endpoint that has it."""
        return self._try_each(lambda source: source.file_request(blob, follow=follow), f"blob {blob.digest.short}")[0]

    def _try_each(self, request: Callable[[RegistrySource], T], what: str) -> tuple[T, int]:
        """The result of *request* from the first endpoint where it succeeds, and the number of that endpoint.

        Raises the error of the last endpoint, with those of the others as notes.
        """
        failures: list[str] = []
        for number in range(self._first, len(self._sources)):
            try:
                return request(self._sources[number]), number
            except EciError as error:
                if number == len(self._sources) - 1:
                    for failure in failures:
                        error.add_note(f"the mirror failed before: {failure}")
                    raise
                failures.append(str(error))
                _log.info("cannot read %s from docker://%s: %s", what, self._endpoints[number].reference, error)
        raise TransportError(f"{self.origin}: no registry is configured")

    def _resumed(
        self, pieces: Iterator[bytes], number: int, blob: Descriptor, offset: int, stack: ExitStack
    ) -> Iterator[bytes]:
        """*pieces* of *blob* from *offset*; after an error the rest comes from the following endpoints."""
        while True:
            try:
                for piece in pieces:
                    offset += len(piece)
                    yield piece
                return
            except TransportError as error:
                number += 1
                if number == len(self._sources):
                    raise
                reference = self._endpoints[number].reference
                _log.info("blob %s: resuming from docker://%s: %s", blob.digest.short, reference, error)
                pieces = iter(stack.enter_context(self._sources[number].fetch(blob, offset)))


def _open_source(endpoint: Candidate) -> RegistrySource:
    client = RegistryClient(endpoint.reference, endpoint.settings, insecure=endpoint.insecure)
    return RegistrySource(endpoint.reference, endpoint.settings, client)


def _read_small(source: RegistrySource, blob: Descriptor, *, verify: bool) -> bytes:
    """The content of a small blob. Unless *verify*, the caller verifies it."""
    with source.fetch(replace(blob, data=None)) as pieces:
        content = b"".join(pieces)
    if verify:
        blob.digest.check(content, f"blob {blob.digest.short} of {source.origin}")
    return content
