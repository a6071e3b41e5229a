"""The ledger of uploads: a line is for one process at a time, and nothing stays of one that is empty."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from eci_convert.transports.registry.push.upload_log import OpenUpload, UploadRecord
from eci_convert.transports.settings import Settings
from tests.support.images import files_in


def settings(tmp_path: Path) -> Settings:
    return Settings(environ={"HOME": str(tmp_path)})


def test_a_line_is_kept_until_it_is_erased_and_then_nothing_is(tmp_path: Path) -> None:
    first = UploadRecord.of(settings(tmp_path), "a", 1)
    first.write("http://x/1", 5, "digest")
    first.close()
    second = UploadRecord.of(settings(tmp_path), "a", 1)
    found = second.read()
    assert isinstance(found, OpenUpload)
    assert (found.location, found.checkpoints) == ("http://x/1", {5: "digest"})
    second.delete()
    second.close()
    assert not files_in(tmp_path)


def test_a_line_is_for_one_at_a_time(tmp_path: Path) -> None:
    first, second = UploadRecord.of(settings(tmp_path), "a"), UploadRecord.of(settings(tmp_path), "a")
    second.write("http://x/2", 1, "digest")
    assert first.read() is None
    second.close()
    assert len(files_in(tmp_path)) == 1
    first.close()
    assert not files_in(tmp_path)


def test_a_lock_that_is_removed_before_it_is_held_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, flock = UploadRecord.of(settings(tmp_path), "a"), fcntl.flock

    def too_late(descriptor: int, how: int) -> None:
        first.close()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    second = UploadRecord.of(settings(tmp_path), "a")
    monkeypatch.undo()
    second.write("http://x/2", 1, "digest")
    third = UploadRecord.of(settings(tmp_path), "a")
    assert third.read() is None
    assert len(files_in(tmp_path)) == 2
    third.close()
    second.delete()
    second.close()
    assert not files_in(tmp_path)
