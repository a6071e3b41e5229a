"""An image store of podman, buildah and skopeo (containers/storage): a folder, nothing runs between two commands; and
podman as a service that speaks Docker's API."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.engines import daemon
from integration.engines.docker import DockerEngine
from integration.engines.programs import DEBIAN_PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A containers-storage of its own."""

    name: str
    driver: str  # vfs or overlay
    root: Path
    runroot: Path
    env: dict[str, str]

    @property
    def prefix(self) -> str:
        """What to write before an image's name: `containers-storage:` and where this store is."""
        return f"containers-storage:[{self.driver}@{self.root}+{self.runroot}]"

    def podman(self, *arguments: str, check: bool = True) -> str:
        """What `podman ARGUMENTS` printed, run on this store."""
        return self._run("podman", "--cgroup-manager=cgroupfs", *self._flags(), *arguments, check=check)

    def buildah(self, *arguments: str, check: bool = True) -> str:
        """What `buildah ARGUMENTS` printed, run on this store; it runs build steps without a container engine."""
        return self._run("buildah", *self._flags(), *arguments, check=check)

    def _flags(self) -> list[str]:
        return [f"--root={self.root}", f"--runroot={self.runroot}", f"--storage-driver={self.driver}"]

    def _run(self, *command: str, check: bool) -> str:
        done = subprocess.run(command, capture_output=True, env=self.env, check=False, timeout=600, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout.strip()


@contextlib.contextmanager
def store(driver: str) -> Iterator[Store]:
    with daemon.own_folder() as folder, daemon.running(folder, (), lambda: True):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("CONTAINERS_", "STORAGE_"))}
        env |= {"PATH": DEBIAN_PATH, "BUILDAH_ISOLATION": "chroot", "XDG_RUNTIME_DIR": str(folder / "run")}
        (folder / "run").mkdir()
        yield Store(name=f"podman_{driver}", driver=driver, root=folder / "root", runroot=folder / "runroot", env=env)


@contextlib.contextmanager
def service() -> Iterator[DockerEngine]:
    """podman, where `DOCKER_HOST` leads to it."""
    with daemon.own_folder() as folder:
        host = f"unix://{folder}/podman.sock"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONTAINERS_", "STORAGE_"))}
        env = {name: value for name, value in kept.items() if not name.startswith(("DOCKER_", "BUILDX_"))}
        env |= {"PATH": DEBIAN_PATH, "DOCKER_HOST": host, "DOCKER_CONFIG": str(folder / "client")}
        command = ["podman", "--cgroup-manager=cgroupfs", f"--root={folder}/root", f"--runroot={folder}/runroot"]
        command += ["--storage-driver=vfs", "system", "service", "--time=0", host]
        with daemon.running(folder, command, lambda: _answers(folder / "podman.sock"), env):
            yield DockerEngine(
                name="podman", host=host, env=env, keeps_images_in_containerd=False, containerd_address=None,
                folder=folder,
            )  # fmt: skip


def _answers(path: Path) -> bool:
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
