"""What is known of the work at a moment, with a clock that the test winds."""

from __future__ import annotations

from eci_convert.display import layout
from eci_convert.display.state import Finished, State
from eci_convert.progress import Failed, Phase, Plan, PlanEnded, Relabelled, Reused, Wait, WaitEnded

MIB = 1 << 20


def test_the_whole_is_not_complete_while_a_task_has_still_to_be_sent() -> None:
    state = State()
    state.noted(Plan(tasks=2, size=10), 0.0)
    state.started("a", 4, 0.0)
    state.advanced("a", 4, 1.0)
    state.finished("a", 1.0)
    state.started("b", 6, 1.0)
    state.noted(Phase(task="b", phase="compressing", total=6), 1.0)
    state.advanced("b", 6, 2.0)
    state.noted(Phase(task="b", phase="sending", total=3, side=True), 2.0)

    row = layout.overall_row(state, 2.0)
    assert row is not None
    assert (row.name, row.done, row.total) == ("1/2 done", 9, 10)

    state.finished("b", 3.0)
    row = layout.overall_row(state, 3.0)
    assert row is not None
    assert (row.name, row.phase, row.done) == ("2/2 done", "finishing", 10)

    state.noted(PlanEnded(), 4.0)
    assert state.idle
    assert layout.overall_row(state, 4.0) is None


def test_bytes_that_are_hashed_first_are_not_those_of_the_task() -> None:
    state = State()
    state.started("disk", 10, 0.0)
    state.noted(Phase(task="disk", phase="hashing", total=10, side=True), 0.0)
    state.advanced("disk", 10, 1.0)
    assert state.done == 0
    state.noted(Phase(task="disk", phase="writing", total=10), 1.0)
    state.noted(Relabelled(task="disk", phase="sending"), 1.0)
    state.advanced("disk", 4, 2.0)
    row = layout.row_of(state.tasks["disk"], 2.0)
    assert (row.phase, row.done, row.total) == ("sending", 4, 10)


def test_what_failed_is_not_finished() -> None:
    state = State()
    state.started("disk", 10, 0.0)
    state.noted(Failed(task="disk"), 1.0)
    state.finished("disk", 1.0)
    assert not state.news
    assert state.finished_tasks == 0


def test_what_was_there_already_is_finished_without_having_begun() -> None:
    state = State()
    state.noted(Reused(task="kernel", size=5), 0.0)
    state.started("disk", 10, 0.0)
    state.noted(Reused(task="disk", size=10), 1.0)
    state.finished("disk", 1.0)
    assert list(state.news) == [
        Finished(name="kernel", size=5, seconds=0.0, moved=False),
        Finished(name="disk", size=10, seconds=1.0, moved=False),
    ]


def test_silence_is_told_after_two_seconds_and_with_its_innermost_reason() -> None:
    state = State()
    state.started("disk", 10, 0.0)
    state.advanced("disk", 5, 1.0)
    assert state.silence(2.9) is None
    assert state.silence(3.0) == ("data of disk", 2.0)
    state.noted(Wait(what="the engine"), 3.0)
    state.noted(Wait(what="the next attempt"), 3.0)
    assert state.silence(3.5) == ("the next attempt", 2.5)
    state.noted(WaitEnded(what="the next attempt"), 4.0)
    assert state.silence(4.0) == ("the engine", 3.0)
    state.noted(WaitEnded(what="the engine"), 4.0)
    state.advanced("disk", 5, 5.0)
    assert state.silence(6.0) is None
    assert state.silence(8.0) == ("disk to be completed", 3.0)


def test_a_pause_between_two_pieces_of_work_is_no_silence() -> None:
    state = State()
    state.started("disk", 10, 0.0)
    state.finished("disk", 1.0)
    assert state.silence(50.0) is None
    state.noted(Wait(what="the registry"), 50.0)
    assert state.silence(51.0) is None
    assert state.silence(52.0) == ("the registry", 2.0)


def test_two_tasks_of_one_name_are_one_until_both_have_ended() -> None:
    state = State()
    for total in (3, 4):
        state.started("disk.img", total, 0.0)
    state.advanced("disk.img", 7, 1.0)
    state.finished("disk.img", 1.0)
    assert not state.news
    state.finished("disk.img", 1.0)
    assert [finished.size for finished in state.news if isinstance(finished, Finished)] == [7]


def test_the_speed_is_that_of_the_last_seconds() -> None:
    state = State()
    state.started("disk", None, 0.0)
    for second in range(1, 11):
        state.advanced("disk", 100 * MIB, float(second))
    for second in range(11, 21):
        state.advanced("disk", MIB, float(second))
    assert state.tasks["disk"].speed.at(state.tasks["disk"].done, 20.0) == MIB
