"""dockerfiles/eci-convert.Dockerfile: the tool as an image, without privileges, with the user's Docker config."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.engines.docker import DockerEngine
from integration.engines.registry import Registry
from integration.support.base_image import write_root_filesystem
from integration.support.boot_vm import Machine

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
USER = 1234
"""Somebody's user id, as in `docker run --user "$(id -u)"`."""


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's standard error."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address at which the files in *directory* are served."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def download_wheels(folder: Path) -> Path:
    """What installing the tree needs, as pip of Debian's Python chooses it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    subprocess.run(["/usr/bin/python3", "-m", "venv", folder / "venv"], check=True)
    pip: list[str | Path] = [folder / "venv/bin/pip", "--quiet", "--disable-pip-version-check", "--retries", "10"]
    subprocess.run([*pip, "download", "--only-binary=:all:", "--dest", folder / "wheels", *wanted], check=True)
    return folder / "wheels"


@pytest.fixture(scope="module")
def image(docker28: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built as its Dockerfile says, on a base that no registry is needed for."""
    folder = tmp_path_factory.mktemp("image")
    write_root_filesystem(folder / "base.tar")
    base, name = "eci-convert/test-python:v1", "eci-convert/test-tool:v1"
    docker28.docker("import", str(folder / "base.tar"), base)
    (folder / "base.tar").unlink()
    with served(download_wheels(folder)) as address:
        arguments = {"BASE": base, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": address}
        words = [word for name_, value in arguments.items() for word in ("--build-arg", f"{name_}={value}")]
        dockerfile = str(ROOT / "dockerfiles/eci-convert.Dockerfile")
        docker28.docker("build", "--network=host", *words, "-f", dockerfile, "-t", name, str(ROOT))
    yield name
    docker28.docker("rmi", name, base)


def test_it_runs_as_nobody_in_particular(docker28: DockerEngine, image: str) -> None:
    version = docker28.docker("run", "--rm", "--network=none", image, "--version")
    identity = docker28.docker("run", "--rm", "--network=none", "--entrypoint=id", image)

    assert version.startswith("eci-convert")
    assert identity.startswith("uid=65532 gid=65532")


def test_the_image_is_smaller_than_250_mib(docker28: DockerEngine, image: str) -> None:
    usage = docker28.docker("run", "--rm", "--network=none", "--user=0", "--entrypoint=du", image, "-sx", "-B1", "/")

    assert int(usage.split()[0]) < 250 * MIB


def test_it_pushes_with_the_users_docker_config(
    docker28: DockerEngine, image: str, registry_login: Registry, machine: Machine, image_name: str, tmp_path: Path,
    eci_convert: Callable[..., subprocess.CompletedProcess[str]],
) -> None:  # fmt: skip
    secret = base64.b64encode(f"{registry_login.user}:{registry_login.password}".encode()).decode()
    config = tmp_path / "docker/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {registry_login.host: {"auth": secret}}}))
    config.chmod(0o600)
    work = tmp_path / "work"
    work.mkdir()
    (work / "vmlinuz").write_bytes(machine.kernel.read_bytes())
    for path in (config.parent, config, work, work / "vmlinuz"):
        os.chown(path, USER, USER)
    reference = f"{registry_login.host}/{image_name}"

    run = ["run", "--rm", "--network=host", f"--user={USER}:{USER}", f"--volume={config.parent}:/docker:ro"]
    docker28.docker(*run, f"--volume={work}:/work", image, "push", reference, "--kernel", "vmlinuz")
    docker28.docker(*run, f"--volume={work}:/work", image, "pull", reference, "--dir", "out")

    assert (work / "out/kernel").read_bytes() == machine.kernel.read_bytes()
    assert (work / "out/kernel").stat().st_uid == USER
    env = {"DOCKER_CONFIG": str(config.parent)}
    eci_convert("pull", reference, "--dir", tmp_path / "here", env=env)
    assert (tmp_path / "here/kernel").read_bytes() == machine.kernel.read_bytes()
