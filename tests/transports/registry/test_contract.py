"""The contracts of sources and sinks over a registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest, corrupted
from tests.support.fake_registry.server import a_registry


class RegistryStore:
    def __init__(self, registry: FaultyRegistry) -> None:
        self.registry = registry

    def source(self, name: str) -> Source:
        return open_source(f"docker://{self.registry.host}/acme/{name}:1", Settings(timeout=5))

    def sink(self, name: str) -> Sink:
        return open_sink(f"docker://{self.registry.host}/acme/{name}:1", Settings(timeout=5))

    def corrupt(self, digest: Digest) -> None:
        self.registry.blobs[str(digest)] = corrupted(self.registry.blobs[str(digest)])

    def files(self) -> dict[str, bytes]:
        manifests = {f"{name}:{key}": content for (name, key), (_, content) in self.registry.manifests.items()}
        return self.registry.blobs | manifests


class Registry:
    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        with a_registry() as registry:
            yield RegistryStore(registry)


class TestRegistrySource(Registry, SourceContract):
    pass


class TestRegistrySink(Registry, SinkContract):
    pass
