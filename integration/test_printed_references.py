"""What `build` prints is what the next program takes: the reference by digest, the image id."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

Convert = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("options", [(), ("--format", "legacy", "--compression", "zstd")], ids=["gzip", "zstd"])
def test_docker_pulls_what_build_prints(
    docker_engine: DockerEngine, registry: Registry, machine: Machine, image_name: str, eci_convert: Convert,
    options: tuple[str, ...],
) -> None:  # fmt: skip
    if "zstd" in options and docker_engine.name == "docker20":
        pytest.skip("Docker 20.10 reads no zstd")
    place = f"docker://{registry.host}/{image_name}"

    printed = eci_convert("build", "--kernel", machine.kernel, "--to", place, *options).stdout.strip()

    assert printed.startswith(f"{registry.host}/{image_name}@sha256:")
    docker_engine.docker("pull", printed)
    assert docker_engine.docker("image", "inspect", "-f", "{{.Id}}", printed).startswith("sha256:")
    inspected = json.loads(eci_convert("inspect", f"docker://{printed}", "--json").stdout)
    assert printed.endswith(inspected["digest"])


def test_crane_and_skopeo_agree(
    registry: Registry, programs: Programs, machine: Machine, image_name: str, eci_convert: Convert
) -> None:
    name = f"{registry.host}/{image_name}"
    words = ("build", "--kernel", machine.kernel, "--to", f"docker://{name}")
    quiet = eci_convert(*words, "-q").stdout.strip()
    command = [programs.crane, "digest", "--insecure", name]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == quiet
    repository = name.rpartition(":")[0]  # skopeo takes a tag or a digest, and never both
    command = [
        programs.skopeo, "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{repository}@{quiet}",
    ]  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == quiet


def test_the_id_is_the_engines(
    any_engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert
) -> None:
    printed = eci_convert("build", "--kernel", machine.kernel, "-t", image_name, env=any_engine.env).stdout.strip()
    found = json.loads(
        eci_convert("build", "--kernel", machine.kernel, "-t", image_name, "--json", env=any_engine.env).stdout
    )
    assert (found["digest"], found["image_id"]) == (printed, printed)
    if any_engine.name != "podman":
        assert any_engine.docker("image", "inspect", "-f", "{{.Id}}", image_name) == printed


def test_podmans_store_knows_the_printed_digest(
    podman_store: Store, machine: Machine, image_name: str, eci_convert: Convert
) -> None:
    place = f"{podman_store.prefix}localhost/{image_name}"
    printed = eci_convert("build", "--kernel", machine.kernel, "--to", place).stdout.strip()
    assert printed.startswith(f"{place}@sha256:")
    digest = podman_store.podman("image", "inspect", "--format", "{{.Digest}}", f"localhost/{image_name}").strip()
    assert printed.endswith(digest)


def test_podmans_service_is_found_where_no_docker_is(
    podman_service: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert
) -> None:
    env = {name: value for name, value in podman_service.env.items() if name != "DOCKER_HOST"}
    env["CONTAINER_HOST"] = podman_service.host

    eci_convert("build", "--kernel", machine.kernel, "-t", image_name, env=env)
    done = eci_convert("inspect", image_name, "-v", env=env)

    assert f"using podman's socket {podman_service.host}" in done.stderr


@pytest.mark.parametrize("name", ["", ":edge/machine:1"])
def test_buildx_prints_the_reference_of_its_archive(
    docker28: DockerEngine, machine: Machine, eci_convert: Convert, tmp_path: Path, name: str
) -> None:
    place = f"oci-archive:{tmp_path}/image.tar{name}"
    words = ("build", "--kernel", machine.kernel, "--builder", "buildx", "--to", place)
    digest_file = tmp_path / "digest"

    printed = eci_convert(*words, "--digest-file", digest_file, env=docker28.env).stdout.strip()

    assert printed == f"{place}@{digest_file.read_text().strip()}"
    found = json.loads(eci_convert("inspect", printed, "--json").stdout)
    assert printed.endswith(found["digest"])
    assert [part["role"] for part in found["parts"]] == ["kernel"]
