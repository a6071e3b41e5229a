"""An image store of podman, buildah and skopeo (containers/storage): a folder, nothing runs between two commands."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.engines import daemon
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
