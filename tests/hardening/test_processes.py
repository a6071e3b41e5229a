"""Processes that are killed, interrupted, cut off from their reader, or not alone. The row numbers are those of
docs/explanation/security.md#G."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.images import an_image, copied, files_in

FIRST, SECOND = Random(1).randbytes(100_000), Random(2).randbytes(4 << 20)
OLD = {"first": b"old", "mine": b"mine"}


@pytest.fixture
def image(tmp_path: Path) -> str:
    layer = {"first": FIRST, "second": SECOND}
    copied(an_image().tar_layer(layer).build(), open_sink(f"oci:{tmp_path}/image:x", Settings()))
    out = tmp_path / "out"
    out.mkdir()
    for name, data in OLD.items():
        (out / name).write_bytes(data)
    return f"oci:{tmp_path}/image"


def extract(image: str, *outputs: str) -> subprocess.Popen[bytes]:
    paths = [word for output in outputs for word in ("--path", output)]
    return subprocess.Popen(
        [sys.executable, "-m", "eci_convert", "extract", image, *paths, "--progress", "none"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"HOME": "/nonexistent"},
    )


def midway(image: str, out: Path) -> subprocess.Popen[bytes]:
    """A process that has written the first file, and is stuck in writing the second to a pipe that nobody reads."""
    process = extract(image, f"first={out}/first", "second=-")
    assert process.stdout
    assert process.stdout.read(1) == SECOND[:1]
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_107_an_interrupted_process_leaves_nothing_behind(image: str, tmp_path: Path, number: signal.Signals) -> None:
    process = midway(image, tmp_path / "out")

    process.send_signal(number)
    process.wait(60)  # nothing is read meanwhile: all could be written before the signal counts
    _, said = process.communicate()

    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert files_in(tmp_path / "out") == OLD


def test_106_a_killed_process_leaves_the_old_file_and_the_next_run_cleans_up(image: str, tmp_path: Path) -> None:
    process = midway(image, tmp_path / "out")

    process.kill()
    process.communicate(timeout=60)
    assert files_in(tmp_path / "out").items() >= OLD.items()
    assert len(files_in(tmp_path / "out")) == 3

    again = extract(image, f"first={tmp_path}/out/first")
    assert again.wait(60) == 0
    again.communicate()
    assert files_in(tmp_path / "out") == OLD | {"first": FIRST}


def test_115_a_reader_that_goes_away_is_no_bug_of_ours(image: str, tmp_path: Path) -> None:
    process = midway(image, tmp_path / "out")
    assert process.stdout
    assert process.stderr

    process.stdout.close()
    said = process.stderr.read().decode()

    assert process.wait(60) == 9, said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert files_in(tmp_path / "out") == OLD
    process.stderr.close()


def test_115_a_full_device_is_an_error_of_this_computer(image: str) -> None:
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "eci_convert", "extract", image, "--path", "second=-"]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, check=False)

    assert ended.returncode == 9
    assert b"No space left" in ended.stderr


def test_113_processes_that_write_the_same_files_do_not_disturb_each_other(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    processes = [extract(image, f"first={out}/first", f"second={out}/second") for _ in range(4)]

    said = [process.communicate(timeout=120)[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, said
    assert files_in(out) == OLD | {"first": FIRST, "second": SECOND}


def test_117_running_again_changes_nothing(image: str, tmp_path: Path) -> None:
    for _ in range(2):
        process = extract(image, f"second={tmp_path}/out/second")
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert files_in(tmp_path / "out") == OLD | {"second": SECOND}
