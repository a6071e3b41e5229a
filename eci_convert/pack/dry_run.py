"""A sink that stores nothing, and counts what would be written."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.streams.hashing import HashingStream
from eci_convert.transports.base import NO_VARIANTS, Sink, SinkCapabilities, Variants


class DryRunSink:
    """Stands in for *sink*: queries are passed on, and nothing is changed."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @property
    def destination(self) -> str:
        return self._sink.destination

    @property
    def capabilities(self) -> SinkCapabilities:
        return self._sink.capabilities

    def has(self, blob: Descriptor) -> bool:
        return self._sink.has(blob)

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        measured = HashingStream(chunks)
        for _ in measured:
            pass
        if size not in (None, measured.size):
            raise SizeMismatchError(size or 0, measured.size)
        if digest and digest.algorithm == "sha256" and digest != measured.digest:
            raise DigestMismatchError(digest, measured.digest)
        return Descriptor(media_type=media_type, digest=digest or measured.digest, size=measured.size)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        """Does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
