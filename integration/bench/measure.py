"""What a command costs: seconds on the clock, and the memory of its largest process."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a job: a line of shell, run in an empty folder. *before* is not measured."""

    name: str
    run: str
    before: str = "true"
    after: str = "true"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job and the ways to do it; ours is the first. *goal* is that of docs/explanation/performance.md#goals, in
    words."""

    name: str
    goal: str
    contenders: Sequence[Contender]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a contender took: the middle of the rounds, in seconds, and the most memory that was seen, in MiB."""

    contender: str
    seconds: float
    memory: float
    failed: str = ""


def measured(job: Job, rounds: int) -> list[Result]:
    """Every contender of *job*, in turn, *rounds* times."""
    runs: dict[str, list[tuple[float, float]]] = {contender.name: [] for contender in job.contenders}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for contender in job.contenders:
            if contender.name in failed:
                continue
            try:
                runs[contender.name].append(_once(contender))
            except subprocess.CalledProcessError as error:
                failed[contender.name] = str(error.stderr or error)[-300:]
                sys.stderr.write(f"{job.name}: {contender.name} failed: {failed[contender.name]}\n")
    return [_result(name, found, failed.get(name, "")) for name, found in runs.items()]


def _result(name: str, found: Sequence[tuple[float, float]], failed: str) -> Result:
    if failed or not found:
        return Result(contender=name, seconds=float("nan"), memory=float("nan"), failed=failed or "did not run")
    return Result(
        contender=name, seconds=statistics.median(one[0] for one in found), memory=max(one[1] for one in found)
    )


def _once(contender: Contender) -> tuple[float, float]:
    folder = Path(tempfile.mkdtemp(prefix="eci-bench-", dir=os.environ.get("ECI_CONVERT_BENCH_TMP", "/var/tmp")))
    env = {**os.environ, **contender.env}
    try:
        _shell(contender.before, folder, env)
        os.sync()  # what others left to be written is not on this one's account
        taken = _shell(contender.run, folder, env)
        _shell(contender.after, folder, env)
        return taken
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_STARTER = """
import os, sys, time
began = time.monotonic()
child = os.posix_spawnp("bash", ["bash", "-euo", "pipefail", "-c", sys.argv[2]], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(int(sys.argv[1]), f"{time.monotonic() - began} {usage.ru_maxrss / 1024}".encode())
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
"""A small process between this one and what is measured, for a process that is started begins with the peak of the
memory of the one that started it (Linux, exec_mmap)."""


def _shell(line: str, folder: Path, env: Mapping[str, str]) -> tuple[float, float]:
    """Runs *line*: seconds, and the most memory that one of its processes had, in MiB. A failure raises
    CalledProcessError."""
    reading, writing = os.pipe()
    with open(reading) as told, tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                [sys.executable, "-S", "-E", "-c", _STARTER, str(writing), line], cwd=folder, env=env, check=False,
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, pass_fds=[writing],
            )  # fmt: skip
        finally:
            os.close(writing)
        if done.returncode:
            said.seek(0)
            raise subprocess.CalledProcessError(done.returncode, line, stderr=said.read().decode(errors="replace"))
        seconds, memory = told.read().split()
        return float(seconds), float(memory)
