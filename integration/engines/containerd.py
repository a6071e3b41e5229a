"""A containerd of its own, 1.6 or 2: no CRI, no NRI, nothing outside its folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.engines import daemon
from integration.engines.programs import DEBIAN_PATH, UNSTABLE_PATH

_CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """A running containerd: the path of its socket, and an environment in which `ctr` is the one that came with it."""

    name: str
    address: str
    env: dict[str, str]
    folder: Path

    def ctr(self, *arguments: str, namespace: str = "default", check: bool = True) -> str:
        """What `ctr ARGUMENTS` printed."""
        command = ["ctr", "--address", self.address, "--namespace", namespace, *arguments]
        done = subprocess.run(command, capture_output=True, env=self.env, check=False, timeout=300, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout.strip()


def containerd16() -> contextlib.AbstractContextManager[Containerd]:
    return _containerd("containerd16", DEBIAN_PATH)


def containerd2() -> contextlib.AbstractContextManager[Containerd]:
    return _containerd("containerd2", UNSTABLE_PATH)


@contextlib.contextmanager
def _containerd(name: str, path: str) -> Iterator[Containerd]:
    with daemon.own_folder() as folder:
        (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
        address = f"{folder}/containerd.sock"
        env = {name: value for name, value in os.environ.items() if not name.startswith("CONTAINERD_")}
        env |= {"PATH": path, "CONTAINERD_ADDRESS": address}
        engine = Containerd(name=name, address=address, env=env, folder=folder)
        with daemon.running(folder, ["containerd", f"--config={folder}/config.toml"], lambda: _answers(engine), env):
            yield engine


def _answers(engine: Containerd) -> bool:
    return Path(engine.address).exists() and "Server:" in engine.ctr("version", check=False)
