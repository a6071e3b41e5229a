"""Images that we load into real Docker engines, and what the engines make of them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import IntegrityError, NotFoundError
from eci_convert.model import Artifact
from eci_convert.oci import media_types
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.push import PushRequest, push
from eci_convert.pack.result import PushResult
from eci_convert.reading.images import load_image
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from integration.engines.docker import DockerEngine
from integration.support.boot_vm import Machine, write_disk
from tests.support.images import a_container, an_image, copied, files_in

_MIB = 1 << 20


def settings(engine: DockerEngine, **others: Any) -> Settings:
    return Settings(environ={**engine.env, **others})


def an_artifact(parts: Machine) -> Artifact:
    return artifact_from_parts(
        kernel=parts.kernel, initrd=parts.initrd, root=Disk.parse(f"{parts.root}:raw"),
        disks=[Disk.parse(f"{parts.disk}:raw")],
    )  # fmt: skip


def pushed(
    engine: DockerEngine, artifact: Artifact, name: str, platform: str = "linux/amd64", **others: Any
) -> PushResult:
    with open_sink(f"docker-daemon:{name}", settings(engine, **others)) as sink:
        terms = WriteOptions(platform=parse_platform(platform), annotations={"colour": "red"})
        return push(artifact, sink, PushRequest(format="legacy", write=terms))


def inspected(engine: DockerEngine, name: str) -> dict[str, Any]:
    [found] = json.loads(engine.docker("image", "inspect", name))
    return dict(found)


def test_a_legacy_image_is_what_docker_says_it_is(
    docker_engine: DockerEngine, image_name: str, machine: Machine
) -> None:
    packed = pushed(docker_engine, an_artifact(machine), image_name)

    found = inspected(docker_engine, image_name)
    config_id, manifest_id = str(packed.manifest.config.digest), str(packed.descriptor.digest)  # type: ignore[union-attr]
    assert found["Id"] == (manifest_id if docker_engine.keeps_images_in_containerd else config_id)
    assert image_name in found["RepoTags"]  # the same parts are the same image, whoever named it before
    assert len(found["RootFS"]["Layers"]) == 4
    assert found["Config"]["Labels"]["org.lfedge.eci.artifact.disk-0"] == f"/disk-0-{machine.disk.name}"
    assert len(docker_engine.docker("history", "--quiet", image_name).split()) == 4


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "linux/riscv64"])
def test_what_was_loaded_comes_out_again(
    docker_engine: DockerEngine, image_name: str, machine: Machine, platform: str, eci_convert: Any, tmp_path: Path
) -> None:
    pushed(docker_engine, an_artifact(machine), image_name, platform)

    eci_convert("extract", image_name, tmp_path, env=docker_engine.env)

    assert files_in(tmp_path) == {
        "kernel": machine.kernel.read_bytes(),
        "initrd": machine.initrd.read_bytes(),
        f"disk-root-{machine.root.name}": machine.root.read_bytes(),
        f"disk-0-{machine.disk.name}": machine.disk.read_bytes(),
    }


def test_docker_copies_the_parts_out_of_a_loaded_image(
    docker_engine: DockerEngine, image_name: str, machine: Machine, tmp_path: Path
) -> None:
    pushed(docker_engine, an_artifact(machine), image_name)

    container = docker_engine.docker("create", image_name, "/nothing")
    docker_engine.docker("cp", f"{container}:/kernel", str(tmp_path / "kernel"))
    docker_engine.docker("rm", container)

    assert (tmp_path / "kernel").read_bytes() == machine.kernel.read_bytes()


def test_a_loaded_image_can_be_built_upon(
    docker_engine: DockerEngine, image_name: str, machine: Machine, tmp_path: Path
) -> None:
    """The classic builder counts history and layers of the image that it starts from."""
    pushed(docker_engine, an_artifact(machine), image_name)
    (tmp_path / "Dockerfile").write_text(f"FROM {image_name}\nCOPY more /more\n")
    (tmp_path / "more").write_bytes(b"more")

    docker_engine.run("docker", "build", "-t", f"{image_name}-more", str(tmp_path), env={"DOCKER_BUILDKIT": "0"})

    assert len(inspected(docker_engine, f"{image_name}-more")["RootFS"]["Layers"]) == 5


def test_containerds_store_keeps_manifest_and_annotations(
    docker28: DockerEngine, image_name: str, machine: Machine
) -> None:
    packed = pushed(docker28, an_artifact(machine), image_name)

    with open_source(f"docker-daemon:{image_name}", settings(docker28)) as source:
        files = source.filesystem()
        assert files is not None
        whole = load_image(files.full_image())

    assert whole.manifest == packed.manifest
    assert whole.manifest.annotations == {"colour": "red"}


def test_the_same_image_twice_has_the_same_id(docker_engine: DockerEngine, image_name: str, machine: Machine) -> None:
    first = pushed(docker_engine, an_artifact(machine), image_name)
    before = inspected(docker_engine, image_name)["Id"]
    second = pushed(docker_engine, an_artifact(machine), image_name)

    assert first.descriptor == second.descriptor
    assert inspected(docker_engine, image_name)["Id"] == before


def test_a_load_that_breaks_off_leaves_the_name_as_it_was(docker_engine: DockerEngine, image_name: str) -> None:
    copied(
        an_image().tar_layer({"old": b"old"}).build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine))
    )
    before = inspected(docker_engine, image_name)["Id"]

    def broken() -> Iterator[bytes]:
        yield bytes(20 * _MIB)
        raise NotFoundError("the registry is gone")

    with pytest.raises(NotFoundError), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)) as sink:
        sink.put(media_types.OCI_LAYER, broken(), size=40 * _MIB)

    assert inspected(docker_engine, image_name)["Id"] == before


def test_a_killed_load_leaves_no_image(docker_engine: DockerEngine, image_name: str, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from eci_convert.transports import open_sink\n"
        "from eci_convert.transports.settings import Settings\n"
        "def chunks():\n"
        "    for _ in range(64): yield bytes(1 << 20)\n"
        "    print('half', flush=True); sys.stdin.read()\n"
        "sink = open_sink('docker-daemon:' + sys.argv[1], Settings(environ={'DOCKER_HOST': sys.argv[2]}))\n"
        "sink.put('application/vnd.oci.image.layer.v1.tar', chunks(), size=128 << 20)\n"
    )
    command = [sys.executable, "-c", program, image_name, docker_engine.host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()

    assert docker_engine.run("docker", "image", "inspect", image_name, check=False).returncode != 0


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_layers_of_any_compression_are_kept(docker_engine: DockerEngine, image_name: str, compression: str) -> None:
    image = a_container(compression)

    copied(image.build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))

    assert inspected(docker_engine, image_name)["RootFS"]["Layers"] == [str(each) for each in image.diff_ids]


def test_wrong_diff_ids_are_refused(docker_engine: DockerEngine, image_name: str) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}, diff_id=Digest.of(b"else"))

    with pytest.raises(IntegrityError, match="layer 0: digest mismatch"):
        copied(image.build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))

    assert docker_engine.run("docker", "image", "inspect", image_name, check=False).returncode != 0


def test_wrong_diff_ids_under_a_wrapping_are_the_engines_to_find(docker_engine: DockerEngine, image_name: str) -> None:
    """The classic store finds them while loading, the other one when the image is used."""
    image = an_image().tar_layer({"kernel": b"kernel"}, compression="gzip", diff_id=Digest.of(b"else"))

    def used() -> None:
        copied(image.build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))
        with open_source(f"docker-daemon:{image_name}", settings(docker_engine)) as source:
            files = source.filesystem()
            assert files is not None
            with files.fetch("/kernel") as chunks:
                list(chunks)

    with pytest.raises(IntegrityError, match=r"digest|diffID|diff id"):
        used()


def test_the_same_file_twice_is_two_layers(docker_engine: DockerEngine, image_name: str) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}).tar_layer({"kernel": b"kernel"})

    copied(image.build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))

    assert len(inspected(docker_engine, image_name)["RootFS"]["Layers"]) == 2


def test_a_large_sparse_disk_is_loaded_without_memory_or_files(
    docker20: DockerEngine, image_name: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    write_disk(disk, 1024 * _MIB, {at * _MIB: b"data" for at in range(0, 1024, 64)})
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    seen: set[Path] = set()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with watched(lambda: seen.update(temporary.rglob("*"))):
        pushed(docker20, machine_of(disk), image_name, TMPDIR=str(temporary))

    assert not seen
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 << 10
    docker20.docker("image", "rm", image_name)


def machine_of(disk: Path) -> Artifact:
    return artifact_from_parts(root=Disk.parse(f"{disk}:raw"))


class watched:  # noqa: N801 - it reads as a statement
    """Calls *look* every now and then while the block runs."""

    def __init__(self, look: Callable[[], object]) -> None:
        self.look = look
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.over.wait(0.01):
            self.look()

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()


def test_leftovers_of_a_killed_reader_are_removed_by_the_next(docker_engine: DockerEngine, image_name: str) -> None:
    copied(a_container("none").build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))
    program = (
        "import os, sys, signal\n"
        "from eci_convert.transports import open_source\n"
        "from eci_convert.transports.settings import Settings\n"
        "source = open_source('docker-daemon:' + sys.argv[1], Settings(environ={'DOCKER_HOST': sys.argv[2]}))\n"
        "with source.filesystem().fetch('/boot/kernel') as chunks:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, image_name, docker_engine.host], check=False)
    left = docker_engine.docker("ps", "--all", "--quiet", "--filter", f"ancestor={image_name}")
    assert left

    with open_source(f"docker-daemon:{image_name}", settings(docker_engine)) as source:
        files = source.filesystem()
        assert files is not None
        with files.fetch("/boot/kernel"):
            pass

    assert not docker_engine.docker("ps", "--all", "--quiet", "--filter", f"ancestor={image_name}")


def test_an_interrupted_reader_leaves_no_container(
    docker_engine: DockerEngine, image_name: str, tmp_path: Path
) -> None:
    image = an_image().tar_layer({"root.raw": os.urandom(64 * _MIB)}).label("org.lfedge.eci.artifact.root", "/root.raw")
    copied(image.build(), open_sink(f"docker-daemon:{image_name}", settings(docker_engine)))
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "eci_convert", "extract", image_name, "--root", "-"]
    with subprocess.Popen(command, env={**os.environ, **docker_engine.env}, stdout=writer) as process:
        os.close(writer)
        os.read(reader, 1)
        process.send_signal(2)
        time.sleep(0)
        while os.read(reader, _MIB):
            pass
    os.close(reader)

    assert process.returncode == 130
    assert not docker_engine.docker("ps", "--all", "--quiet", "--filter", f"ancestor={image_name}")


def test_an_image_in_the_engine_is_verified(
    docker_engine: DockerEngine, image_name: str, machine: Machine, eci_convert: Any, tmp_path: Path
) -> None:
    pushed(docker_engine, an_artifact(machine), image_name)

    assert "is what it claims to be" in eci_convert("verify", image_name, env=docker_engine.env).stdout
    eci_convert("verify", image_name, "--fix", f"oci:{tmp_path}/repaired", env=docker_engine.env)


def test_an_image_is_copied_out_of_the_engine_and_in_again(
    docker_engine: DockerEngine, image_name: str, machine: Machine, eci_convert: Any, tmp_path: Path
) -> None:
    pushed(docker_engine, an_artifact(machine), image_name)
    before = inspected(docker_engine, image_name)["Id"]

    eci_convert("copy", f"docker-daemon:{image_name}", f"oci:{tmp_path}/layout", env=docker_engine.env)
    docker_engine.docker("image", "rm", image_name)
    eci_convert("copy", f"oci:{tmp_path}/layout", f"docker-daemon:{image_name}", env=docker_engine.env)

    assert inspected(docker_engine, image_name)["Id"] == before


def test_an_image_out_of_the_engine_becomes_artifacts_without_a_layer_travelling(
    docker_engine: DockerEngine, image_name: str, machine: Machine, eci_convert: Any, tmp_path: Path
) -> None:
    pushed(docker_engine, an_artifact(machine), image_name)
    words = ("copy", f"docker-daemon:{image_name}", f"oci:{tmp_path}/layout", "--format", "artifacts")

    eci_convert(*words, env=docker_engine.env)
    eci_convert("extract", f"oci:{tmp_path}/layout", tmp_path / "out")

    assert (tmp_path / "out/kernel").read_bytes() == machine.kernel.read_bytes()
