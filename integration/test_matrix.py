"""Every cell of README's table of places and formats, on the real places: written, read back, compared byte for byte;
or refused before anything is written, where the table says so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eci_convert.model import Memory, Part
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.registry import Registry
from tests.support.generate_readme_tables import PARTS, Cell, cells

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def reference(
    request: pytest.FixtureRequest, cell: Cell, image_name: str, tmp_path: Path
) -> tuple[str, dict[str, str]]:
    """A name in the cell's place, and the environment in which the place is found."""
    match cell.scheme.name:
        case "docker":
            registry: Registry = request.getfixturevalue("registry")
            return f"docker://{registry.host}/{image_name}", {}
        case "docker-daemon":
            engine: DockerEngine = request.getfixturevalue("docker28")
            return f"docker-daemon:{image_name}", engine.env
        case "containerd":
            containerd: Containerd = request.getfixturevalue("containerd2")
            return f"containerd:example.com/{image_name}", {**containerd.env, "CONTAINERD_ADDRESS": containerd.address}
        case "containers-storage":
            store: Store = request.getfixturevalue("podman_overlay")
            return f"{store.prefix}example.com/{image_name}", {}
        case "oci":
            return f"oci:{tmp_path}/layout:name", {}
        case other:
            return f"{other}:{tmp_path}/archive.tar:{image_name}", {}


@pytest.fixture
def parts(cell: Cell, tmp_path: Path) -> Path:
    """A layout that holds the parts which the cell's format can express."""
    from eci_convert.compression.codec import Codec
    from eci_convert.dialects.blueprint import WriteOptions
    from eci_convert.model import Artifact
    from eci_convert.oci.platform import Platform
    from eci_convert.operations.push import PushRequest, push
    from eci_convert.transports import open_sink
    from eci_convert.transports.settings import Settings

    terms = WriteOptions(platform=Platform(os="linux", architecture="amd64"))
    with open_sink(f"oci:{tmp_path}/parts:name", Settings()) as sink:
        request = PushRequest(format="artifacts", write=terms, codec=Codec.parse("none"))
        push(Artifact(parts=PARTS[cell.format]), sink, request)
    return tmp_path / "parts"


@pytest.mark.parametrize("cell", list(cells()), ids=lambda cell: f"{cell.scheme.name}-{cell.format}")
def test_a_format_in_a_place(
    cell: Cell, parts: Path, reference: tuple[str, dict[str, str]], eci_convert: Run, tmp_path: Path
) -> None:
    name, env = reference
    copy = ["copy", f"oci:{parts}", name, "--format", cell.format]
    if cell.why_not:
        refused = eci_convert(*copy, env=env, exits=8)
        assert "legacy" in refused.stderr, "the error does not say what would do"
        return

    eci_convert(*copy, env=env)
    eci_convert("extract", name, tmp_path / "out", env=env)

    expected = {(part.role, part.index): _content(part) for part in PARTS[cell.format]}
    written = {path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != "config.json"}
    assert written == set(expected.values())


def _content(part: Part) -> bytes:
    assert isinstance(part.locator, Memory)
    return part.locator.content
