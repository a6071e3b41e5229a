"""The contracts of sources and sinks over a fake Docker engine, with either of its stores.

Reading is of the whole image, as `copy` and `verify` read it; what `extract` reads is in
tests/transports/docker_daemon/test_docker_daemon.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eci_convert.compression.libzstd import zstd
from eci_convert.oci.digest import Digest
from tests.support import fake_docker
from tests.support.contract.docker import DockerStore
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest, corrupted
from tests.support.fake_docker import ADocker, a_docker, unwrapped


class FakeDockerStore(DockerStore):
    """A fake engine, whose layers can be changed."""

    def __init__(self, engine: ADocker) -> None:
        super().__init__(engine.settings())
        self.engine = engine

    def corrupt(self, digest: Digest) -> None:
        for image in self.engine.images.values():
            image.layers = [corrupted(layer) if Digest.of(layer) == digest else layer for layer in image.layers]


class ClassicStore:
    in_containerd = False
    keeps_manifests = False
    finds_published_blobs = False
    stores_sha512 = False

    @contextmanager
    def opened(self, directory: Path) -> Iterator[StoreUnderTest]:
        with tempfile.TemporaryDirectory() as short, a_docker(Path(short), in_containerd=self.in_containerd) as engine:
            store = FakeDockerStore(engine)
            yield store
            store.close()

    @pytest.fixture(autouse=True)
    def _zstd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Today's engines decompress zstd too."""
        monkeypatch.setattr(fake_docker, "unwrapped", _decompressed)


class ContainerdStore(ClassicStore):
    in_containerd = True
    keeps_manifests = True


class TestClassicStoreSource(ClassicStore, SourceContract):
    pass


class TestClassicStoreSink(ClassicStore, SinkContract):
    pass


class TestContainerdStoreSource(ContainerdStore, SourceContract):
    pass


class TestContainerdStoreSink(ContainerdStore, SinkContract):
    pass


def _decompressed(layer: bytes) -> bytes:
    return bytes(zstd.decompress(layer)) if layer.startswith(b"\x28\xb5\x2f\xfd") else unwrapped(layer)
