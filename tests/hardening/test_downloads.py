"""A pull that stalls, and one that is killed, from a registry."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, an_image, copied, files_in

KERNEL = Random(1).randbytes(24 << 20)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        image = an_image().layer(KERNEL_TYPE, KERNEL, role="kernel", title="kernel")
        copied(image.build(), open_sink(f"docker://{registry.host}/machine:1", Settings()))
        registry.requests.clear()
        yield registry


def pull(registry: FaultyRegistry, directory: Path) -> subprocess.Popen[bytes]:
    words = ["pull", f"{registry.host}/machine:1", "--dir", str(directory / "out"), "--progress", "none"]
    return subprocess.Popen(
        [sys.executable, "-m", "eci_convert", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(directory / "cache"), "HOME": str(directory)},
    )


def until(happened: Callable[[], bool]) -> None:
    """Waits for what is bound to happen."""
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def kept(directory: Path) -> int:
    return sum(path.stat().st_size for path in (directory / "cache").rglob("sha256-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pull_does_not_wait_for_a_network_that_stalls(
    registry: FaultyRegistry, tmp_path: Path, number: signal.Signals
) -> None:
    stalls = lambda reply: replace(reply, cut=len(reply.body) // 2, stall=20)  # noqa: E731
    registry.misbehave("GET", f"/blobs/{Digest.of(KERNEL)}", stalls, times=99)
    process = pull(registry, tmp_path)
    until(lambda: kept(tmp_path) > 10 << 20)
    time.sleep(0.3)

    process.send_signal(number)
    _, said = process.communicate(timeout=15)

    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert files_in(tmp_path / "out") == {}


def test_a_pull_that_was_killed_goes_on_where_it_was(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.pace = 4 << 20
    process = pull(registry, tmp_path)
    until(lambda: kept(tmp_path) > 6 << 20)
    process.kill()
    process.communicate(timeout=60)
    had, registry.pace = kept(tmp_path), 0.0
    registry.requests.clear()

    again = pull(registry, tmp_path)
    _, said = again.communicate(timeout=60)

    assert again.returncode == 0, said
    assert files_in(tmp_path / "out")["kernel"] == KERNEL
    ranges = [re.match(r"bytes=(\d+)-", seen.header("Range")) for seen in registry.seen("/blobs/", "GET")]
    starts = [int(found[1]) for found in ranges if found]
    assert min(starts) == had > 6 << 20
    assert kept(tmp_path) == 0
