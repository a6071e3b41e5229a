"""The contracts of sources and sinks over memory.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eci_convert.oci.digest import Digest
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest, corrupted


class MemoryStoreUnderTest:
    def __init__(self) -> None:
        self.store = MemoryStore()

    def source(self, name: str) -> Source:
        return MemorySource(self.store, name)

    def sink(self, name: str) -> Sink:
        return MemorySink(self.store, name)

    def corrupt(self, digest: Digest) -> None:
        self.store.blobs[digest] = corrupted(self.store.blobs[digest])

    def files(self) -> dict[str, bytes]:
        return {str(digest): blob for digest, blob in self.store.blobs.items()}


class Memory:
    bounds_manifests = False  # it holds all content in memory

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        yield MemoryStoreUnderTest()


class TestMemorySource(Memory, SourceContract):
    pass


class TestMemorySink(Memory, SinkContract):
    pass
