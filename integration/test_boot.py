"""What went through a real place still boots: the kernel and the initrd that came out of it, in qemu."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.registry import Registry
from integration.support.boot_vm import GREETING, Machine, boot

Run = Callable[..., object]


def boots(directory: Path, machine: Machine) -> None:
    """The machine in *directory* greets; its root disk, which such a small one does not mount, is the one we had."""
    if not machine.boots:
        pytest.fail("there is no kernel that boots: run integration/install_engines")
    [root] = directory.glob("disk-root-*")
    assert filecmp.cmp(root, machine.root, shallow=False)
    said = boot(directory / "kernel", directory / "initrd", disks=[root])
    assert GREETING in said, said


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_a_machine_from_a_registry_boots(
    registry: Registry, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path, form: str
) -> None:
    name = f"{registry.host}/{image_name}"
    parts = ["--kernel", machine.kernel, "--initrd", machine.initrd, "--root", f"{machine.root}:raw"]
    eci_convert("push", name, *parts, "--format", form)

    eci_convert("extract", f"docker://{name}", tmp_path)

    boots(tmp_path, machine)


def test_a_machine_from_a_docker_engine_boots(
    docker28: DockerEngine, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    parts = ["--kernel", machine.kernel, "--initrd", machine.initrd, "--root", f"{machine.root}:raw"]
    eci_convert("build", *parts, "-t", image_name, env=docker28.env)

    eci_convert("extract", image_name, tmp_path, env=docker28.env)

    boots(tmp_path, machine)
