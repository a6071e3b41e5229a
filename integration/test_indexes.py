"""Images of several platforms under one name, in real places, as other tools see them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.operations.copy import copy
from eci_convert.reading.images import load_root
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.memory import MemorySource
from eci_convert.transports.settings import Settings
from integration.engines.containerd import Containerd
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from tests.support.kraftkit_package import MULTI, stored

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(b"kernel" * 1000)
    return path


def platforms(index: str) -> list[str]:
    return [
        "/".join((one["platform"]["os"], one["platform"]["architecture"])) for one in json.loads(index)["manifests"]
    ]


def test_an_index_in_a_registry_is_one_for_skopeo_and_crane(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run, kernel: Path, tmp_path: Path
) -> None:
    name, layout = f"{registry.host}/{image_name}", f"oci:{tmp_path}/layout"
    for architecture in ("amd64", "arm64", "riscv64"):
        platform = f"linux/{architecture}"
        eci_convert("build", "--to", f"{layout}:{architecture}", "--kernel", kernel, "--platform", platform)

    eci_convert("index", "create", f"docker://{name}", f"{layout}:amd64", f"{layout}:arm64", "--annotation", "a=b")
    eci_convert("index", "add", f"docker://{name}", f"{layout}:riscv64")
    eci_convert("index", "remove", f"docker://{name}", "--platform", "linux/amd64")
    eci_convert("push", name, "--kernel", kernel, "--format", "legacy", "--append", "--platform", "linux/s390x")

    index = run(programs.crane, "manifest", "--insecure", name)
    assert platforms(index) == ["linux/arm64", "linux/riscv64", "linux/s390x"]
    assert json.loads(index)["annotations"] == {"a": "b"}
    run(
        programs.skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "--all",
        f"docker://{name}", f"oci:{tmp_path}/theirs:all",
    )  # fmt: skip
    eci_convert("verify", f"oci:{tmp_path}/theirs:all")


def test_an_index_that_another_tool_made_is_added_to(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run, kernel: Path, tmp_path: Path
) -> None:
    repository, _, tag = image_name.rpartition(":")
    name = f"{registry.host}/{repository}"
    for architecture in ("amd64", "arm64"):
        words = ("--kernel", kernel, "--format", "legacy", "--platform", f"linux/{architecture}")
        eci_convert("push", f"{name}:{architecture}", *words)
    run(programs.crane, "index", "append", "--insecure", "-m", f"{name}:amd64", "-t", f"{name}:{tag}")

    eci_convert("index", "add", f"docker://{name}:{tag}", f"docker://{name}:arm64")

    assert platforms(run(programs.crane, "manifest", "--insecure", f"{name}:{tag}")) == ["linux/amd64", "linux/arm64"]


def test_ironcores_images_have_tags_of_their_own(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run, kernel: Path
) -> None:
    name = f"{registry.host}/{image_name}"
    for architecture in ("amd64", "arm64"):
        words = ("--kernel", kernel, "--format", "ironcore", "--platform", f"linux/{architecture}", "--append")
        eci_convert("push", name, *words)

    tags = run(programs.crane, "ls", "--insecure", name.rpartition(":")[0]).split()
    assert sorted(tags) == ["v1", "v1-amd64", "v1-arm64"]
    entries = json.loads(run(programs.crane, "manifest", "--insecure", name))["manifests"]
    assert [entry["digest"] for entry in entries] == [
        run(programs.crane, "digest", "--insecure", f"{name}-{architecture}").strip()
        for architecture in ("amd64", "arm64")
    ]


def test_a_package_of_kraftkits_goes_through_a_registry_as_it_is_and_is_mended_there(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run
) -> None:
    name = f"docker://{registry.host}/{image_name}"
    with open_sink(name, Settings()) as sink:
        copy(MemorySource(stored(), "package"), sink)

    with open_source(name, Settings()) as source:
        assert load_root(source)[0].digest == Digest.parse(MULTI["index digest"])
    for platform in ("qemu/x86_64", "fc/x86_64", "xen/arm64"):
        said = json.loads(eci_convert("inspect", name, "--platform", platform, "--json").stdout)
        assert said["platform"] == platform
    eci_convert("verify", name, exits=6)
    eci_convert("verify", name, "--fix", f"{name}-fixed")
    sizes = [
        one["size"]
        for one in json.loads(run(programs.crane, "manifest", "--insecure", f"{name[9:]}-fixed"))["manifests"]
    ]
    assert 32 not in sizes


def test_containerd_keeps_an_index_that_changes(
    containerd_engine: Containerd, eci_convert: Run, kernel: Path, tmp_path: Path
) -> None:
    name, where = "containerd:r.example/acme/several:1", ("--address", containerd_engine.address)
    for architecture in ("amd64", "arm64"):
        platform = f"linux/{architecture}"
        eci_convert("build", "--to", f"oci:{tmp_path}/l:{architecture}", "--kernel", kernel, "--platform", platform)
        eci_convert("index", "add", name, f"oci:{tmp_path}/l:{architecture}", *where)

    eci_convert("verify", name, *where)
    eci_convert("index", "remove", name, "--platform", "linux/amd64", *where)
    said = json.loads(eci_convert("inspect", name, "--platform", "linux/arm64", "--json", *where).stdout)
    assert said["platforms"] == ["linux/arm64"]
