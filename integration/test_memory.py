"""What every verb that moves a disk may take: memory that does not grow with the disk, no temporary copy of it, and
holes that stay holes.

Temporary files have a disk of their own here, with less room than there is data in the machine's disk: a verb that made
a copy of it there would fail, also one in a file without a name. The exceptions are in the table of
docs/reference/files-on-disk.md, which says what is kept in $TMPDIR.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from eci_convert.oci.digest import Digest
from integration.engines import daemon
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.registry import Registry
from integration.support.boot_vm import write_disk
from tests.support.resource_usage import measured

MIB = 1 << 20
MOST = 150 * MIB
"""Of memory, for the process and all its threads."""
ROOM = 16 * MIB
"""For temporary files."""
DATA = 48 * MIB
"""What there is in the disks with holes."""
SIZES = {"sparse": 4096 * MIB, "smaller": 512 * MIB, "dense": 256 * MIB}
"""The smaller one has holes too; it is for engines that write out what a layer holds."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A raw disk; *word* is what its parts are told with."""

    path: Path

    @property
    def word(self) -> str:
        return f"--root={self.path}:raw"

    @property
    def name(self) -> str:
        """What it is called in a directory that it is extracted to."""
        return f"disk-root-{self.path.name}"


Disks = Callable[[str], Disk]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """The disk of each size, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("disks")

    def disk(kind: str) -> Disk:
        path, size = folder / kind, SIZES[kind]
        if not path.exists():
            data = size if kind == "dense" else DATA
            write_disk(path, size, {at * size // 16: os.urandom(data // 16) for at in range(16)})
        return Disk(path)

    yield disk
    shutil.rmtree(folder)


@contextmanager
def mounted(size: int) -> Iterator[Path]:
    """A disk of its own with so much room."""
    with daemon.own_folder() as folder, daemon.running(folder, (), lambda: True):
        (folder / "disk").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder / "disk")], check=True)
        yield folder / "disk"


@pytest.fixture(scope="module")
def temporary(programs: object) -> Iterator[Path]:
    with mounted(ROOM) as folder:
        yield folder


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder whose contents are too large to be kept after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


Run = Callable[..., None]


@pytest.fixture
def run(temporary: Path, work: Path) -> Run:
    """Runs `eci-convert`, which must end well and take little. Where it *spools*, there is room for that."""

    def run(
        *words: str | Path,
        env: dict[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        spools: bool = False,
    ) -> None:
        usual = work / "spool" if spools else temporary
        usual.mkdir(exist_ok=True)
        own = {"TMPDIR": str(usual), "XDG_CACHE_HOME": f"{work}/cache", "XDG_STATE_HOME": f"{work}/state"}
        cost = measured(tuple(map(str, words)), env={**(env or {}), **own}, stdin=stdin, stdout=stdout)
        assert cost.code == 0, cost.said
        assert cost.peak < MOST, f"{words[0]}: {cost.peak >> 20} MiB"
        assert not list(usual.iterdir()), f"{words[0]} left something behind"

    return run


def extents(path: Path) -> Iterator[tuple[int, int]]:
    """Where there is data in the file: offsets and lengths."""
    with path.open("rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield start, end - start


def same(found: Path, disk: Disk) -> None:
    """The same bytes, in no more blocks."""
    assert found.stat().st_size == disk.path.stat().st_size
    assert found.stat().st_blocks <= disk.path.stat().st_blocks * 1.05
    with found.open("rb") as one, disk.path.open("rb") as other:
        for start, length in [*extents(found), *extents(disk.path)]:
            for at in range(start, start + length, MIB):
                size = min(MIB, start + length - at)
                assert os.pread(one.fileno(), size, at) == os.pread(other.fileno(), size, at), f"differs at {at}"
    found.unlink()


def test_a_layout_is_written_and_read_in_little_memory(run: Run, disks: Disks, work: Path) -> None:
    disk = disks("dense")
    run("push", "--remote", work / "layout", "machine", disk.word, "--format", "legacy")
    run("inspect", f"oci:{work}/layout:machine")
    run("extract", f"oci:{work}/layout:machine", work / "out")
    run("pullfiles", "--remote", work / "layout", "machine", "--root", work / "root")
    same(work / "root", disk)
    run("verify", f"oci:{work}/layout:machine", work / "out")
    same(work / "out" / disk.name, disk)


@pytest.mark.parametrize(("kind", "form"), [("sparse", "legacy"), ("dense", "artifacts"), ("dense", "legacy")])
def test_a_registry_is_written_and_read_in_little_memory(
    run: Run, disks: Disks, work: Path, registry: Registry, image_name: str, kind: str, form: str
) -> None:
    disk, name = disks(kind), f"{registry.host}/{image_name}"
    run("push", name, disk.word, "--format", form)
    run("pull", name, "--dir", work / "out")
    same(work / "out" / disk.name, disk)
    if kind == "dense":
        words = ["pullfiles", name] if form == "artifacts" else ["extract", f"docker://{name}"]
        run(*words, "--root", work / "root")
        same(work / "root", disk)
        run("copy", f"docker://{name}", f"oci:{work}/layout:kept")


@pytest.mark.parametrize(
    ("kind", "scheme"), [("smaller", "docker-archive"), ("dense", "docker-archive"), ("dense", "oci-archive")]
)
def test_an_archive_is_written_and_read_in_little_memory(
    run: Run, disks: Disks, work: Path, kind: str, scheme: str
) -> None:
    disk, name = disks(kind), f"{scheme}:{work}/machine.tar"
    run("build", disk.word, "--to", name)
    run("extract", name, work / "out")
    same(work / "out" / disk.name, disk)
    if kind == "dense":
        run("verify", name)


def test_an_archive_into_a_pipe_and_a_disk_into_another(run: Run, disks: Disks, work: Path) -> None:
    disk = disks("dense")
    with (work / "machine.tar").open("wb") as archive:
        run("build", disk.word, "--to", "docker-archive:-", stdout=archive)
    with (work / "root").open("wb") as root:
        run("extract", f"docker-archive:{work}/machine.tar", "--root", "-", stdout=root)
    same(work / "root", disk)


def test_what_is_spooled_takes_no_memory_either(
    run: Run, disks: Disks, work: Path, docker28: DockerEngine, image_name: str
) -> None:
    """The exceptions, one after the other: each takes what the one before has left."""
    disk, plain, packed = disks("dense"), work / "plain.tar", work / "packed.tar"
    run("build", disk.word, "-t", image_name, env=docker28.env)
    run("verify", image_name, env=docker28.env, spools=True)
    with plain.open("wb") as archive:
        run("copy", f"docker-daemon:{image_name}", "docker-archive:-", env=docker28.env, stdout=archive, spools=True)
    docker28.docker("image", "rm", image_name)
    with subprocess.Popen(["cat", plain], stdout=subprocess.PIPE) as cat, packed.open("wb") as archive:
        words = ["copy", "docker-archive:-", "oci-archive:-", "--format", "legacy"]
        run(*words, stdin=cat.stdout, stdout=archive, spools=True)
    with packed.open("rb") as archive, gzip.open(work / "packed.tar.gz", "wb", 0) as wrapped:
        shutil.copyfileobj(archive, wrapped, MIB)
    run("extract", f"oci-archive:{work}/packed.tar.gz", work / "out", spools=True)
    same(work / "out" / disk.name, disk)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_containerd_is_written_and_read_in_little_memory(
    run: Run, disks: Disks, work: Path, containerd2: Containerd, image_name: str, kind: str
) -> None:
    disk, name = disks(kind), f"containerd:example.com/{image_name}"
    env = {**containerd2.env, "CONTAINERD_ADDRESS": containerd2.address}
    run("build", disk.word, "--to", name, env=env)
    run("extract", name, work / "out", env=env)
    same(work / "out" / disk.name, disk)
    if kind == "dense":
        run("verify", name, env=env)
        run("copy", name, f"oci-archive:{work}/kept.tar", env=env)
    containerd2.ctr("images", "rm", name.removeprefix("containerd:"), namespace="default")


@pytest.mark.parametrize("kind", ["smaller", "dense"])
def test_a_store_of_podman_is_written_and_read_in_little_memory(
    run: Run, disks: Disks, work: Path, podman_overlay: Store, image_name: str, kind: str
) -> None:
    disk, name = disks(kind), f"{podman_overlay.prefix}example.com/{image_name}"
    run("build", disk.word, "--to", name)
    run("extract", name, work / "out")
    same(work / "out" / disk.name, disk)
    if kind == "dense":
        run("verify", name)
    podman_overlay.podman("rmi", f"example.com/{image_name}")


@pytest.mark.parametrize(("engine", "builder", "kind"), [
    ("docker20", "direct", "dense"),
    ("docker20", "docker", "dense"),
    ("docker28", "direct", "smaller"),
    ("docker28", "docker", "dense"),
])  # fmt: skip
def test_docker_is_written_and_read_in_little_memory(
    request: pytest.FixtureRequest, run: Run, disks: Disks, work: Path, image_name: str,
    engine: str, builder: str, kind: str,
) -> None:  # fmt: skip
    docker_engine: DockerEngine = request.getfixturevalue(engine)
    disk, env = disks(kind), docker_engine.env
    run("build", disk.word, "-t", image_name, "--builder", builder, env=env)
    run("inspect", image_name, env=env)
    run("extract", image_name, work / "out", env=env)
    same(work / "out" / disk.name, disk)
    docker_engine.docker("image", "rm", image_name)


@pytest.mark.parametrize(("kind", "before", "after"), [
    ("sparse", "legacy", "artifacts"),
    ("dense", "legacy", "artifacts"),
    ("dense", "artifacts", "legacy"),
])  # fmt: skip
def test_a_copy_in_another_format(run: Run, disks: Disks, work: Path, kind: str, before: str, after: str) -> None:
    disk = disks(kind)
    run("push", "--remote", work / "layout", "one", disk.word, "--format", before)
    run("copy", f"oci:{work}/layout:one", f"oci:{work}/other:two", "--format", after)
    run("extract", f"oci:{work}/other:two", work / "out")
    same(work / "out" / disk.name, disk)


def test_a_copy_of_compressed_layers_into_docker(
    run: Run, disks: Disks, work: Path, docker20: DockerEngine, image_name: str
) -> None:
    disk = disks("dense")
    run("push", "--remote", work / "layout", "one", disk.word, "--format", "legacy")
    run("copy", f"oci:{work}/layout:one", f"docker-daemon:{image_name}", env=docker20.env)
    docker20.docker("image", "rm", image_name)


def test_a_repair_takes_little_memory(run: Run, disks: Disks, work: Path) -> None:
    disk = disks("dense")
    run("push", "--remote", work / "layout", "machine", disk.word, "--format", "legacy")
    spoil(work / "layout")
    run("verify", f"oci:{work}/layout:machine", "--fix", f"oci:{work}/layout:right")
    run("verify", f"oci:{work}/layout:right")


def spoil(layout: Path) -> None:
    """The diff ids are those of the compressed layers, as eci writes them."""

    def read(digest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())
        return found

    def written(document: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(document).encode()
        digest = Digest.of(content)
        (layout / "blobs/sha256" / digest.hex).write_bytes(content)
        return {"digest": str(digest), "size": len(content)}

    index = json.loads((layout / "index.json").read_bytes())
    [entry] = index["manifests"]
    manifest = read(entry["digest"])
    config = read(manifest["config"]["digest"])
    config["rootfs"]["diff_ids"] = [layer["digest"] for layer in manifest["layers"]]
    manifest["config"] |= written(config)
    entry |= written(manifest)
    (layout / "index.json").write_text(json.dumps(index))


def test_a_context_is_links_and_where_it_cannot_be_holes_are_kept(run: Run, disks: Disks, work: Path) -> None:
    disk = disks("sparse")
    mode = disk.path.stat().st_mode
    disk.path.chmod(0o444)  # a file that may be written to is not linked
    run("dockerfile", disk.word, "--stage", disk.path.parent / "context")
    disk.path.chmod(mode)
    assert any(path.samefile(disk.path) for path in (disk.path.parent / "context").iterdir())
    with mounted(DATA + ROOM) as elsewhere:
        run("dockerfile", disk.word, "--stage", elsewhere / "context")
        [copied] = [path for path in (elsewhere / "context").iterdir() if path.stat().st_size > MIB]
        same(copied, disk)
