"""The contracts of sources and sinks over a fake containerd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest
from tests.support.fake_containerd import AContainerd, a_containerd


class FakeContainerdStore:
    def __init__(self, containerd: AContainerd) -> None:
        self.containerd = containerd

    def source(self, name: str) -> Source:
        return open_source(f"containerd:docker.io/library/{name}:1", self.containerd.settings)

    def sink(self, name: str) -> Sink:
        return open_sink(f"containerd:docker.io/library/{name}:1", self.containerd.settings)

    def corrupt(self, digest: Digest) -> None:
        self.containerd.spoil(digest)

    def files(self) -> dict[str, bytes]:
        return dict(self.containerd.blobs)


class Containerd:
    stores_sha512 = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        with a_containerd(directory) as containerd:
            yield FakeContainerdStore(containerd)


class TestContainerdSource(Containerd, SourceContract):
    pass


class TestContainerdSink(Containerd, SinkContract):
    pass
