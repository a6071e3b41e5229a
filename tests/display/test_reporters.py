"""What each reporter writes, to a stream that is no terminal and to one that is."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pytest

from eci_convert.cli import progress as cli
from eci_convert.display import plain as plain_module
from eci_convert.display import reporter as reporter_module
from eci_convert.display.json_lines import JsonProgress
from eci_convert.display.plain import PlainProgress
from eci_convert.display.reporter import Silent, WarningsOnly, WatchedWork
from eci_convert.display.rich import RichProgress
from eci_convert.progress import Failed, Phase, Plan, PlanEnded, Retry, Reused, Wait, WaitEnded

MIB = 1 << 20


class Clock:
    """The time, which passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(WatchedWork, "_watch", lambda self: None)  # the test looks by itself


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_plain_progress_writes_a_line_per_event(clock: Clock) -> None:
    stream = io.StringIO()
    shown = PlainProgress(stream, {})
    shown.noted(Plan(tasks=3, size=13 * MIB))
    shown.noted(Reused(task="initrd", size=MIB))
    shown.started("kernel", 2 * MIB)
    shown.advanced("kernel", 2 * MIB)
    shown.finished("kernel")
    shown.started("disk", 10 * MIB)
    shown.noted(Phase(task="disk", phase="compressing", total=10 * MIB))
    assert stream.getvalue() == "", "short work is quiet"
    clock.now += 2
    shown.advanced("disk", 5 * MIB)
    shown._look(clock.now)
    shown.noted(Retry(what="PUT /v2/: 503", attempt=2, attempts=6, delay=0.5))
    clock.now += 2
    shown.noted(Wait(what="r.io to answer PUT"))
    shown._look(clock.now)
    shown._look(clock.now + 1)
    shown.noted(WaitEnded(what="r.io to answer PUT"))
    shown.advanced("disk", 5 * MIB)
    shown.finished("disk")
    shown.noted(PlanEnded())
    shown.close()

    assert stream.getvalue().splitlines() == [
        "eci-convert: + initrd  1.0 MiB, exists already",
        "eci-convert: + kernel  2.0 MiB",
        "eci-convert: disk: compressing 5.0 of 10.0 MiB (50 %), 2.5 MiB/s, 2 s left",
        "eci-convert: 2/3 done: in all 8.0 of 13.0 MiB (61 %), 4.0 MiB/s, 1 s left",
        "eci-convert: PUT /v2/: 503: attempt 2 of 6 in 0.5 s",
        "eci-convert: waiting for r.io to answer PUT: 2 s",
        "eci-convert: + disk  10.0 MiB in 4 s, 2.5 MiB/s",
    ]


def test_short_work_says_nothing(clock: Clock) -> None:
    for kind in (PlainProgress, RichProgress):
        stream = io.StringIO()
        shown = kind(stream, {})
        shown.started("kernel", 5)
        shown.advanced("kernel", 5)
        shown.finished("kernel")
        shown.close()
        assert stream.getvalue() == ""


def test_json_lines_keep_their_keys_and_have_more_events(clock: Clock) -> None:
    stream = io.StringIO()
    shown = JsonProgress(stream, {})
    shown.noted(Plan(tasks=1, size=10))
    shown.started("disk", 10)
    shown.noted(Phase(task="disk", phase="hashing", total=10, side=True))
    clock.now += 1
    shown.advanced("disk", 4)
    shown.noted(Retry(what="503", attempt=2, attempts=6, delay=0.25))
    shown.warned("odd")
    shown.said("Step 1/2 : FROM scratch")
    clock.now += 2
    shown._look(clock.now)
    shown._look(clock.now)
    shown.noted(Failed(task="disk"))
    shown.finished("disk")

    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "plan", "tasks": 1, "total": 10},
        {"event": "started", "task": "disk", "done": 0, "total": 10},
        {"event": "phase", "task": "disk", "phase": "hashing", "done": 0, "total": 10},
        {"event": "progress", "task": "disk", "phase": "hashing", "done": 4, "total": 10},
        {"event": "retry", "message": "503", "attempt": 2, "attempts": 6, "seconds": 0.25},
        {"event": "warning", "message": "odd"},
        {"event": "output", "message": "Step 1/2 : FROM scratch"},
        {"event": "wait", "message": "data of disk", "seconds": 2.0},
        {"event": "finished", "task": "disk", "done": 0, "total": 10, "ok": False},
    ]


