"""`eci-convert build` with every builder on every engine: what is built comes out again, and boots."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eci_convert.docker_build import buildx
from eci_convert.docker_build.builders import build
from eci_convert.docker_build.request import BuildRequest
from eci_convert.reading.local_parts import Disk
from eci_convert.reading.local_parts import artifact_from_parts as machine_of
from eci_convert.transports.settings import Settings
from integration.engines.docker import DockerEngine
from integration.support.boot_vm import GREETING, Machine, boot, write_disk
from tests.support.images import files_in

Convert = Callable[..., subprocess.CompletedProcess[str]]
_MIB = 1 << 20


def words_for(parts: Machine) -> tuple[str, ...]:
    return ("--kernel", str(parts.kernel), "--initrd", str(parts.initrd), "--root", f"{parts.root}:raw",
            "--disk", f"{parts.disk}:raw")  # fmt: skip


def inspected(engine: DockerEngine, name: str) -> dict[str, Any]:
    [found] = json.loads(engine.docker("image", "inspect", name))
    return dict(found)


@pytest.mark.parametrize("builder", ["direct", "docker", "buildx"])
def test_what_is_built_comes_out_again(
    docker_engine: DockerEngine, builder: str, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    done = eci_convert(
        "build",
        *words_for(machine),
        "-t",
        image_name,
        "--builder",
        builder,
        "--label",
        'a=b "$c" \\',
        env=docker_engine.env,
    )
    eci_convert("extract", image_name, tmp_path, env=docker_engine.env)

    found = inspected(docker_engine, image_name)
    assert done.stdout.split()[-1] == found["Id"]
    assert found["Config"]["Labels"]["a"] == 'b "$c" \\'
    assert len(found["RootFS"]["Layers"]) == 4
    assert files_in(tmp_path) == {
        "kernel": machine.kernel.read_bytes(),
        "initrd": machine.initrd.read_bytes(),
        f"disk-root-{machine.root.name}": machine.root.read_bytes(),
        f"disk-0-{machine.disk.name}": machine.disk.read_bytes(),
    }


def test_a_machine_that_was_built_boots(
    docker_engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    if not machine.boots:
        pytest.skip("no kernel and no busybox here")
    eci_convert("build", *words_for(machine), "-t", image_name, env=docker_engine.env)
    eci_convert("extract", image_name, tmp_path, "--only", "kernel", "--only", "initrd", env=docker_engine.env)

    assert GREETING in boot(tmp_path / "kernel", tmp_path / "initrd")


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_parts_go_on_top_of_a_base(
    docker_engine: DockerEngine, builder: str, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    (tmp_path / "more").write_bytes(b"more")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY more /more\n")
    settings = Settings(environ=docker_engine.env)
    base = f"{image_name}-base"
    build(BuildRequest(name=base, file=tmp_path / "Dockerfile"), settings, builder="docker")

    eci_convert(
        "build", "--kernel", machine.kernel, "-t", image_name, "--builder", builder, "--base", base,
        env=docker_engine.env,
    )  # fmt: skip
    eci_convert("extract", image_name, tmp_path / "out", "--path", f"/more={tmp_path}/again", env=docker_engine.env)

    assert files_in(tmp_path / "out") == {"kernel": machine.kernel.read_bytes()}
    assert (tmp_path / "again").read_bytes() == b"more"


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_a_dockerfile_of_the_users_is_built(
    docker_engine: DockerEngine, builder: str, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    (context / "boot").mkdir(parents=True)
    (context / "boot/vmlinuz").write_bytes(b"kernel")
    (context / "secret").write_bytes(b"secret")
    (context / ".dockerignore").write_text("secret\n")
    (tmp_path / "My.Dockerfile").write_text(
        "FROM scratch\nCOPY . /\nLABEL org.lfedge.eci.artifact.kernel=/boot/vmlinuz\n"
    )

    eci_convert(
        "build", "--file", tmp_path / "My.Dockerfile", "--context", context, "-t", image_name, "--builder", builder,
        env=docker_engine.env,
    )  # fmt: skip
    eci_convert("extract", image_name, tmp_path / "out", env=docker_engine.env)

    assert files_in(tmp_path / "out") == {"kernel": b"kernel"}
    for name in ("secret", "My.Dockerfile", ".eci-convert.Dockerfile"):
        eci_convert("extract", image_name, "--path", f"/{name}=x", env=docker_engine.env, cwd=tmp_path, exits=8)


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_a_dockerfile_that_fails_is_exit_3_with_the_reason(
    docker_engine: DockerEngine, builder: str, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY nothing-of-this-name /\n")

    done = eci_convert(
        "build",
        "--file",
        tmp_path / "Dockerfile",
        "-t",
        image_name,
        "--builder",
        builder,
        "--progress",
        "none",
        env=docker_engine.env,
        exits=3,
    )

    assert "nothing-of-this-name" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("builder", ["direct", "docker", "buildx"])
def test_a_broken_credential_helper_breaks_no_build_from_scratch(
    docker_engine: DockerEngine, builder: str, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    client = Path(docker_engine.env["DOCKER_CONFIG"])
    (tmp_path / "config.json").write_text('{"credsStore": "broken", "auths": {"x": {"auth": ""}}}')
    (tmp_path / "cli-plugins").symlink_to(client / "cli-plugins")
    environ = {**docker_engine.env, "DOCKER_CONFIG": str(tmp_path)}

    eci_convert("build", "--kernel", machine.kernel, "-t", image_name, "--builder", builder, env=environ)

    assert inspected(docker_engine, image_name)["Id"]


def test_images_are_for_the_platform_asked_for(
    docker_engine: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert
) -> None:
    """Whatever was built before: Docker 20.10's cache does not tell platforms apart."""
    words = ("build", "--kernel", machine.kernel, "-t", image_name, "--builder")

    for builder in ("direct", "buildx", "docker"):
        for arguments, architecture in ((("--platform", "linux/arm64"), "arm64"), ((), "amd64")):
            eci_convert(*words, builder, *arguments, env=docker_engine.env)
            assert inspected(docker_engine, image_name)["Architecture"] == architecture, builder


