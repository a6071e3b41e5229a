"""Archives of images: engines load what we write, and what they save, we read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.programs import Programs
from tests.support.images import ImageBuilder, a_container, an_image, copied
from tests.support.load_archives import Streamed


def run(*command: str | Path, stdin: bytes | None = None) -> bytes:
    words = [*map(str, command)]
    done = subprocess.run(words, input=stdin, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


def diff_ids_of(reference: str) -> list[str]:
    """The diff ids of the image, each layer having been read and found right."""
    with open_source(reference, Settings()) as source:
        image = load_image(source)
        for layer in image.manifest.layers:
            load_document(source, layer)
        return [str(diff_id) for diff_id in image.config.diff_ids]


def expected(image: ImageBuilder) -> list[str]:
    return [str(diff_id) for diff_id in image.diff_ids]


def saved(image: ImageBuilder, reference: str) -> str:
    copied(image.build(), open_sink(reference, Settings()))
    return reference


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_docker_loads_what_we_write(
    docker_engine: DockerEngine, image_name: str, tmp_path: Path, compression: str
) -> None:
    image = a_container(compression)
    saved(image, f"docker-archive:{tmp_path}/image.tar:{image_name}")

    docker_engine.docker("load", "-i", str(tmp_path / "image.tar"))

    [found] = json.loads(docker_engine.docker("image", "inspect", image_name))
    assert found["RootFS"]["Layers"] == expected(image)
    assert found["Config"]["Labels"] == dict(image.labels)
    docker_engine.docker("rmi", image_name)


def test_docker_loads_what_we_stream(docker_engine: DockerEngine, image_name: str) -> None:
    image = an_image().tar_layer({"boot/kernel": b"kernel"}).tar_layer({"initrd": b"streamed" * 100})
    stream = Streamed(image, image_name)

    docker_engine.run("docker", "load", stdin=stream.archive)

    assert [name for name in stream.names if name.startswith("layer-")]
    [found] = json.loads(docker_engine.docker("image", "inspect", image_name))
    assert found["RootFS"]["Layers"] == expected(image)
    docker_engine.docker("rmi", image_name)


def test_docker_loads_an_image_without_a_name(docker_engine: DockerEngine, tmp_path: Path) -> None:
    image = an_image().tar_layer({"kernel": str(tmp_path).encode()})
    saved(image, f"docker-archive:{tmp_path}/image.tar")

    said = docker_engine.docker("load", "-i", str(tmp_path / "image.tar"))

    [found] = json.loads(docker_engine.docker("image", "inspect", said.split()[-1]))
    assert found["RootFS"]["Layers"] == expected(image)


def test_podman_loads_what_we_write(podman_vfs: Store, image_name: str, tmp_path: Path) -> None:
    image = a_container("gzip")
    saved(image, f"docker-archive:{tmp_path}/docker.tar:{image_name}")
    saved(image, f"oci-archive:{tmp_path}/oci.tar:{image_name}-oci")

    for path, name in (("docker.tar", image_name), ("oci.tar", f"{image_name}-oci")):
        podman_vfs.podman("load", "-i", str(tmp_path / path))
        found = json.loads(podman_vfs.podman("image", "inspect", name))
        assert found[0]["RootFS"]["Layers"] == expected(image)


def test_skopeo_reads_what_we_write(tmp_path: Path, programs: Programs) -> None:
    image = a_container("gzip")
    for reference in (f"docker-archive:{tmp_path}/docker.tar:machine:1", f"oci-archive:{tmp_path}/oci.tar:machine"):
        saved(image, reference)
        scheme = reference.partition(":")[0]
        run(programs.skopeo, "--insecure-policy", "copy", reference, f"oci:{tmp_path}/{scheme}:copy")
        assert diff_ids_of(f"oci:{tmp_path}/{scheme}:copy") == expected(image)


def test_crane_finds_nothing_wrong_with_what_we_write(tmp_path: Path, programs: Programs) -> None:
    saved(a_container("gzip"), f"docker-archive:{tmp_path}/docker.tar:machine:1")

    run(programs.crane, "validate", "--tarball", tmp_path / "docker.tar")


def test_we_read_what_docker_saves(docker_engine: DockerEngine, image_name: str, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/kernel").write_bytes(b"kernel")
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY kernel /kernel\nCOPY kernel /again/kernel\n")
    other = image_name.replace(":v1", ":v2")
    docker_engine.docker("build", "-t", image_name, "-t", other, str(tmp_path / "context"))
    docker_engine.docker("save", "-o", str(tmp_path / "one.tar"), image_name)
    docker_engine.docker("save", "-o", str(tmp_path / "two.tar"), image_name, other)
    run("gzip", "-k", tmp_path / "two.tar")
    [found] = json.loads(docker_engine.docker("image", "inspect", image_name))
    layers = found["RootFS"]["Layers"]

    assert diff_ids_of(f"docker-archive:{tmp_path}/one.tar") == layers
    assert diff_ids_of(f"docker-archive:{tmp_path}/two.tar:{other}") == layers
    assert diff_ids_of(f"docker-archive:{tmp_path}/two.tar.gz:docker.io/{image_name}") == layers
    if docker_engine.keeps_images_in_containerd:
        assert diff_ids_of(f"oci-archive:{tmp_path}/one.tar") == layers


def test_we_read_what_docker_saves_into_our_standard_input(
    docker_engine: DockerEngine, image_name: str, tmp_path: Path, programs: Programs
) -> None:
    image = a_container("none")
    saved(image, f"docker-archive:{tmp_path}/image.tar:{image_name}")
    docker_engine.docker("load", "-i", str(tmp_path / "image.tar"))
    archive = docker_engine.run("docker", "save", image_name).stdout

    command = [sys.executable, "-m", "eci_convert", "extract", "docker-archive:-", str(tmp_path / "out")]
    run(*command, stdin=archive)

    assert (tmp_path / "out/kernel").read_bytes() == b"kernel"
    docker_engine.docker("rmi", image_name)


def test_we_read_what_podman_saves(podman_store: Store, image_name: str, tmp_path: Path) -> None:
    image = a_container("gzip")
    saved(image, f"docker-archive:{tmp_path}/image.tar:{image_name}")
    podman_store.podman("load", "-i", str(tmp_path / "image.tar"))

    for scheme in ("docker-archive", "oci-archive"):
        path = tmp_path / f"{scheme}.tar"
        podman_store.podman("save", "--format", scheme, "-o", str(path), image_name)
        assert diff_ids_of(f"{scheme}:{path}") == expected(image)
    assert diff_ids_of(f"docker-archive:{tmp_path}/docker-archive.tar:localhost/{image_name}") == expected(image)


def test_we_read_what_skopeo_writes(tmp_path: Path, programs: Programs) -> None:
    image = a_container("none")
    saved(image, f"oci:{tmp_path}/layout:machine")

    for scheme in ("docker-archive", "oci-archive"):
        reference = f"{scheme}:{tmp_path}/{scheme}.tar:machine:1"
        run(programs.skopeo, "--insecure-policy", "copy", f"oci:{tmp_path}/layout:machine", reference)
        assert diff_ids_of(reference) == expected(image)


def test_we_read_what_buildx_exports(docker28: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/kernel").write_bytes(b"kernel")
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY kernel /kernel\n")

    for kind in ("docker", "oci"):
        path = tmp_path / f"{kind}.tar"
        docker28.docker(
            "buildx", "build", "--output", f"type={kind},dest={path}", "-t", "machine:1", str(tmp_path / "context")
        )
        assert len(diff_ids_of(f"{kind}-archive:{path}:machine:1")) == 1