def test_colours_of_a_log_are_asked_for(clock: Clock) -> None:
    for environ, coloured in (
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ):
        stream = io.StringIO()
        shown = PlainProgress(stream, environ)
        shown.noted(Retry(what="503", attempt=2, attempts=6, delay=0.5))
        shown.warned("odd")
        assert ("\x1b[" in stream.getvalue()) is coloured


@pytest.fixture
def screen() -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """A terminal, and what has been written to it so far."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    taken = bytearray()

    def written() -> str:
        while True:
            try:
                taken.extend(os.read(ours, 65536))
            except BlockingIOError:
                return taken.decode()

    with open(theirs, "w", encoding="utf-8") as stream:
        yield stream, written
    os.close(ours)


def test_rows_are_replaced_and_what_is_finished_stays(clock: Clock, screen: tuple[TextIO, Callable[[], str]]) -> None:
    stream, written = screen
    shown = RichProgress(stream, {"TERM": "xterm"})
    shown.started("disk", 10 * MIB)
    shown.noted(Phase(task="disk", phase="compressing", total=10 * MIB))
    clock.now += 2
    shown.advanced("disk", 5 * MIB)
    shown._look(clock.now)
    assert re.search(r"disk .*compressing.* 50 %", written())
    assert "\x1b[?25l" not in written(), "the cursor was hidden"
    shown.warned("odd")
    shown.said("Step 1/2 : FROM scratch")
    shown.advanced("disk", 5 * MIB)
    shown.finished("disk")
    shown._look(clock.now)

    last = written().rpartition("\x1b[J")[2]
    assert written().rpartition("\x1b[J")[0].endswith("\x1b[1A")
    assert re.sub(r"\x1b\[[0-9;]*m", "", last).split("\r\n") == [
        "eci-convert: warning: odd",
        "eci-convert: Step 1/2 : FROM scratch",
        "✓ disk  10.0 MiB in 2 s, 5.0 MiB/s",
        "",
    ]


def test_no_color_is_no_colour(clock: Clock, screen: tuple[TextIO, Callable[[], str]]) -> None:
    stream, written = screen
    shown = RichProgress(stream, {"TERM": "xterm", "NO_COLOR": "1"})
    shown.started("disk", 10)
    clock.now += 2
    shown._look(clock.now)
    assert "waiting for data of disk" in written()
    assert not re.search(r"\x1b\[[0-9;]*m", written())


class Stuck(io.StringIO):
    """A terminal that takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.released.wait()
        return len(text)


def test_a_terminal_that_takes_nothing_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "QUIET", 0.0)
    stream = Stuck()
    shown = RichProgress(stream, {})
    shown.started("disk", 10)
    shown.advanced("disk", 1)
    assert stream.entered.wait(30)
    for _ in range(9):
        shown.advanced("disk", 1)
    shown.finished("disk")
    shown.close()
    thread = shown._thread
    assert thread is not None
    assert thread.daemon
    stream.released.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_terminal_that_is_gone_is_nobodys_error(clock: Clock) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        for kind in (PlainProgress, RichProgress, JsonProgress, WarningsOnly):
            shown = kind(stream, {})
            shown.started("disk", 10)
            clock.now += 5
            shown.advanced("disk", 10)
            shown.warned("odd")
            shown.finished("disk")
            shown.close()


def test_a_silent_reporter_shows_talk_alone() -> None:
    stream = io.StringIO()
    with Silent(stream, {}) as shown:
        shown.started("disk", 10)
        shown.warned("odd")
        shown.said("Step 1/2 : FROM scratch")
        shown.finished("disk")

    assert stream.getvalue() == "eci-convert: Step 1/2 : FROM scratch\n"


