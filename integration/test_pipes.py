"""Parts that come through pipes: no temporary file, no memory, and images that others read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from eci_convert.oci.digest import Digest
from integration.engines.containerd import Containerd
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from tests.support.resource_usage import measured

MIB = 1 << 20
MOST = 150 * MIB


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of 300 MiB, a third of which is zeros."""
    folder = tmp_path_factory.mktemp("disk")
    with (folder / "disk").open("wb") as file:
        for number in range(300):
            file.write(bytes(MIB) if number % 3 == 0 else os.urandom(MIB))
    yield folder / "disk"
    shutil.rmtree(folder)


@contextmanager
def piped(path: Path) -> Iterator[IO[bytes]]:
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        assert cat.stdout
        yield cat.stdout


Push = Callable[..., None]


@pytest.fixture
def push(disk: Path, tmp_path: Path) -> Push:
    """Pushes the disk through a pipe, by a program that can make no temporary file."""

    def push(reference: str, *words: str, env: dict[str, str] | None = None) -> None:
        own = {"TMPDIR": "/nowhere", "XDG_CACHE_HOME": f"{tmp_path}/cache", "XDG_STATE_HOME": f"{tmp_path}/state"}
        with piped(disk) as stdin:
            cost = measured(("push", reference, "--root", "-:raw", *words), env={**(env or {}), **own}, stdin=stdin)
        assert cost.code == 0, cost.said
        assert cost.peak < MOST, f"{cost.peak >> 20} MiB"

    return push


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def same(found: Path, disk: Path) -> None:
    run("cmp", found, disk)
    found.unlink()


def test_oras_pulls_from_a_registry_what_came_through_a_pipe(
    push: Push, disk: Path, registry: Registry, image_name: str, programs: Programs, tmp_path: Path
) -> None:
    name = f"{registry.host}/{image_name}"
    push(name)

    run(programs.oras, "pull", "--plain-http", name, "-o", tmp_path / "out")
    same(tmp_path / "out/disk-root-root", disk)

    push(name)  # what is there is sent again, and is the same


@pytest.mark.parametrize("form", ["artifacts", "ironcore", "kubevirt"])
def test_skopeo_copies_a_layout_of_what_came_through_a_pipe(
    push: Push, disk: Path, programs: Programs, tmp_path: Path, form: str, eci_convert: Push
) -> None:
    push(f"oci:{tmp_path}/layout:a", "--format", form)

    run(programs.skopeo, "--insecure-policy", "copy", "--all", f"oci:{tmp_path}/layout:a", f"oci:{tmp_path}/theirs:a")
    eci_convert("extract", f"oci:{tmp_path}/theirs:a", "--root", f"{tmp_path}/root")

    same(tmp_path / "root", disk)
    if form == "artifacts":
        with disk.open("rb") as file:
            digest = Digest.of(file.read())
        blob = tmp_path / "layout/blobs/sha256" / digest.hex
        assert blob.stat().st_blocks * 512 < 210 * MIB


def test_containerd_holds_what_came_through_a_pipe(
    push: Push, disk: Path, containerd2: Containerd, image_name: str, tmp_path: Path, eci_convert: Push
) -> None:
    name, env = f"containerd:example.com/{image_name}", {**containerd2.env, "CONTAINERD_ADDRESS": containerd2.address}
    push(name, env=env)

    assert "eci-convert-once" not in containerd2.ctr("content", "active", namespace="default")
    eci_convert("extract", name, "--root", f"{tmp_path}/root", env=env)
    same(tmp_path / "root", disk)
    containerd2.ctr("images", "rm", name.removeprefix("containerd:"), namespace="default")
