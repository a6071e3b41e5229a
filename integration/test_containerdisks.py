"""containerDisks in real engines: however they are made, Docker makes a container of them, and the disk comes out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.support.boot_vm import Machine

Convert = Callable[..., subprocess.CompletedProcess[str]]


def made(way: str, image_name: str, machine: Machine, convert: Convert, engine: DockerEngine, folder: Path) -> None:
    disk = ["--root", f"{machine.root}:raw"]
    match way:
        case "build":
            convert("build", "-t", image_name, "--format", "containerdisk", *disk, env=engine.env)
        case "also":
            convert("build", "-t", image_name, "--also", "containerdisk", *disk, env=engine.env)
        case "copy":
            convert("build", "--to", f"oci:{folder}/legacy", *disk)
            to = f"docker-daemon:{image_name}"
            convert("copy", f"oci:{folder}/legacy", to, "--format", "containerdisk", env=engine.env)
        case _:
            convert("push", "--remote", f"{folder}/pushed", "a:1", "--format", "containerdisk", *disk)
            convert("copy", f"oci:{folder}/pushed", f"docker-daemon:{image_name}", env=engine.env)


@pytest.mark.parametrize("way", ["build", "also", "copy", "push"])
def test_docker_makes_a_container_of_it_and_hands_out_the_disk(
    way: str, docker_engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    made(way, image_name, machine, eci_convert, docker_engine, tmp_path)

    container = docker_engine.docker("create", image_name).strip()
    try:
        docker_engine.docker("cp", f"{container}:/disk", str(tmp_path / "disk"))
    finally:
        docker_engine.docker("rm", container)
    [file] = (tmp_path / "disk").iterdir()
    assert file.read_bytes() == machine.root.read_bytes()
    serves = json.loads(eci_convert("inspect", image_name, "--json", env=docker_engine.env).stdout)["serves"]
    assert "containerdisk" in serves


def test_files_and_parts_of_an_image_in_an_engine_are_told(
    docker_engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    words = ["--kernel", machine.kernel, "--root", f"{machine.root}:raw", "--cmdline", "quiet"]
    eci_convert("build", "-t", image_name, *words, env=docker_engine.env)
    eci_convert("build", "--to", f"oci:{tmp_path}/l", "--format", "artifacts", *words)

    listing = json.loads(eci_convert("ls", image_name, "--json", env=docker_engine.env).stdout)
    deep = json.loads(eci_convert("inspect", image_name, "--deep", "--json", env=docker_engine.env).stdout)

    sizes = {file["path"]: file["size"] for file in listing["files"]}
    assert sizes["/kernel"] == machine.kernel.stat().st_size
    assert {part["role"]: part["size"] for part in deep["parts"]} == {
        "kernel": machine.kernel.stat().st_size, "disk-root": machine.root.stat().st_size, "cmdline": 5
    }  # fmt: skip
    eci_convert("diff", image_name, f"oci:{tmp_path}/l", env=docker_engine.env)
