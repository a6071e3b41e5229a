"""The contracts of sources and sinks over real containerds, and over Docker's own."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from tests.support.contract.sinks import SinkContract
from tests.support.contract.sources import SourceContract
from tests.support.contract.transports import StoreUnderTest, corrupted

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdStore:
    """Names of its own in a containerd that others use too."""

    settings: Settings
    content: Path
    prefix: str = field(default_factory=lambda: f"store-{next(_NUMBERS)}")
    original: dict[Path, bytes] = field(default_factory=dict)

    def clean(self) -> None:
        """Restores the corrupted blobs, which other namespaces may share; removes the images, and has containerd
        collect the garbage: the next test starts with an empty store."""
        for path, content in self.original.items():
            path.write_bytes(content)
        names = self._ctr("images", "ls", "--quiet", f"name~=/{self.prefix}/").split()
        if names:
            self._ctr("images", "rm", *names)
        self._ctr("leases", "create", "--id", self.prefix)
        self._ctr("leases", "rm", "--sync", self.prefix)

    def _ctr(self, *arguments: str) -> str:
        command = [Programs().ctr, "-a", self.settings.address, "-n", self.settings.namespace, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def source(self, name: str) -> Source:
        return open_source(f"containerd:docker.io/{self.prefix}/{name}:1", self.settings)

    def sink(self, name: str) -> Sink:
        return open_sink(f"containerd:docker.io/{self.prefix}/{name}:1", self.settings)

    def corrupt(self, digest: Digest) -> None:
        path = self.content / "blobs" / digest.algorithm / digest.hex
        path.chmod(0o644)
        self.original[path] = path.read_bytes()
        path.write_bytes(corrupted(self.original[path]))

    def files(self) -> dict[str, bytes]:
        return {}


class _Containerd:
    """A store in the engine of the fixture *engine*."""

    engine: ClassVar[str]
    stores_sha512 = False

    @pytest.fixture
    def store(self, request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
        engine: Containerd | DockerEngine = request.getfixturevalue(self.engine)
        if isinstance(engine, Containerd):
            settings = Settings(address=engine.address, namespace="contract", timeout=30)
            content = engine.folder / "root"
        else:
            settings = Settings(address=engine.containerd_address or "", namespace="moby", timeout=30)
            content = engine.folder / "root/containerd/daemon"
        store = ContainerdStore(settings=settings, content=content / "io.containerd.content.v1.content")
        yield store
        store.clean()


class Containerd16(_Containerd):
    engine = "containerd16"


class Containerd2(_Containerd):
    engine = "containerd2"


class InDocker28(_Containerd):
    engine = "docker28"


class TestContainerd16Source(Containerd16, SourceContract):
    pass


class TestContainerd16Sink(Containerd16, SinkContract):
    pass


class TestContainerd2Source(Containerd2, SourceContract):
    pass


class TestContainerd2Sink(Containerd2, SinkContract):
    pass


class TestDocker28Source(InDocker28, SourceContract):
    pass


class TestDocker28Sink(InDocker28, SinkContract):
    pass
