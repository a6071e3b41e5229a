"""The engines themselves: each starts, answers, keeps an image, and is gone afterwards, even if the test is killed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from integration.engines.__main__ import ENGINES
from integration.engines.containerd import Containerd
from integration.engines.docker import DockerEngine
from integration.engines.podman import Store, store
from integration.engines.programs import REQUIRED, Programs, missing
from integration.engines.registry import Registry
from integration.support.boot_vm import GREETING, Machine, boot, made_up_kernel

ROOT = Path(__file__).parents[1]
ALL: dict[str, Callable[[], AbstractContextManager[object]]] = {
    **ENGINES,
    "podman_vfs": partial(store, "vfs"),
    "podman_overlay": partial(store, "overlay"),
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Path:
    """An OCI layout with one image, `v1`, of one small layer; made by umoci."""
    folder = tmp_path_factory.mktemp("layout")
    _run(programs.umoci, "init", "--layout", folder / "oci")
    _run(programs.umoci, "new", "--image", f"{folder}/oci:v1")
    (folder / "kernel").write_bytes(b"kernel")
    _run(programs.umoci, "insert", "--image", f"{folder}/oci:v1", folder / "kernel", "/kernel")
    return folder / "oci"


@pytest.mark.parametrize("builder", ["classic", "buildkit", "buildx"])
def test_docker_builds_an_image_and_saves_it_in_its_own_way(
    docker_engine: DockerEngine, image_name: str, tmp_path: Path, builder: str
) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY kernel /boot/kernel\nLABEL colour=red\n")

    build = ("buildx", "build", "--load") if builder == "buildx" else ("build",)
    buildkit = {"DOCKER_BUILDKIT": "0" if builder == "classic" else "1"}
    docker_engine.run("docker", *build, "--tag", image_name, str(tmp_path), env=buildkit)

    [image] = json.loads(docker_engine.docker("image", "inspect", image_name))
    assert image["Config"]["Labels"] == {"colour": "red"}
    saved = docker_engine.run("docker", "save", image_name).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        assert ("index.json" in archive.getnames()) is docker_engine.keeps_images_in_containerd


def test_docker_keeps_its_images_in_containerd_where_it_says_so(
    docker28: DockerEngine, image_name: str, layout: Path, programs: Programs
) -> None:
    archive = layout.parent / "docker28.tar"
    _run(programs.skopeo, "copy", f"oci:{layout}:v1", f"docker-archive:{archive}:{image_name}")
    docker28.docker("load", "--input", str(archive))

    images = docker28.run(
        programs.ctr_new, "--address", str(docker28.containerd_address), "--namespace", "moby", "images", "ls", "-q"
    )

    assert image_name in images.stdout.decode()


def test_containerd_imports_an_image(
    containerd_engine: Containerd, image_name: str, layout: Path, programs: Programs, tmp_path: Path
) -> None:
    _run(programs.skopeo, "copy", f"oci:{layout}:v1", f"docker-archive:{tmp_path}/image.tar:{image_name}")

    containerd_engine.ctr("images", "import", f"{tmp_path}/image.tar", namespace="tests")

    assert image_name in containerd_engine.ctr("images", "ls", "-q", namespace="tests")
    assert image_name not in containerd_engine.ctr("images", "ls", "-q", namespace="default")


def test_podman_and_buildah_and_skopeo_see_one_store(
    podman_store: Store, image_name: str, layout: Path, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY kernel /kernel\n")
    (tmp_path / "kernel").write_bytes(b"kernel")
    podman_store.buildah("bud", "--tag", f"built-{image_name}", str(tmp_path))
    _run(programs.skopeo, "copy", f"oci:{layout}:v1", f"{podman_store.prefix}localhost/copied-{image_name}")

    images = podman_store.podman("images", "--format", "{{.Names}}")

    assert f"built-{image_name}" in images
    assert f"copied-{image_name}" in images


def test_a_registry_takes_an_image_and_gives_it_back(
    registry: Registry, image_name: str, layout: Path, programs: Programs, tmp_path: Path
) -> None:
    name = f"{registry.host}/{image_name}"
    _run(programs.skopeo, "copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{name}")

    manifest = json.loads(_run(programs.crane, "manifest", "--insecure", name))
    _run(programs.oras, "pull", "--plain-http", "--output", tmp_path, name)

    assert registry.blob(manifest["config"]["digest"]).stat().st_size == manifest["config"]["size"]


def test_a_registry_with_a_login_wants_its_password(
    registry_login: Registry, docker_engine: DockerEngine, programs: Programs
) -> None:
    command = (programs.docker, "login", "--username", str(registry_login.user), "--password-stdin")

    wrong = docker_engine.run(*command, registry_login.host, stdin=b"wrong", check=False)
    right = docker_engine.run(*command, registry_login.host, stdin=str(registry_login.password).encode())

    assert wrong.returncode != 0
    assert b"Login Succeeded" in right.stdout


def test_a_registry_over_tls_is_trusted_with_its_certificate_only(registry_tls: Registry, programs: Programs) -> None:
    catalogue = f"{registry_tls.url}/v2/_catalog"

    trusted = _run("curl", "--silent", "--fail", "--cacert", str(registry_tls.ca_file), catalogue)
    doubted = subprocess.run(["curl", "--silent", catalogue], capture_output=True, check=False)

    assert json.loads(trusted).keys() == {"repositories"}
    assert doubted.returncode == 60


def test_the_machine_boots(machine: Machine) -> None:
    said = boot(machine.kernel, machine.initrd, command_line="console=ttyS0 colour=red")

    assert GREETING in said
    assert "colour=red" in said
    assert machine.root.stat().st_blocks * 512 < machine.root.stat().st_size


def test_a_made_up_kernel_looks_like_one() -> None:
    assert made_up_kernel()[0x202:0x206] == b"HdrS"
    assert made_up_kernel() == made_up_kernel()


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_left_of_an_engine(name: str) -> None:
    _need()
    with ALL[name]() as engine:
        folder = folder_of(engine)
        use(engine)
        assert _traces(folder)

    assert _traces(folder) == []
    assert not folder.exists()


@pytest.mark.parametrize("name", ["docker28", "podman_overlay"])
def test_nothing_is_left_of_an_engine_whose_test_was_killed(name: str) -> None:
    _need()
    with subprocess.Popen(
        [sys.executable, "-c", _HELD, name], stdout=subprocess.PIPE, env=_tree_env(), text=True
    ) as test:
        assert test.stdout is not None
        folder = Path(test.stdout.readline().strip())
        assert _traces(folder)

        test.send_signal(signal.SIGKILL)

    assert _becomes_true(lambda: _traces(folder) == [] and not folder.exists())


# A test that starts an engine, uses it and goes on for ever.
_HELD = """
import sys, time
from integration.test_engines import ALL, folder_of, use
with ALL[sys.argv[1]]() as engine:
    use(engine)
    print(folder_of(engine), flush=True)
    time.sleep(600)
