"""Docker engines: 20.10, which keeps images its own classic way, and 28, which keeps them in containerd."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.engines import daemon
from integration.engines.programs import DEBIAN_PATH, UNSTABLE_PATH, Programs


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEngine:
    """A running engine: what `DOCKER_HOST` must say, and an environment in which every client finds it."""

    name: str
    host: str
    env: dict[str, str]
    keeps_images_in_containerd: bool
    containerd_address: str | None  # its namespace is "moby"
    folder: Path

    def run(
        self, *command: str, stdin: bytes | None = None, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program against this engine; "docker" is the client that came with it. A failure shows what it said."""
        done = subprocess.run(
            command, input=stdin, capture_output=True, env={**self.env, **(env or {})}, check=False, timeout=600
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return done

    def docker(self, *arguments: str) -> str:
        """What `docker ARGUMENTS` printed."""
        return self.run("docker", *arguments).stdout.decode().strip()


def docker20() -> contextlib.AbstractContextManager[DockerEngine]:
    return _docker("docker20", DEBIAN_PATH, {}, in_containerd=False)


def docker28() -> contextlib.AbstractContextManager[DockerEngine]:
    return _docker("docker28", UNSTABLE_PATH, {"features": {"containerd-snapshotter": True}}, in_containerd=True)


@contextlib.contextmanager
def _docker(name: str, path: str, config: dict[str, object], *, in_containerd: bool) -> Iterator[DockerEngine]:
    with daemon.own_folder() as folder:
        (folder / "daemon.json").write_text(json.dumps(config))
        plugins = folder / "client/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-buildx").symlink_to(Programs().buildx)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "BUILDX_"))}
        env |= {"PATH": path, "DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(folder / "client")}
        with daemon.running(folder, _command(folder), lambda: _answers(folder / "docker.sock"), env):
            yield DockerEngine(
                name=name,
                host=env["DOCKER_HOST"],
                env=env,
                keeps_images_in_containerd=in_containerd,
                containerd_address=str(folder / "exec/containerd/containerd.sock") if in_containerd else None,
                folder=folder,
            )


def _command(folder: Path) -> list[str]:
    return [
        "dockerd",
        f"--config-file={folder}/daemon.json",
        f"--data-root={folder}/root",
        f"--exec-root={folder}/exec",
        f"--host=unix://{folder}/docker.sock",
        f"--pidfile={folder}/pid",
        f"--cgroup-parent=/{folder.name}",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
    ]


def _answers(path: Path) -> bool:
    """Whether an engine says OK on this socket."""
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
