"""How-to pages whose commands need other programs, run in order with the real ones: Docker, podman, cosign.

tests/docs runs the other pages, and these without the blocks that need an engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

HOWTO = Path(__file__).parents[1] / "docs/howto"


def script_of(page: str, registry: Registry, kinds: str = "sh|bash") -> str:
    """The commands of *page*: its blocks of these kinds."""
    blocks = re.findall(rf"```(?:{kinds})\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)
    return "\n".join(["set -euxo pipefail", *blocks]).replace("registry.example", registry.host)


def run(script: str, folder: Path, env: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**env, "PATH": path, "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def here(tmp_path: Path, machine: Machine) -> Path:
    """A directory with the parts of a machine, under the names that the pages use."""
    for name, part in {"vmlinuz": machine.kernel, "initrd.img": machine.initrd, "initrd": machine.initrd}.items():
        shutil.copyfile(part, tmp_path / name)
    shutil.copyfile(machine.root, tmp_path / "disk.raw")
    return tmp_path


def test_the_page_about_docker_cp_extracts_the_kernel(
    docker_engine: DockerEngine, registry: Registry, here: Path
) -> None:
    build = "eci-convert build -t my-machine:1 --kernel vmlinuz --root disk.raw\n"

    run(build + script_of("migrate-from-docker-cp.md", registry), here, docker_engine.env)

    assert (here / "kernel.copy").read_bytes() == (here / "vmlinuz").read_bytes()


def test_the_page_about_podman_extracts_the_kernel(podman_store: Store, registry: Registry, here: Path) -> None:
    (here / "storage.conf").write_text(
        f'[storage]\ndriver = "{podman_store.driver}"\ngraphroot = "{podman_store.root}"\n'
        f'runroot = "{podman_store.runroot}"\n'
    )
    env = podman_store.env | {"CONTAINERS_STORAGE_CONF": str(here / "storage.conf")}

    run(script_of("podman.md", registry), here, env)

    assert (here / "kernel").read_bytes() == (here / "vmlinuz").read_bytes()
    assert (here / "out3/kernel").read_bytes() == (here / "vmlinuz").read_bytes()


def test_signatures_of_cosign_in_a_registry_without_the_referrers_api(
    registry: Registry, here: Path, programs: Programs
) -> None:
    (here / "bin").mkdir()
    (here / "bin/cosign").symlink_to(programs.cosign)

    run(script_of("sign.md", registry, "sh"), here, {**os.environ, "PATH": f"{here}/bin:{os.environ['PATH']}"})

    assert (here / "machine/kernel").read_bytes() == (here / "vmlinuz").read_bytes()
    assert "sha256:" in (here / "verified.json").read_text()


def test_a_place_for_temporary_files(docker_engine: DockerEngine, registry: Registry, here: Path) -> None:
    (here / "scratch").mkdir()
    build = "eci-convert build -t my-machine:1 --kernel vmlinuz --root disk.raw\n"

    run(
        build + script_of("large-disks.md", registry, "bash").replace("/srv/scratch", "scratch"),
        here,
        docker_engine.env,
    )

    assert not list((here / "scratch").iterdir())
