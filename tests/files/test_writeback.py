from __future__ import annotations

import os
from pathlib import Path

from eci_convert.files.writeback import STEP, start_writeback


def test_what_is_written_early_is_what_was_given(tmp_path: Path) -> None:
    block = os.urandom(1 << 20)
    count = 3 * STEP // len(block) + 1

    with (tmp_path / "file").open("wb", buffering=0) as file:
        for chunk in start_writeback((block for _ in range(count)), file.fileno()):
            file.write(chunk)

    assert (tmp_path / "file").read_bytes() == block * count


def test_a_pipe_that_takes_no_advice_takes_the_bytes() -> None:
    ours, theirs = os.pipe()

    assert list(start_writeback([b"x" * STEP, b"y"], theirs)) == [b"x" * STEP, b"y"]

    os.close(ours)
    os.close(theirs)
