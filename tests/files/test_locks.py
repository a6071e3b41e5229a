"""What nobody holds is swept away, and nothing else."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import pytest

from eci_convert.files import locks

OURS = re.compile(r"[0-9a-f]{4}\.part")


def hold(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def test_files_of_ours_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    for name in ("0001.part", "0002.part", "mine"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "0003.part").symlink_to(elsewhere)
    (tmp_path / "0004.part").mkdir()
    os.mkfifo(tmp_path / "0005.part")
    held = hold(tmp_path / "0002.part")

    locks.sweep_unheld(tmp_path, OURS)

    os.close(held)
    left = {"0002.part", "0003.part", "0004.part", "0005.part", "elsewhere", "mine"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_directories_are_removed_by_who_knows_how_and_links_to_some_are_not(tmp_path: Path) -> None:
    for name in ("0001.part", "0002.part", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "0003.part").symlink_to(tmp_path / "mine")
    (tmp_path / "0004.part").write_bytes(b"")
    held, removed = hold(tmp_path / "0002.part"), list[str]()

    locks.sweep_unheld(tmp_path, OURS, lambda path, _: removed.append(path))

    os.close(held)
    assert removed == [str(tmp_path / "0001.part")]


def test_where_there_are_no_locks_nothing_is_swept_and_everything_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001.part").write_bytes(b"")

    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unable)
    descriptor = os.open(tmp_path, os.O_RDONLY)

    locks.sweep_unheld(tmp_path, OURS)

    assert (tmp_path / "0001.part").exists()
    assert locks.try_lock(descriptor) is None
    assert locks.lock(descriptor, 0.0)
    assert locks.hold_new(descriptor)
    assert locks.try_hold("0002.part", descriptor) is None
    os.close(descriptor)
