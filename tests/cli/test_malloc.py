"""Large blocks that come and go are not got from the kernel page by page each time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from eci_convert.cli import malloc
if sys.argv[1] == "tuned":
    malloc.tune_malloc()

def blocks():
    for _ in range(50):
        held = [b"k" * (1 << 20) for _ in range(16)]
        held.clear()

before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
with ThreadPoolExecutor(1) as pool:
    pool.submit(blocks).result()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_are_used_again() -> None:
    assert 10 * faults("tuned") < faults("left alone")
