"""Docker 28 with its classic store: as new as the one with containerd's, and saves an OCI layout too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine, _docker
from integration.engines.programs import UNSTABLE_PATH, Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine
from tests.support.images import files_in

Convert = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def engine(programs: Programs) -> Iterator[DockerEngine]:
    features: dict[str, object] = {"features": {"containerd-snapshotter": False}}
    with _docker("docker28-classic", UNSTABLE_PATH, features, in_containerd=False) as running:
        yield running


@pytest.mark.parametrize("builder", ["direct", "docker", "buildx"])
def test_an_image_goes_in_and_comes_out(
    engine: DockerEngine, builder: str, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    words = ("--kernel", machine.kernel, "--root", f"{machine.root}:raw", "--builder", builder)
    done = eci_convert("build", *words, "-t", image_name, "--platform", "linux/arm64", env=engine.env)
    eci_convert("extract", image_name, tmp_path, env=engine.env)

    [found] = json.loads(engine.docker("image", "inspect", image_name))
    assert (done.stdout.split()[-1], found["Architecture"]) == (found["Id"], "arm64")
    assert files_in(tmp_path) == {
        "kernel": machine.kernel.read_bytes(),
        f"disk-root-{machine.root.name}": machine.root.read_bytes(),
    }


def test_an_image_is_verified_and_copied_as_it_is(
    engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    identity = eci_convert("build", "--kernel", machine.kernel, "-t", image_name, env=engine.env).stdout

    eci_convert("verify", image_name, env=engine.env)
    eci_convert("copy", f"docker-daemon:{image_name}", f"oci:{tmp_path}/layout", env=engine.env)
    eci_convert("copy", f"oci:{tmp_path}/layout", f"docker-daemon:{image_name}-again", env=engine.env)

    assert engine.docker("image", "inspect", "-f", "{{.Id}}", f"{image_name}-again") == identity.split()[-1]


def test_its_layers_which_no_manifest_lists_are_compressed_on_their_way_to_a_registry(
    engine: DockerEngine,
    registry: Registry,
    programs: Programs,
    machine: Machine,
    image_name: str,
    eci_convert: Convert,
) -> None:
    name = f"{registry.host}/{image_name}"
    eci_convert("build", "--root", f"{machine.root}:raw", "-t", name, env=engine.env)
    eci_convert("copy", f"docker-daemon:{name}", f"docker://{name}", env=engine.env)
    command = [programs.crane, "manifest", "--insecure", name]
    [layer] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["layers"]
    assert layer["mediaType"].endswith("gzip")
    eci_convert("verify", f"docker://{name}")
