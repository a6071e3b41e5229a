"""A container is not the image: what real engines hide, add or take for something else comes as the image has it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine

Convert = Callable[..., subprocess.CompletedProcess[str]]
CLASSIC = {"DOCKER_BUILDKIT": "0"}
DOCKERFILE = "FROM scratch\nCOPY f /\nVOLUME /data\n"
FILES = {
    "etc/hosts": "10.0.0.1 box\n",
    "etc/hostname": "box\n",
    "etc/resolv.conf": "nameserver 10.0.0.2\n",
    "etc/fstab": "none\n",
    "dev/disk.raw": "disk\n",
    "run/secrets/key": "key\n",
    "disk/vm.img": "DISK\n",
    "boot/vmlinuz": "kernel\n",
    "disk[1].raw": "one\n",
    "disk1.raw": "another\n",
    "boot/sub/empty": "",
}
LINKS = {"names": "/etc/hosts", "cfg": "etc", "data": "disk", "vm": "data/vm.img", "l": "boot/sub", "b": "boot"}
LINKS |= {"loop": "loop", "dangling": "/nowhere", "kernel": "l/../vmlinuz"}


@pytest.fixture
def image(any_engine: DockerEngine, image_name: str, tmp_path: Path) -> str:
    folder = tmp_path / "build"
    for name, text in FILES.items():
        path = folder / "f" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in LINKS.items():
        (folder / "f" / name).symlink_to(target)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    any_engine.run("docker", "build", "-q", "-t", image_name, str(folder), env=CLASSIC)
    return image_name


@pytest.mark.parametrize("path", list(FILES))
def test_every_file_comes_as_the_image_has_it(
    any_engine: DockerEngine, image: str, path: str, eci_convert: Convert, tmp_path: Path
) -> None:
    eci_convert("extract", image, "--path", f"/{path}={tmp_path}/got", env=any_engine.env)

    assert (tmp_path / "got").read_text() == FILES[path]


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("names", "etc/hosts"),
        ("cfg/resolv.conf", "etc/resolv.conf"),
        ("data/vm.img", "disk/vm.img"),
        ("vm", "disk/vm.img"),
        ("l/../vmlinuz", "boot/vmlinuz"),
        ("kernel", "boot/vmlinuz"),
        ("b/vmlinuz", "boot/vmlinuz"),
        ("disk/", "disk/vm.img"),
    ],
)
def test_links_and_directories_lead_to_the_image_s_files(
    any_engine: DockerEngine, image: str, path: str, real: str, eci_convert: Convert, tmp_path: Path
) -> None:
    eci_convert("extract", image, "--path", f"/{path}={tmp_path}/got", env=any_engine.env)

    assert (tmp_path / "got").read_text() == FILES[real]


@pytest.mark.parametrize(
    ("path", "exits"),
    [
        ("boot/vmlinuz/x", 8),
        ("nothing", 8),
        ("disk[2].raw", 8),
        ("disk?.raw", 8),
        ("dangling", 8),
        ("boot", 8),
        ("x" * 300, 8),
        ("loop", 7),
        ("loop/x", 7),
    ],
)
def test_what_is_no_file_is_told_as_such(
    any_engine: DockerEngine, image: str, path: str, exits: int, eci_convert: Convert, tmp_path: Path
) -> None:
    words = ("extract", image, "--path", f"/{path}={tmp_path}/got", "--progress", "none")
    done = eci_convert(*words, env=any_engine.env, exits=exits)

    assert len(done.stderr.splitlines()) <= 2
    assert not (tmp_path / "got").exists()


def test_a_name_that_is_not_utf_8_comes_too(
    any_engine: DockerEngine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    name = os.fsdecode(b"n\xe9")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / name).write_text("latin-1\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY f /\n")
    any_engine.run("docker", "build", "-q", "-t", image_name, str(tmp_path), env=CLASSIC)

    eci_convert("extract", image_name, "--path", f"/{name}={tmp_path}/got", env=any_engine.env)

    assert (tmp_path / "got").read_text() == "latin-1\n"


def test_an_image_without_architecture_is_read(
    any_engine: DockerEngine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    """As `crane append` and rules_oci make them."""
    (tmp_path / "k").write_text("kernel\n")
    eci_convert("build", "--kernel", tmp_path / "k", "--to", f"docker-archive:{tmp_path}/a.tar:{image_name}")
    subprocess.run(["tar", "xf", "a.tar"], cwd=tmp_path, check=True)
    [entry] = json.loads((tmp_path / "manifest.json").read_text())
    config = json.loads((tmp_path / entry["Config"]).read_text())
    config["architecture"] = ""
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "manifest.json").write_text(json.dumps([entry | {"Config": "config.json"}]))
    archive = ["tar", "cf", "b.tar", "manifest.json", "config.json", *entry["Layers"]]
    subprocess.run(archive, cwd=tmp_path, check=True)
    any_engine.docker("load", "-i", str(tmp_path / "b.tar"))
    name = image_name if any_engine.name != "podman" else f"localhost/{image_name}"

    eci_convert("extract", name, tmp_path / "out", env=any_engine.env)

    assert (tmp_path / "out/kernel").read_text() == "kernel\n"


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_a_base_with_a_directory_where_a_part_goes_is_refused(
    docker_engine: DockerEngine, builder: str, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/image").write_text("old\n")
    (tmp_path / "vmlinuz").write_text("kernel\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY kernel /kernel\n")
    base = image_name.replace(":", "-base:")
    docker_engine.run("docker", "build", "-q", "-t", base, str(tmp_path), env=CLASSIC)

    words = ("build", "--kernel", tmp_path / "vmlinuz", "--base", base, "--builder", builder, "-t", image_name)
    done = eci_convert(*words, env=docker_engine.env, exits=8)

    assert "/kernel" in done.stderr


def test_the_classic_builder_takes_the_new_root_disk(
    docker_engine: DockerEngine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    """moby/moby#42718: its cache does not see what changed in the second of two hard links."""
    for content in ("template", "replaced"):
        (tmp_path / "a.raw").write_text(content)
        words = ("--root", f"{tmp_path}/a.raw:raw", "--disk", f"{tmp_path}/a.raw:raw", "--stage", tmp_path / "context")
        eci_convert("dockerfile", *words)
        docker_engine.run("docker", "build", "-q", "-t", image_name, str(tmp_path / "context"), env=CLASSIC)
        eci_convert("extract", image_name, tmp_path / "out", env=docker_engine.env)
        assert (tmp_path / "out/disk-root-a.raw").read_text() == content
        assert (tmp_path / "out/disk-0-a.raw").read_text() == content