def test_images_for_several_platforms_at_once(
    docker28: DockerEngine, machine: Machine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    eci_convert(
        "build", "--kernel", machine.kernel, "-t", image_name, "--builder", "buildx", "--platform", "linux/arm64",
        "--platform", "linux/amd64", env=docker28.env,
    )  # fmt: skip

    eci_convert("extract", image_name, tmp_path, env=docker28.env)
    assert files_in(tmp_path) == {"kernel": machine.kernel.read_bytes()}


def test_each_platform_of_an_image_for_several_comes_out(
    docker28: DockerEngine, image_name: str, eci_convert: Convert, tmp_path: Path
) -> None:
    for name in ("amd64", "arm64"):
        (tmp_path / name).write_text(f"the kernel for {name}")
    lines = (
        "FROM scratch",
        "ARG TARGETARCH",
        "COPY $TARGETARCH /kernel",
        "LABEL org.lfedge.eci.artifact.kernel=/kernel",
    )
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    platforms = ("--platform", "linux/arm64", "--platform", "linux/amd64")

    words = ("build", "--file", tmp_path / "Dockerfile", "-t", image_name, "--builder", "buildx", *platforms)
    eci_convert(*words, env=docker28.env)

    for name in ("amd64", "arm64"):
        done = eci_convert("extract", image_name, "--platform", f"linux/{name}", "--kernel", "-", env=docker28.env)
        assert done.stdout == f"the kernel for {name}"


def test_buildx_writes_an_archive_that_is_the_same_each_time(
    docker28: DockerEngine, machine: Machine, tmp_path: Path
) -> None:
    order = BuildRequest(
        name="machine", artifact=machine_of(kernel=machine.kernel), annotations={"a": "b, c"}, created=1000
    )
    environ = {**docker28.env}
    made = []
    for name in ("one.tar", "two.tar"):
        buildx.build(order, Settings(environ=environ), str, archive=tmp_path / name)
        made.append(inspect_archive(tmp_path / name))

    assert made[0]["digest"] == made[1]["digest"]
    assert made[0]["annotations"]["a"] == "b, c"


def inspect_archive(path: Path) -> dict[str, Any]:
    from eci_convert.reading.images import load_image
    from eci_convert.transports import open_source

    with open_source(f"oci-archive:{path}", Settings()) as source:
        image = load_image(source)
    return {"digest": image.descriptor.digest, "annotations": image.manifest.annotations}


def test_the_engines_own_builder_gets_a_sparse_disk_without_a_copy_of_it(
    docker20: DockerEngine, image_name: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    write_disk(disk, 512 * _MIB, {at * _MIB: b"data" for at in range(0, 512, 64)})
    (tmp_path / "temporary").mkdir()
    seen: set[Path] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.update((tmp_path / "temporary").iterdir())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        order = BuildRequest(name=image_name, artifact=machine_of(root=Disk.parse(f"{disk}:raw")))
        environ = {**docker20.env, "TMPDIR": str(tmp_path / "temporary")}
        build(order, Settings(environ=environ), builder="docker")
    finally:
        over.set()
        watching.join()

    assert not seen
    docker20.docker("image", "rm", image_name)
