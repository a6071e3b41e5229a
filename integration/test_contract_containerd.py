"""The contract suites of sources and sinks, run against real containerds, and against Docker's own."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from tests.contract.places import Place, Row, spoilt

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class InContainerd:
    """Names of its own in a containerd that others use too."""

    settings: Settings
    content: Path
    prefix: str = field(default_factory=lambda: f"place-{next(_NUMBERS)}")
    whole: dict[Path, bytes] = field(default_factory=dict)

    def clean(self) -> None:
        """Make whole what was spoilt, for other namespaces may share it; remove the images, and let the garbage be
        collected: an empty place has no content to find."""
        for path, content in self.whole.items():
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

    def spoil(self, digest: Digest) -> None:
        path = self.content / "blobs" / digest.algorithm / digest.hex
        path.chmod(0o644)
        self.whole[path] = path.read_bytes()
        path.write_bytes(spoilt(self.whole[path]))

    def files(self) -> dict[str, bytes]:
        return {}


@pytest.fixture(params=["containerd16", "containerd2", "docker28"])
def row(request: pytest.FixtureRequest) -> Row:
    engine: Containerd | DockerEngine = request.getfixturevalue(request.param)

    @contextmanager
    def opened(directory: Path) -> Iterator[Place]:
        if isinstance(engine, Containerd):
            settings = Settings(address=engine.address, namespace="contract", timeout=30)
            content = engine.folder / "root"
        else:
            settings = Settings(address=engine.containerd_address or "", namespace="moby", timeout=30)
            content = engine.folder / "root/containerd/daemon"
        place = InContainerd(settings=settings, content=content / "io.containerd.content.v1.content")
        yield place
        place.clean()

    return Row(name=request.param, opened=opened, sha512=False)


@pytest.fixture
def place(row: Row, tmp_path: Path) -> Iterator[Place]:
    with row.opened(tmp_path) as opened:
        yield opened
