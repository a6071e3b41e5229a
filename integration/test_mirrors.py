"""registries.conf beside skopeo and podman, over real registries; and `doctor` on a computer that has engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return tmp_path / "registries.conf"


@pytest.fixture
def env(conf: Path, tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(conf)}


def skopeo(programs: Programs, conf: Path, name: str, exits: int = 0) -> str:
    command = [programs.skopeo, "--registries-conf", str(conf), "inspect", "--raw", f"docker://{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ)
    assert (done.returncode != 0) == (exits != 0), done.stderr
    return done.stdout if not exits else done.stderr


@pytest.mark.parametrize(
    "text",
    [
        '[[registry]]\nprefix="registry.invalid"\nlocation="{host}"\ninsecure=true\n',
        '[[registry]]\nlocation="registry.invalid"\n[[registry.mirror]]\nlocation="{host}"\ninsecure=true\n',
        '[[registry]]\nprefix="*.invalid"\nlocation="{host}"\ninsecure=true\n',
        '[[registry]]\nlocation="registry.invalid"\n[[registry.mirror]]\nlocation="127.0.0.1:9"\ninsecure=true\n'
        '[[registry.mirror]]\nlocation="{host}"\ninsecure=true\n',
        '[[registry]]\nprefix="registry.invalid"\nlocation="127.0.0.1:9"\n'
        '[[registry]]\nprefix="registry.invalid/eci-convert"\nlocation="{host}/eci-convert"\ninsecure=true\n',
    ],
)
def test_we_read_from_where_skopeo_reads(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run, machine: Machine, conf: Path,
    env: dict[str, str], text: str,
) -> None:  # fmt: skip
    conf.write_text("")
    eci_convert("push", f"{registry.host}/{image_name}", "--kernel", machine.kernel, env=env)
    conf.write_text(text.format(host=registry.host))
    name = f"registry.invalid/{image_name}"

    assert eci_convert("inspect", f"docker://{name}", "--raw", env=env).stdout == skopeo(programs, conf, name)


def test_what_skopeo_blocks_is_blocked(
    registry: Registry, programs: Programs, image_name: str, eci_convert: Run, conf: Path, env: dict[str, str]
) -> None:
    conf.write_text(f'[[registry]]\nlocation="{registry.host}"\nblocked=true\n')
    assert "blocked" in skopeo(programs, conf, f"{registry.host}/{image_name}", exits=1)
    done = eci_convert("inspect", f"docker://{registry.host}/{image_name}", env=env, exits=5)
    assert f"blocked by {conf}:3" in done.stderr


def test_a_short_name_is_what_podman_takes_it_for(
    registry: Registry, podman_vfs: Store, image_name: str, eci_convert: Run, machine: Machine, conf: Path,
    env: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    name, _, tag = image_name.partition(":")
    conf.write_text("")
    eci_convert("push", f"{registry.host}/{image_name}", "--kernel", machine.kernel, "--format", "legacy", env=env)
    conf.write_text(
        f'[aliases]\n"machine" = "{registry.host}/{name}"\n[[registry]]\nlocation="{registry.host}"\ninsecure=true\n'
    )
    eci_convert("pull", f"machine:{tag}", "--dir", tmp_path / "out", env=env)
    assert (tmp_path / "out/kernel").read_bytes() == machine.kernel.read_bytes()

    replace(podman_vfs, env={**podman_vfs.env, **env}).podman("pull", "-q", f"machine:{tag}")


def test_doctor_finds_the_engines(
    docker_engine: DockerEngine, containerd_engine: Containerd, registry_login: Registry, eci_convert: Run
) -> None:
    env = {**docker_engine.env, "CONTAINERD_ADDRESS": containerd_engine.address}
    found = {one["name"]: one for one in json.loads(eci_convert("doctor", "--json", env=env).stdout)["findings"]}

    assert found["docker engine"]["found"]
    assert found["docker engine"]["version"]
    assert ("containerd's" in found["docker engine"]["detail"]) is docker_engine.keeps_images_in_containerd
    assert found["containerd"]["found"]
    assert found["podman"]["found"]
    assert found["qemu-img"]["found"]

    flags = ["--username", registry_login.user or "", "--password-stdin", "--json"]
    said = eci_convert("doctor", registry_login.host, *flags, stdin=registry_login.password)
    assert json.loads(said.stdout)["login"] == "accepted"
    assert (registry_login.password or "") not in said.stdout + said.stderr


def test_the_how_to_does_what_it_says(
    registry: Registry, eci_convert: Run, machine: Machine, conf: Path, env: dict[str, str], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[1] / "docs/howto/mirrors.md").read_text()
    [toml] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    [script] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    conf.write_text("")
    eci_convert("push", f"{registry.host}/cache/edge/machine:1.2", "--kernel", machine.kernel, env=env)
    conf.write_text(toml.replace("mirror.example", registry.host).replace("registry.example", "registry.invalid"))
    script = script.replace("registry.example", "registry.invalid").replace("doctor registry.invalid", "doctor -q || :")
    everything = {**os.environ, **env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]

    done = subprocess.run(command, cwd=tmp_path, env=everything, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f": reading from docker://{registry.host}/cache/edge/machine:1.2 (configured in {conf}:1)" in done.stderr
    assert (tmp_path / "out/kernel").read_bytes() == machine.kernel.read_bytes()
    blocked = eci_convert("inspect", "docker://untrusted.example/x:1", env=env, exits=5).stderr
    assert f"{conf}:9" in blocked
