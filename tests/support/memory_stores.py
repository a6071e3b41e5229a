"""Sources and sinks in memory with a property that a test needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.images import load_image
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore


class HasEverything(MemorySink):
    """A sink that has every blob already."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())

    def has(self, blob: Descriptor) -> bool:
        return True


class Watched(MemorySource):
    """A source that remembers what was read of it, layers by their number from 0, the lowest."""

    def __init__(self, source: MemorySource) -> None:
        super().__init__(source.store, source.name)
        self.fetched: list[Digest] = []

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self.fetched.append(blob.digest)
        with super().fetch(blob, skip) as chunks:
            yield chunks

    def layers_read(self) -> list[int]:
        layers = [layer.digest for layer in load_image(MemorySource(self.store, self.name)).manifest.layers]
        return [layers.index(digest) for digest in self.fetched if digest in layers]
