"""Images in a Docker engine, as the contracts use them."""

from __future__ import annotations

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.docker_daemon.engine import Engine
from eci_convert.transports.docker_daemon.saved_image import SavedImageSource
from eci_convert.transports.settings import Settings


class DockerStore:
    """A Docker engine, whose images are read as `docker save` writes them: whole, as `copy` and `verify` read them."""

    def __init__(self, settings: Settings, prefix: str = "") -> None:
        self.settings = settings
        self.prefix = prefix
        self._sources: list[SavedImageSource] = []

    def source(self, name: str) -> Source:
        source = SavedImageSource(Engine(self.settings), f"{self.prefix}{name}:1", f"docker-daemon:{name}")
        self._sources.append(source)
        return source

    def sink(self, name: str) -> Sink:
        return open_sink(f"docker-daemon:{self.prefix}{name}:1", self.settings)

    def corrupt(self, digest: Digest) -> None:
        pytest.skip("the blobs of a real engine are not changed")

    def files(self) -> dict[str, bytes]:
        return {}

    def close(self) -> None:
        for source in self._sources:
            source.close()
