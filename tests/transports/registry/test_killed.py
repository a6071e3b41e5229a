"""kill -9 in the middle of the command line's work, and the next run of the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from eci_convert import testing as faults
from eci_convert.testing import FaultyRegistry
from tests.support.home_directory import User, noise

CHUNK = 24 * 1024 * 1024
DISK = noise(4 * CHUNK + 1000)


def started(user: User, *arguments: str | Path) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COVERAGE"))}
    return subprocess.Popen(
        [sys.executable, "-m", "eci_convert", *map(str, arguments)],
        env=environ | user.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def killed(process: subprocess.Popen[bytes], when: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1].decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()


def finished(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def test_a_push_that_was_killed_is_finished_by_the_next_run(
    registry: FaultyRegistry, user: User, tmp_path: Path
) -> None:
    """Threat 106: and what had arrived is not sent again."""
    (tmp_path / "disk.img").write_bytes(DISK)
    push = ("push", f"{registry.host}/machine:1", "--root", f"{tmp_path}/disk.img:raw")
    registry.misbehave("PATCH", "/uploads/", times=2)
    registry.misbehave("PATCH", "/uploads/", faults.delayed(20.0))
    killed(started(user, *push), lambda: len(registry.seen("/uploads/", "PATCH")) == 3)
    assert not registry.manifests
    arrived = registry.seen("/uploads/", "PATCH")

    finished(started(user, *push))

    assert DISK in registry.blobs.values()
    assert ("machine", "1") in registry.manifests
    sent = [len(seen.body) for seen in registry.seen("/uploads/", "PATCH")[len(arrived) :]]
    assert sum(sent) == len(DISK) - sum(len(seen.body) for seen in arrived)


def test_a_pull_that_was_killed_is_finished_by_the_next_run(
    registry: FaultyRegistry, user: User, tmp_path: Path
) -> None:
    """Threat 106: and there was no half of a file in between."""
    (tmp_path / "disk.img").write_bytes(DISK)
    finished(started(user, "push", f"{registry.host}/machine:1", "--root", f"{tmp_path}/disk.img:raw"))
    pull = ("pull", f"{registry.host}/machine:1", "--dir", tmp_path / "out")
    registry.misbehave("GET", "/blobs/", times=1)
    registry.misbehave("GET", "/blobs/", faults.cut(2 * CHUNK, stall=20.0))
    killed(started(user, *pull), lambda: len(registry.seen("/blobs/", "GET")) == 2)
    out = tmp_path / "out"
    assert not out.exists() or not [path for path in out.iterdir() if not path.name.startswith(".")]

    finished(started(user, *pull))

    assert (out / "disk-root-disk.img").read_bytes() == DISK
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