"""


def test_an_engine_started_by_hand_runs_until_it_is_stopped() -> None:
    _need()
    by_hand = [sys.executable, "-m", "integration.engines"]
    label = f"test-{os.getpid()}"
    lines = subprocess.run(
        [*by_hand, "start", "containerd2", label], capture_output=True, text=True, check=True, env=_tree_env()
    ).stdout.splitlines()

    folder = Path(next(line.removeprefix("# folder: ") for line in lines if line.startswith("# folder: ")))
    assert f"export CONTAINERD_ADDRESS={folder}/containerd.sock" in lines
    assert _traces(folder)

    subprocess.run([*by_hand, "stop", label], check=True, env=_tree_env())
    assert _traces(folder) == []


@pytest.mark.parametrize("program", ["curl", "groff", "jq", "pigz", "tar", "zstd"])
def test_a_program_is_there_that_unit_tests_are_skipped_without(program: str) -> None:
    _need()
    assert shutil.which(program)


def test_installing_engines_twice_does_nothing() -> None:
    _need()
    assert _run(str(ROOT / "integration/install_engines")) == ""


def _need() -> None:
    if reason := missing():
        (pytest.fail if REQUIRED else pytest.skip)(reason)


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def _tree_env() -> dict[str, str]:
    """An environment in which a new Python finds this package, wherever it is started."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def use(engine: object) -> None:
    """Have the engine do what leaves most behind: run a program in a container, or mount one."""
    if isinstance(engine, Store):
        engine.buildah("from", "--name", "kept", "scratch")
        engine.buildah("mount", "kept")
    if isinstance(engine, DockerEngine):
        context = engine.folder / "context"
        context.mkdir()
        shutil.copy(Programs().busybox, context / "busybox")
        (context / "Dockerfile").write_text('FROM scratch\nCOPY busybox /\nRUN ["/busybox", "true"]\n')
        engine.run("docker", "build", "--network=none", str(context), env={"DOCKER_BUILDKIT": "1"})


def folder_of(engine: object) -> Path:
    """The folder that everything of an engine is in."""
    if isinstance(engine, Store):
        return engine.root.parent
    if isinstance(engine, Registry):
        return engine.storage.parent
    assert isinstance(engine, DockerEngine | Containerd)
    return engine.folder


def _traces(folder: Path) -> list[str]:
    """Every process, mount, socket and control group that names *folder*."""
    return [trace for trace in _everything() if str(folder) in trace]


def _everything() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
    yield from Path("/proc/self/mountinfo").read_text().splitlines()
    yield from Path("/proc/net/unix").read_text().splitlines()
    yield from (f"/tmp/{group.name}" for level in ("", "*/") for group in Path("/sys/fs/cgroup").glob(f"{level}eci-*"))


def _becomes_true(question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
