"""One daemon, its children, its mounts and its folder: they exist while the `with` block runs, and not a moment longer.

The daemon runs in a process namespace and a mount namespace of its own, so the kernel ends all its children and undoes
all its mounts when it ends. Between it and the test stands a guard (this module, run as a program), which waits for its
standard input to close. That happens even if the test is killed, and then the guard ends the daemon and removes the
folder.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PREFIX = "eci-engine-"
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_FAREWELL = b"."  # what a guard hears from a test that ends as it should
_READY_SECONDS = 60
_STOP_SECONDS = 15
_NAMESPACES = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
# Sockets and network names with fixed places in /run stay in the daemon's own.
_OWN_RUN = ("sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh")


class DidNotStart(Exception):
    """A daemon ended or said nothing; the message holds the end of its log."""


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder with a path short enough for a socket; mounts in it are undone and it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    try:
        yield folder
    finally:
        remove(folder)


@contextlib.contextmanager
def running(
    folder: Path, command: Sequence[str], ready: Callable[[], bool], env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run *command* until the block ends. It is entered once *ready* has said True; the log is `folder/log`.

    An empty command runs nothing, but has the folder removed, should this process be killed.
    """
    guard = subprocess.Popen(
        [sys.executable, __file__, str(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=None if env is None else dict(env),
        start_new_session=True,
    )
    try:
        _wait_until(ready, guard, folder)
        yield
    finally:
        guard.communicate(_FAREWELL, timeout=_STOP_SECONDS + 30)


def _wait_until(ready: Callable[[], bool], guard: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not ready():
        if guard.poll() is not None or time.monotonic() > deadline:
            log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else "no log"
            raise DidNotStart("\n".join(log.splitlines()[-30:]))
        time.sleep(0.05)


def remove(folder: Path) -> None:
    """Undo the mounts below *folder*, the deepest first; remove it, and control groups of the same name."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    for hierarchy in (_CONTROL_GROUPS, *_CONTROL_GROUPS.glob("*/")):
        for group, _, _ in os.walk(hierarchy / folder.name, topdown=False):
            with contextlib.suppress(OSError):
                Path(group).rmdir()


def _guard(folder: Path, command: Sequence[str]) -> int:
    """Run *command*, if there is one, until standard input closes or it ends by itself, whichever is first."""
    status = 0
    if command:
        status = _run(folder, command)
    else:
        select.select([sys.stdin], [], [])
    said, _, _ = select.select([sys.stdin], [], [], 0)
    if said and os.read(sys.stdin.fileno(), 1) != _FAREWELL:  # it was killed, and will not remove the folder
        remove(folder)
    return status


def _run(folder: Path, command: Sequence[str]) -> int:
    with open(folder / "log", "ab") as log:
        child = subprocess.Popen(
            [*_NAMESPACES, *_OWN_RUN, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    select.select([sys.stdin, os.pidfd_open(child.pid)], [], [])
    return _ended(child)


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Ask the daemon to end; `unshare` passes no signal on, but is in one group with it. Then insist."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        return child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


if __name__ == "__main__":
    sys.exit(_guard(Path(sys.argv[1]), sys.argv[2:]))
