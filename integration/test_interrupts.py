"""Signals at random points, under load: whatever was happening, the process ends soon, and nothing is half done.

`ECI_CONVERT_INTERRUPTS` says how often: 300, or as many as one minute has room for; 10000 take hours. Four commands
run at a time, each in a directory of its own, which it must leave as it was, or complete; afterwards the next command
must find it usable.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, an_image, copied, files_in

ASKED = os.environ.get("ECI_CONVERT_INTERRUPTS", "")
COUNT = int(ASKED or 300)
AT_ONCE = 4
LONGEST = float("inf") if ASKED else 60.0
"""Seconds after which a machine that is too busy for all of them has done enough."""
SOON = 30.0
"""Seconds, on a machine that is busy with other things as well."""

KERNEL = Random(1).randbytes(12 << 20)
ROOT = Random(2).randbytes(1 << 20) + bytes(20 << 20) + Random(3).randbytes(1 << 20)
OLD = b"what was there before"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

MACHINE = ["--kernel", "kernel", "--root", "root:raw"]
COMMANDS = {
    "push to a registry": ["push", "{registry}/{name}:1", *MACHINE, "--format", "legacy"],
    "push artifacts": ["push", "{registry}/{name}:1", *MACHINE],
    "push compressed": [
        "push", "oci:layout:1", *MACHINE, "--format", "legacy", "--compression", "zstd"
    ],
    "pull": ["pull", "{registry}/machine:1", "--dir", "out"],
    "extract": ["extract", "docker://{registry}/machine:1", "--kernel", "old"],
    "extract from a layout": ["extract", "oci:image:1", "--kernel", "old", "--root", "new"],
    "copy to a layout": ["copy", "docker://{registry}/machine:1", "oci:layout:1"],
    "copy to an archive": ["copy", "oci:image:1", "oci-archive:old"],
    "convert": ["copy", "oci:image:1", "docker-archive:old", "--format", "legacy"],
    "verify": ["verify", "oci:image:1"],
}  # fmt: skip

PRODUCTS = {"old", "new", "out", "layout"}
"""What a command that is done may have replaced or made."""


@dataclass
class World:
    """One directory, and what has been seen in it."""

    home: Path
    registry: FaultyRegistry
    random: Random
    seen: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self.home.mkdir()
        (self.home / "kernel").write_bytes(KERNEL)
        (self.home / "root").write_bytes(ROOT)
        (self.home / "old").write_bytes(OLD)
        self.run("push", "oci:image:1", "--kernel", "kernel", "--root", "root:raw")
        self.before = self.files()

    def files(self) -> dict[str, bytes]:
        """All that is there but what we remember for the next run."""
        return {name: data for name, data in files_in(self.home).items() if not name.startswith("home/")}

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "eci_convert", *words],
            cwd=self.home,
            env={**os.environ, "HOME": str(self.home / "home"), "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> None:
        process = self.begin(*words)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, (words, said)

    def interrupt(self) -> None:
        """One command, a signal or two at a random point of it, and a look at what is left."""
        work, number = self.random.choice(list(COMMANDS)), self.random.choice(SIGNALS)
        words = [word.format(registry=self.registry.host, name=self.home.name) for word in COMMANDS[work]]
        delay, twice = self.random.uniform(0.0, 1.5), self.random.random() < 0.2
        process = self.begin(*words)
        time.sleep(delay)
        told = time.monotonic()
        process.send_signal(number)
        if twice:
            time.sleep(self.random.uniform(0, 0.3))
            process.send_signal(number)
        try:
            _, said = process.communicate(timeout=SOON)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        self.slowest = max(self.slowest, time.monotonic() - told)
        self.seen[self._outcome(process.returncode, number, said.decode(errors="replace"), (work, number, delay))] += 1
        self._check(work, complete=process.returncode == 0)

    def _outcome(self, code: int, number: int, said: str, how: object) -> str:
        """What became of it: before its own handlers stand, Python's startup may be what is interrupted."""
        early = "eci_convert/cli" not in said and "site-packages/click" not in said
        assert "Traceback" not in said or (early and number == signal.SIGINT), (how, said)
        assert code in (0, 130, -number) or (code == 1 and "Traceback" in said and early), (how, code, said)
        if "Traceback" in said:
            return "while Python started"
        return {0: "had been done", 130: "interrupted", -number: "before the handlers"}[code]

    def _check(self, work: str, *, complete: bool) -> None:
        after = self.files()
        unknown = {name for name in after if name.endswith(".part") or "/." in f"/{name}"}
        assert not unknown, (work, unknown)
        for name in {*self.before, *after}:
            if name.split("/")[0] not in PRODUCTS:
                assert self.before.get(name) == after.get(name), (work, name)
        assert after.get("new", ROOT) == ROOT, work
        if "layout/index.json" in after:
            self.run("verify", "oci:layout:1")
        if complete:
            return
        if work.startswith("extract"):
            assert after["old"] in (OLD, KERNEL), work
        elif work in ("copy to an archive", "convert") and after["old"] != OLD:
            self.run("verify", f"{'oci' if work.startswith('copy') else 'docker'}-archive:old")
        if "out" in work:
            assert set(after) & {"out/kernel"} == set()

    def restore(self) -> None:
        """As it was, but for what is remembered of uploads and downloads."""
        for name in self.files():
            if name not in self.before:
                (self.home / name).unlink()
        (self.home / "old").write_bytes(OLD)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        image = an_image().layer(KERNEL_TYPE, KERNEL, role="kernel", title="kernel")
        copied(image.build(), open_sink(f"docker://{registry.host}/machine:1", Settings()))
        registry.pace = 20 << 20
        yield registry


@pytest.mark.timeout(0)  # it has an end of its own
def test_a_signal_at_any_time_ends_it_and_harms_nothing(registry: FaultyRegistry, tmp_path: Path) -> None:
    worlds = [World(tmp_path / f"world{number}", registry, Random(number)) for number in range(AT_ONCE)]

    deadline = time.monotonic() + LONGEST

    def work(world: World) -> None:
        for _ in range(COUNT // AT_ONCE):
            if time.monotonic() > deadline:
                return
            world.interrupt()
            world.restore()
            registry.requests.clear()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, worlds))

    for world in worlds:  # nothing is locked, and what was remembered is of use, or of no harm
        for words in COMMANDS.values():
            world.run(*(word.format(registry=registry.host, name=world.home.name) for word in words))
            world.restore()
    seen = sum((world.seen for world in worlds), Counter[str]())
    assert seen["interrupted"] > seen.total() // 10, seen
    sys.stderr.write(f"{dict(seen)}, the slowest {max(world.slowest for world in worlds):.1f} s after the signal\n")
