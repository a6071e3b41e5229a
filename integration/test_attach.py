"""`attach` and `discover` beside oras, in docker-registry and in a layout; and in containerd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.engines.containerd import Containerd
from integration.engines.programs import Programs
from integration.engines.registry import Registry
from integration.support.boot_vm import Machine

Run = Callable[..., subprocess.CompletedProcess[str]]

GARDEN_LINUX = ("build/os-release", "build/manifest", "build/log")
"""What its README has attached to an image."""


@pytest.fixture(params=["registry", "layout"])
def place(
    request: pytest.FixtureRequest, registry: Registry, image_name: str, eci_convert: Run, machine: Machine,
    tmp_path: Path,
) -> tuple[str, list[str]]:  # fmt: skip
    """An image: its reference for us, and the words of oras for it."""
    eci_convert("push", f"oci:{tmp_path}/made:v1", "--kernel", machine.kernel)
    if request.param == "layout":
        return f"oci:{tmp_path}/made:v1", ["--oci-layout", f"{tmp_path}/made:v1"]
    name = f"{registry.host}/{image_name}"
    eci_convert("copy", f"oci:{tmp_path}/made:v1", f"docker://{name}")
    return name, ["--plain-http", name]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {kind: tmp_path / "build" / kind.partition("/")[2] for kind in GARDEN_LINUX}
    (tmp_path / "build").mkdir()
    for kind, path in made.items():
        path.write_text(f"{kind} of an image\n")
    return made


def oras(programs: Programs, *words: str, cwd: Path) -> str:
    done = subprocess.run([programs.oras, *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"oras {words}: {done.stderr}"
    return done.stdout


def test_oras_discovers_what_is_attached(
    place: tuple[str, list[str]], files: dict[str, Path], eci_convert: Run, programs: Programs, tmp_path: Path
) -> None:
    ours, theirs = place
    digests = {
        kind: eci_convert("attach", ours, path, "--artifact-type", kind, "-q").stdout.strip()
        for kind, path in files.items()
    }

    found = oras(programs, "discover", *theirs, cwd=tmp_path)
    for kind, digest in digests.items():
        assert kind in found
        assert digest in found

    listed = json.loads(eci_convert("discover", ours, "--json").stdout)["referrers"]
    assert {one["artifact_type"]: one["digest"] for one in listed} == digests

    where = theirs[-1].rpartition(":")[0] + f"@{digests['build/log']}"
    oras(programs, "pull", *theirs[:-1], where, "-o", "pulled", cwd=tmp_path)
    assert (tmp_path / "pulled/log").read_bytes() == files["build/log"].read_bytes()


def test_what_oras_attached_is_discovered(
    place: tuple[str, list[str]], files: dict[str, Path], eci_convert: Run, programs: Programs, tmp_path: Path
) -> None:
    ours, theirs = place
    for kind in files:
        oras(programs, "attach", "--artifact-type", kind, *theirs, kind, cwd=tmp_path)

    listed = json.loads(eci_convert("discover", ours, "--json").stdout)["referrers"]

    assert sorted(one["artifact_type"] for one in listed) == sorted(GARDEN_LINUX)
    [a_log] = [one for one in listed if one["artifact_type"] == "build/log"]
    only = eci_convert("discover", ours, "--artifact-type", "build/log", "-q").stdout
    assert only == f"{a_log['digest']}\n"
    eci_convert("copy", f"docker://{ours}" if ":v1" in ours and not ours.startswith("oci:") else ours,
                f"oci:{tmp_path}/copied:v1", "--referrers")  # fmt: skip
    copied = eci_convert("discover", f"oci:{tmp_path}/copied:v1", "-q").stdout.split()
    assert sorted(copied) == sorted(one["digest"] for one in listed)


def test_containerd_keeps_what_is_attached_as_long_as_the_image(
    containerd_engine: Containerd, image_name: str, eci_convert: Run, machine: Machine, tmp_path: Path
) -> None:
    image, env = f"containerd:{image_name}", containerd_engine.env
    (tmp_path / "log").write_text("it was built\n")
    eci_convert("push", f"oci:{tmp_path}/made:v1", "--kernel", machine.kernel)
    eci_convert("copy", f"oci:{tmp_path}/made:v1", image, env=env)
    names = containerd_engine.ctr("images", "ls", "-q")

    digest = eci_convert("attach", image, tmp_path / "log", "--artifact-type", "build/log", "-q", env=env).stdout

    assert eci_convert("discover", image, "-q", env=env).stdout == digest
    containerd_engine.ctr("content", "prune", "references")
    eci_convert("copy", image, f"oci:{tmp_path}/back:v1", "--referrers", env=env)
    assert eci_convert("discover", f"oci:{tmp_path}/back:v1", "-q").stdout == digest
    assert containerd_engine.ctr("images", "ls", "-q") == names


def test_the_how_to_does_what_it_says(
    registry: Registry, eci_convert: Run, machine: Machine, files: dict[str, Path], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[1] / "docs/howto/attach.md").read_text()
    name = f"{registry.host}/gardenlinux/{tmp_path.name.replace('_', '-')}:1"
    eci_convert("push", name, "--kernel", machine.kernel)
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    script = script.replace("registry.example/gardenlinux/gardenlinux:1", name)
    script = script.replace("oras pull", "oras pull --plain-http")
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{Path(Programs().oras).parent}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path / "build", env=env,
                          capture_output=True, text=True, check=False)  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert all(kind in done.stdout for kind in GARDEN_LINUX)
    assert (tmp_path / "build/fetched/log").read_bytes() == files["build/log"].read_bytes()
    assert len(eci_convert("discover", f"oci:{tmp_path}/build/mirror:1", "-q").stdout.split()) == len(GARDEN_LINUX)
