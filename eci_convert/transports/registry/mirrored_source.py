"""An image asked of its mirrors first, and of its own registry at last, as podman and dockerd do it.

Whoever answers first with a manifest is asked for the rest; what it lacks or spoils is had from those behind it. All of
it is verified as ever: a digest is of bytes, wherever they came from.
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
    """The image *reference*, from wherever the user's files say. Raises LocalError for files that make no sense."""
    found = candidate_endpoints(reference, settings)
    if len(found) == 1 and found[0].reference == reference:
        return RegistrySource(reference, settings)
    return MirroredSource(reference, found)


class MirroredSource:
    """The image *reference*, which any of *places*, in that order, may have. Reading may go on from several threads."""

    def __init__(self, reference: Reference, places: tuple[Candidate, ...]) -> None:
        self._reference = reference
        self._places = places
        self._sources = [_opened(place) for place in places]
        self._first = 0

    @property
    def origin(self) -> str:
        return f"docker://{self._reference}"

    @property
    def traits(self) -> SourceTraits:
        """Those of the image's own registry, whose login no other is sent. The mount hints are all repositories that
        may have the image: a registry that lacks a blob refuses to mount it."""
        hints: dict[str, str] = {}
        for host, repository in (pair for source in self._sources for pair in source.traits.mount_hints.items()):
            hints[host] = f"{hints[host]},{repository}" if host in hints else repository
        return replace(self._sources[-1].traits, mount_hints=hints, file_request=self._file_request)

    def resolve(self) -> Descriptor:
        self._first = 0
        found, self._first = self._ask(lambda source: source.resolve(), "the image")
        if len(self._places) > 1 or self._places[0].rule:
            place = self._places[self._first]
            origin = place.rule.origin if place.rule else "its own registry"
            _log.info("%s is read from docker://%s, by %s", self.origin, place.reference, origin)
        return found

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        """The bytes of *blob*. A small one of a mirror is checked here, so that a wrong one is had from elsewhere."""
        last = len(self._sources) - 1
        if blob.size <= MAX_DOCUMENT and self._first < last:
            content, _ = self._ask(lambda source: _small(source, blob, checked=source is not self._sources[last]),
                                   f"blob {blob.digest.short}")  # fmt: skip
            yield (content[skip:],)
            return
        with ExitStack() as stack:
            pieces, number = self._ask(
                lambda source: stack.enter_context(source.fetch(blob, skip)), f"blob {blob.digest.short}"
            )
            try:
                yield self._resumed(iter(pieces), number, blob, skip, stack)
            except IntegrityError as error:
                if number < last:
                    error.add_note(f"it came from the mirror docker://{self._places[number].reference}")
                raise

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """What refers to *subject*: by the first that has anything of the kind. Mirrors seldom have."""
        for number in range(self._first, len(self._sources)):
            try:
                found = self._sources[number].referrers(subject)
            except EciError as error:
                if number == self._first == len(self._sources) - 1:
                    raise
                warn(
                    self._places[number].settings.reporter,
                    f"what refers to {subject.short} cannot be asked of {self._places[number].reference.host}: {error}",
                )
                continue
            if found:
                return found
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self._sources:
            source.__exit__(kind, error, trace)

    def _file_request(self, blob: Descriptor, *, follow: bool) -> FileRequest:
        """The request for *blob* to the first registry that has it."""
        return self._ask(lambda source: source.file_request(blob, follow=follow), f"blob {blob.digest.short}")[0]

    def _ask(self, question: Callable[[RegistrySource], T], what: str) -> tuple[T, int]:
        """The first answer to *question*, and whose it is. The last one's error is that of the whole."""
        failures: list[str] = []
        for number in range(self._first, len(self._sources)):
            try:
                return question(self._sources[number]), number
            except EciError as error:
                if number == len(self._sources) - 1:
                    for failure in failures:
                        error.add_note(f"the mirror failed before: {failure}")
                    raise
                failures.append(str(error))
                _log.info("%s is not had from docker://%s: %s", what, self._places[number].reference, error)
        raise TransportError(f"{self.origin}: there is nobody to ask")

    def _resumed(
        self, pieces: Iterator[bytes], number: int, blob: Descriptor, offset: int, stack: ExitStack
    ) -> Iterator[bytes]:
        """*pieces* of *blob* from *offset*; where they end in an error, the rest from those behind."""
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
                place = self._places[number].reference
                _log.info("blob %s goes on from docker://%s: %s", blob.digest.short, place, error)
                pieces = iter(stack.enter_context(self._sources[number].fetch(blob, offset)))


def _opened(place: Candidate) -> RegistrySource:
    client = RegistryClient(place.reference, place.settings, insecure=place.insecure)
    return RegistrySource(place.reference, place.settings, client)


def _small(source: RegistrySource, blob: Descriptor, *, checked: bool) -> bytes:
    """All of a small blob, *checked* unless whoever reads it is to do that."""
    with source.fetch(replace(blob, data=None)) as pieces:
        content = b"".join(pieces)
    if checked:
        blob.digest.check(content, f"blob {blob.digest.short} of {source.origin}")
    return content
