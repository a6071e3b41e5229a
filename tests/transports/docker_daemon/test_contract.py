"""The contract suites of sources and sinks, run against a Docker engine of a test's own, with either store.

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
from eci_convert.transports import open_sink
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.docker_daemon.engine import Engine
from eci_convert.transports.docker_daemon.saved_image import SavedImageSource
from eci_convert.transports.settings import Settings
from tests.contract.places import Place, Row, spoilt
from tests.contract.test_sinks import *  # noqa: F403
from tests.contract.test_sources import *  # noqa: F403
from tests.support import fake_docker
from tests.support.fake_docker import ADocker, a_docker, unwrapped


class InDocker:
    """A Docker engine, images of which are read as `docker save` gives them."""

    def __init__(self, settings: Settings, prefix: str = "") -> None:
        self.settings = settings
        self.prefix = prefix
        self.opened: list[SavedImageSource] = []

    def source(self, name: str) -> Source:
        saved = SavedImageSource(Engine(self.settings), f"{self.prefix}{name}:1", f"docker-daemon:{name}")
        self.opened.append(saved)
        return saved

    def sink(self, name: str) -> Sink:
        return open_sink(f"docker-daemon:{self.prefix}{name}:1", self.settings)

    def spoil(self, digest: Digest) -> None:
        pytest.skip("a real engine's blobs are its own")

    def files(self) -> dict[str, bytes]:
        return {}

    def close(self) -> None:
        for saved in self.opened:
            saved.close()


class InOurs(InDocker):
    """The same in an engine whose blobs can be spoilt."""

    def __init__(self, engine: ADocker) -> None:
        super().__init__(engine.settings())
        self.engine = engine

    def spoil(self, digest: Digest) -> None:
        for image in self.engine.images.values():
            image.layers = [spoilt(layer) if Digest.of(layer) == digest else layer for layer in image.layers]


@pytest.fixture(params=["classic", "containerd"])
def row(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Row:
    monkeypatch.setattr(fake_docker, "unwrapped", _unwrapped)

    @contextmanager
    def opened(directory: Path) -> Iterator[Place]:
        in_containerd = request.param == "containerd"
        with tempfile.TemporaryDirectory() as short, a_docker(Path(short), in_containerd=in_containerd) as engine:
            place = InOurs(engine)
            yield place
            place.close()

    return Row(
        name=request.param, opened=opened, keeps_documents=request.param == "containerd", tells=False, sha512=False
    )


@pytest.fixture
def place(row: Row, tmp_path: Path) -> Iterator[Place]:
    with row.opened(tmp_path) as opened:
        yield opened


def _unwrapped(layer: bytes) -> bytes:
    """As today's engines unpack a layer: they read zstd too."""
    return bytes(zstd.decompress(layer)) if layer.startswith(b"\x28\xb5\x2f\xfd") else unwrapped(layer)