@pytest.mark.parametrize(
    ("style", "terminal", "environ", "options", "kind"),
    [
        ("auto", True, {"TERM": "xterm"}, {}, RichProgress),
        ("auto", True, {"TERM": "dumb"}, {}, PlainProgress),
        ("auto", False, {"TERM": "xterm", "FORCE_COLOR": "1"}, {}, PlainProgress),
        ("auto", True, {"TERM": "xterm"}, {"debug": True}, PlainProgress),
        ("plain", True, {"TERM": "xterm"}, {}, PlainProgress),
        ("json", True, {"TERM": "xterm"}, {}, JsonProgress),
        ("none", True, {"TERM": "xterm"}, {}, WarningsOnly),
        ("json", True, {"TERM": "xterm"}, {"quiet": True}, Silent),
    ],
)
def test_the_style_and_the_terminal_choose_the_reporter(
    style: str, terminal: bool, environ: dict[str, str], options: dict[str, Any], kind: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert type(cli.reporter(style, **{"quiet": False, **options})) is kind


def test_lines_are_seconds_apart(clock: Clock) -> None:
    stream = io.StringIO()
    shown = PlainProgress(stream, {})
    shown.started("disk", 100 * MIB)
    for _ in range(60):
        clock.now += 0.5
        shown.advanced("disk", MIB)
        shown._look(clock.now)
    assert len(stream.getvalue().splitlines()) == 30 // int(plain_module._LINES_EVERY)


EVIL = "PUT https://me:hunter2@r.io/v2/\x1b[31m\n: 503"


@pytest.mark.parametrize("make", [PlainProgress, JsonProgress, RichProgress])
def test_nothing_that_is_shown_holds_a_password_or_a_control_character(make: type[WatchedWork], clock: Clock) -> None:
    stream = io.StringIO()
    shown = make(stream, {"NO_COLOR": "1"})
    shown.started(EVIL, MIB)
    shown.advanced(EVIL, 1000)
    clock.now += 2
    shown.noted(Retry(what=EVIL, attempt=2, attempts=6, delay=0.5))
    shown.noted(Wait(what=EVIL))
    shown.warned(EVIL)
    shown.said(EVIL)
    clock.now += 10
    shown._look(clock.now)
    shown.finished(EVIL)
    shown._look(clock.now)

    text = stream.getvalue()
    assert text.count("***@r.io") >= 4
    assert "hunter2" not in text
    assert "\x1b[31m" not in text
    assert all(line.isprintable() for line in re.sub(r"\r?(\x1b\[\d*[AJ])*", "", text).split("\n"))


@pytest.mark.parametrize("make", [PlainProgress, JsonProgress])
def test_no_line_is_longer_than_people_read(make: type[WatchedWork], clock: Clock) -> None:
    stream = io.StringIO()
    shown = make(stream, {})
    shown.started("t" * 100_000, MIB)
    clock.now += 2
    shown.noted(Retry(what="w" * 100_000, attempt=2, attempts=6, delay=0.5))
    shown.warned("w" * 100_000)
    shown.finished("t" * 100_000)

    lines = stream.getvalue().splitlines()
    assert len(lines) >= 3
    assert max(map(len, lines)) < 3000


@pytest.mark.parametrize("kind", [JsonProgress, PlainProgress, RichProgress])
def test_of_what_comes_after_the_end_only_warnings_are_shown(kind: type[WatchedWork], clock: Clock) -> None:
    """Threads that have not noticed yet must not write between the lines of a result."""
    stream = io.StringIO()
    shown = kind(stream, {})
    shown.started("kernel", MIB)
    clock.now += 5
    shown.advanced("kernel", MIB // 2)
    shown.close()
    until_then = stream.getvalue()

    shown.noted(Plan(tasks=2, size=MIB))
    shown.noted(Phase(task="kernel", phase="sending", total=MIB))
    shown.noted(Retry(what="PUT: 503", attempt=2, attempts=6, delay=0.5))
    shown.noted(Wait(what="the registry"))
    shown.noted(Reused(task="initrd", size=MIB))
    clock.now += 5
    shown.advanced("kernel", MIB // 2)
    shown.finished("kernel")
    shown.started("disk", MIB)
    shown.close()
    assert stream.getvalue() == until_then

    shown.warned("the registry says: soon gone")
    assert "soon gone" in stream.getvalue().removeprefix(until_then)


def test_the_watching_thread_is_silent_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    shown = JsonProgress(io.StringIO(), {})
    monkeypatch.setattr(shown, "interval", 60)
    monkeypatch.setattr(shown, "_look", lambda now: looked.append(shown._closed))
    shown.started("kernel", MIB)
    shown.close()
    assert shown._thread is not None
    shown._thread.join(10)
    assert not shown._thread.is_alive()
    assert True not in looked
