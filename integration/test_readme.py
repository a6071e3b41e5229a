"""README's examples, run as they are written: only the registry's name is another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
MAIN, BUILD, REGISTRY = (
    next(block for block in BLOCKS if f"\neci-convert {words}" in f"\n{block}")
    for words in ("dockerfile --kernel", "build --kernel", "push registry.example")
)
LIBRARY = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]


@pytest.fixture
def here(machine: Machine, tmp_path: Path) -> Path:
    """A folder with the files of the reader's machine."""
    for name, path in (("vmlinuz", machine.kernel), ("initrd.img", machine.initrd), ("disk.raw", machine.root)):
        subprocess.run(["cp", "--sparse=always", path, tmp_path / name], check=True)
    command: list[str | Path] = [
        Programs().qemu_img,
        "convert",
        "-O",
        "qcow2",
        tmp_path / "disk.raw",
        tmp_path / "disk.qcow2",
    ]
    subprocess.run(command, check=True)
    return tmp_path


def run(script: str, here: Path, env: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=here, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(one: Path, other: Path) -> bool:
    return subprocess.run(["cmp", one, other], check=False).returncode == 0


def test_the_first_example_does_the_main_job(docker_engine: DockerEngine, here: Path) -> None:
    run(MAIN, here, docker_engine.env)
    assert sorted(path.name for path in (here / "out").iterdir()) == ["disk-root-disk.raw", "initrd", "kernel"]
    assert same(here / "out/kernel", here / "vmlinuz")
    assert same(here / "out/initrd", here / "initrd.img")
    assert same(here / "out/disk-root-disk.raw", here / "disk.raw")


def test_the_examples_of_building_keep_every_byte(docker_engine: DockerEngine, here: Path) -> None:
    run(BUILD, here, docker_engine.env)
    assert same(here / "vmlinuz.copy", here / "vmlinuz")


def test_the_examples_of_registries_keep_every_byte(registry: Registry, here: Path) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run(REGISTRY.replace("registry.example", registry.host), here, env)
    assert same(here / "machine/kernel", here / "vmlinuz")
    assert same(here / "root.qcow2", here / "disk.qcow2")
    assert (here / "machine.tar").exists()


def test_the_example_of_the_library(here: Path) -> None:
    said = subprocess.run([sys.executable, "-c", LIBRARY], cwd=here, capture_output=True, text=True, check=True).stdout
    assert "sha256:" in said
    assert same(here / "out/kernel", here / "vmlinuz")
