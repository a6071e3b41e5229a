"""What a run of the command line costs in memory.

A child's `ru_maxrss` begins with what its parent had when it forked, so a large test run looks like a hungry child;
the high-water mark of the program itself, which starts anew when it is executed, is read by the child instead.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

_CHILD = """
import sys
from eci_convert.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
sys.stderr.write(f"\\npeak {peak}\\n")
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """How a run ended: its exit code, what it said on standard error, and its peak memory in bytes."""

    code: int
    said: str
    peak: int


def measured(
    words: tuple[str, ...],
    *,
    env: Mapping[str, str] | None = None,
    cpu_seconds: int = 60,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> Cost:
    """Runs `eci-convert` with *words*; it is killed after *cpu_seconds* of work."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds)),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        check=False,
    )
    said, _, peak = done.stderr.decode(errors="replace").rpartition("\npeak ")
    assert peak, f"exit {done.returncode}: {done.stderr!r}"
    return Cost(done.returncode, said, int(peak) * 1024)
