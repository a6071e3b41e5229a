"""What a task tells reporters of either kind: never more than is done, each byte once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.push import PushRequest, push
from eci_convert.options import TransferOptions
from eci_convert.progress import Failed, Phase, Relabelled, warn
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.tasks import Task, current_task
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.reporters import Counting, Noting

MIB = 1 << 20
TERMS = WriteOptions(platform=parse_platform("linux/amd64"))


def test_a_reporter_of_three_methods_hears_of_each_byte_once_whatever_is_hashed_or_sent_again() -> None:
    reporter = Counting()
    with Task(reporter, "disk", 10) as task:
        task.enter("hashing", 10, side=True)
        task.advance(10)
        assert reporter.done == 0
        task.enter("compressing", 10)
        task.advance(6)
        task.enter("compressing", 10)  # the upload was lost
        task.advance(6)
        assert reporter.done == 6
        task.advance(4)
    assert (reporter.done, reporter.ended) == (10, 1)


def test_the_slowest_lane_is_the_progress() -> None:
    reporter = Counting()
    with Task(reporter, "disk", 10) as task:
        task.enter("compressing", 10)
        hashed = task.lane()
        task.advance(10)
        assert reporter.done == 0
        hashed(7)
        assert reporter.done == 7
        hashed(512)  # the end of the archive that the file is in
        assert reporter.done == 10


def test_a_thread_that_has_not_noticed_the_end_of_its_phase_counts_for_nothing() -> None:
    reporter = Noting()
    with Task(reporter, "disk", 10) as task:
        task.enter("compressing", 10)
        late = task.lane()
        task.enter("compressing", 10)
        late(5)
        assert reporter.done == 0


def test_bytes_that_wait_in_memory_are_not_sent() -> None:
    reporter = Noting()
    with Task(reporter, "disk", 10) as task:
        task.enter("writing", 10)
        task.travels(buffered=True)
        task.advance(10)
        task.sent(0, 10, ended=True)
        assert reporter.done == 0
        task.sent(4, 10, ended=True)
        task.sent(2, 10, ended=True)  # a piece is sent again
        assert reporter.done == 4
    assert reporter.events == [
        Phase(task="disk", phase="writing", total=10),
        Relabelled(task="disk", phase="sending"),
    ]


def test_what_is_compressed_and_not_sent_remains_to_be_done() -> None:
    reporter = Noting()
    with Task(reporter, "disk", 1000) as task:
        task.enter("compressing", 1000)
        task.travels(buffered=True)
        task.advance(900)  # holes
        task.sent(0, 1, ended=False)
        assert reporter.done == 899
        task.advance(100)  # noise
        task.sent(0, 101, ended=True)
        assert reporter.done == 899
        task.sent(51, 101, ended=True)
        assert reporter.done == 950
        task.sent(101, 101, ended=True)
        assert reporter.done == 1000
    assert reporter.events == [
        Phase(task="disk", phase="compressing", total=1000),
        Relabelled(task="disk", phase="sending"),
    ]


def test_a_task_says_that_it_failed_and_ends_all_the_same() -> None:
    reporter = Noting()
    with pytest.raises(KeyboardInterrupt), Task(reporter, "disk", 10):
        raise KeyboardInterrupt
    assert reporter.events == [Failed(task="disk")]
    assert reporter.ended == 1


def test_the_current_task_is_the_innermost_that_has_not_ended() -> None:
    with Task(Counting(), "outer", None) as outer:
        with Task(Counting(), "inner", None) as inner:
            assert current_task() is inner
        assert current_task() is outer
    assert current_task() is None


def test_a_warning_goes_to_the_log_where_the_reporter_does_not_want_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "eci_convert"):
        warn(Counting(), "odd")
    assert caplog.messages == ["odd"]


def test_holes_count_when_they_are_hashed(tmp_path: Path) -> None:
    """A compressor is through with them at once; their hash is not."""
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(200 * MIB)
    seen: list[int] = []

    class Hashing(Noting):
        def advanced(self, task: str, count: int) -> None:
            super().advanced(task, count)
            seen.append(self.done)

    reporter = Hashing()
    settings = Settings(environ={"HOME": str(tmp_path)}, reporter=reporter)
    with open_sink(f"oci:{tmp_path}/layout:x", settings) as sink:
        artifact = artifact_from_parts(root=Disk.parse(f"{tmp_path}/disk.img:raw"))
        push(
            artifact,
            sink,
            PushRequest(format="legacy", write=TERMS),
            options=TransferOptions(reporter=reporter),
        )
    assert len(seen) >= 200
    assert seen[-1] == 200 * MIB
