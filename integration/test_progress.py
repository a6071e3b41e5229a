"""Progress in a real terminal, its screen read while the program runs: nothing wraps, what is finished stays, there is
one system of units, and nothing is red that is no error."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry, cut, status
from integration.engines import programs
from integration.engines.docker import DockerEngine
from integration.support.terminal import Screen, terminal
from tests.support.fake_registry.server import a_registry

MIB = 1 << 20
WIDTHS = (28, 40, 80, 120, 200)
PROGRAM = str(Path(sys.executable).parent / "eci-convert")
RED = {31, 41, 91, 101}
DECIMAL_UNITS = re.compile(r"\b[kKMGT]B(/s)?\b")
MAY_WRAP = ("eci-convert: error: ", "hint: ", "eci-convert: warning: ")
"""These are said in full, whatever the terminal."""
ROW = re.compile(r" (hashing|compressing|sending|receiving|copying|writing|in all|finishing) ")


@pytest.fixture(autouse=True)
def _tmux() -> None:
    if not shutil.which("tmux"):
        (pytest.fail if programs.REQUIRED else pytest.skip)("tmux is not installed: run integration/install_engines")


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "kernel").write_bytes(os.urandom(MIB))
    (tmp_path / "a-disk-with-a-name-that-is-long.img").write_bytes(os.urandom(6 * MIB))
    return tmp_path


PARTS = ("--kernel", "kernel", "--root", "a-disk-with-a-name-that-is-long.img:raw")


def run(
    words: Sequence[str], work: Path, columns: int = 80, exits: int = 0, env: Mapping[str, str] | None = None
) -> list[Screen]:
    """What was to be seen while `eci-convert WORDS` ran in a terminal: screens that `check` finds in order."""
    with terminal([PROGRAM, *words], columns, {**_environment(work), **(env or {})}, work) as shown:
        screens = list(shown.screens())
        assert shown.exit_status == str(exits), "\n".join(screens[-1].lines)
        assert shown.cursor_is_shown
    check(screens, failed=exits != 0)
    return screens


def _environment(work: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"HOME": str(work), "XDG_STATE_HOME": str(work / "state"), **kept}


def check(screens: Sequence[Screen], *, failed: bool = False) -> None:
    stay: list[str] = []
    for screen in screens:
        wrapped = [line for line in screen.joined if line not in screen.lines and not line.startswith(MAY_WRAP)]
        assert not wrapped, wrapped
        assert not DECIMAL_UNITS.search("\n".join(screen.lines)), screen.lines
        assert failed or not screen.colours & RED, screen.escaped
        finished = [line for line in screen.lines if line.startswith("✓")]
        assert finished[: len(stay)] == stay, (stay, finished)
        stay = finished


def text(screens: Sequence[Screen]) -> str:
    return "\n".join(line for screen in screens for line in screen.lines)


def rows(screens: Sequence[Screen]) -> list[str]:
    return [line for screen in screens for line in screen.lines if ROW.search(line + " ")]


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_push_over_a_slow_line(columns: int, registry: FaultyRegistry, work: Path) -> None:
    registry.intake = 2.5 * MIB
    screens = run(["push", f"{registry.host}/machine:1", *PARTS], work, columns)

    shares = [int(share) for row in rows(screens) if "sending" in row for share in re.findall(r"(\d+) %", row)]
    assert any(0 < share < 100 for share in shares), "what waits in memory was counted as sent"
    assert len([line for line in screens[-1].lines if line.startswith("✓")]) == 2
    assert not rows(screens[-1:])


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_build_of_a_sparse_disk(columns: int, work: Path) -> None:
    """Reading its holes takes no time, and compressing them little: what takes long is the hash."""
    with (work / "sparse.img").open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(2200 * MIB)
    screens = run(["build", "--root", "sparse.img:raw", "--to", "oci:layout:x"], work, columns)

    shares = [int(share) for row in rows(screens) if "compressing" in row for share in re.findall(r"(\d+) %", row)]
    assert shares == sorted(shares)
    assert shares.count(100) <= 1, "it was done long before it was done"
    assert shares[0] < 100
    assert any(line.startswith("✓") for line in screens[-1].lines)


@pytest.fixture
def pushed(registry: FaultyRegistry, work: Path) -> str:
    """An image in the registry, put there by a terminal nobody looks at."""
    run(["push", f"{registry.host}/machine:1", *PARTS, "--progress", "none"], work)
    return f"{registry.host}/machine:1"


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_copy_shows_phases_and_finished_blobs(
    columns: int, registry: FaultyRegistry, pushed: str, work: Path
) -> None:
    registry.pace = 2.5 * MIB
    screens = run(["copy", f"docker://{pushed}", "oci:layout:x"], work, columns)

    assert "receiving" in text(screens)
    assert re.search(r"\d/3 done", text(screens))
    assert len([line for line in screens[-1].lines if line.startswith("✓")]) == 3


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_pull_shows_its_retries_on_one_line_each(
    columns: int, registry: FaultyRegistry, pushed: str, work: Path
) -> None:
    registry.pace = 2.5 * MIB
    registry.misbehave("GET", "/blobs/", status(503), times=2)
    registry.misbehave("GET", "/blobs/", cut(2 * MIB))
    screens = run(["pull", pushed, "--dir", "out"], work, columns)

    attempts = {line for line in screens[-1].lines if re.search(r"(attempt|try) 2( of |/)6 in \d+\.\d s$", line)}
    assert attempts, screens[-1].lines
    assert all(len(line) < columns for line in attempts)


def test_silence_is_explained(registry: FaultyRegistry, pushed: str, work: Path) -> None:
    registry.misbehave("GET", "/blobs/", cut(MIB // 4, stall=4.0))
    screens = run(["pull", pushed, "--dir", "out"], work)

    assert re.search(r"^waiting for .*: [23] s$", text(screens), re.M)
    assert "waiting" not in "\n".join(screens[-1].lines), "a wait that is over stays on the screen"


def test_no_color_wins_over_force_color(registry: FaultyRegistry, work: Path) -> None:
    registry.intake = 2.5 * MIB
    screens = run(["push", f"{registry.host}/machine:1", *PARTS], work, env={"NO_COLOR": "1", "FORCE_COLOR": "1"})

    assert rows(screens)
    assert not set().union(*(screen.colours for screen in screens))


@pytest.mark.parametrize("env", [{}, {"FORCE_COLOR": "1"}], ids=["as it is", "FORCE_COLOR"])
def test_rows_are_coloured_on_a_terminal(env: dict[str, str], registry: FaultyRegistry, work: Path) -> None:
    registry.intake = 2.5 * MIB
    screens = run(["push", f"{registry.host}/machine:1", *PARTS], work, env=env)

    assert {32, 36} <= set().union(*(screen.colours for screen in screens))


@pytest.mark.parametrize("columns", [28, 80])
@pytest.mark.parametrize("env", [{}, {"FORCE_COLOR": "1"}], ids=["as it is", "FORCE_COLOR"])
def test_no_line_is_drawn_over_on_a_dumb_terminal(
    env: dict[str, str], columns: int, registry: FaultyRegistry, work: Path
) -> None:
    registry.intake = 1.5 * MIB
    screens = run(["push", f"{registry.host}/machine:1", *PARTS], work, columns, env={"TERM": "dumb", **env})

    shown = rows(screens)
    assert shown
    assert set(shown) <= set(rows(screens[-1:])), "a line was drawn over"
    assert bool(set().union(*(screen.colours for screen in screens))) == bool(env)


def test_an_error_is_red_and_below_what_is_finished(registry: FaultyRegistry, work: Path) -> None:
    registry.intake = 2.5 * MIB
    registry.misbehave("PUT", "/manifests/", status(400), times=20)
    screens = run(["push", f"{registry.host}/machine:1", *PARTS], work, exits=3)

    assert not rows(screens[-1:])
    assert 31 in screens[-1].colours
    error = next(number for number, line in enumerate(screens[-1].lines) if line.startswith("eci-convert: error"))
    assert all(line.startswith("✓") for line in screens[-1].lines[:error])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_program_leaves_a_usable_terminal(
    number: signal.Signals, registry: FaultyRegistry, work: Path
) -> None:
    registry.intake = MIB
    environment = _environment(work)
    with terminal([PROGRAM, "push", f"{registry.host}/machine:1", *PARTS], 80, environment, work) as shown:
        for screen in shown.screens():
            if rows([screen]):
                os.kill(shown.pid, number)
                break
        screens = list(shown.screens())
        assert shown.cursor_is_shown
        assert shown.exit_status == ("137" if number is signal.SIGKILL else "130")
    if number is not signal.SIGKILL:
        assert not rows(screens[-1:])
        assert "eci-convert: error: interrupted" in screens[-1].lines


def test_a_terminal_that_takes_nothing_holds_nothing_up(registry: FaultyRegistry, work: Path) -> None:
    """XOFF, as C-s sends it: the push goes on, and ends."""
    registry.intake = 2.5 * MIB
    environment = _environment(work)
    words = [PROGRAM, "push", f"{registry.host}/machine:1", *PARTS, "--digest-file", "digest"]
    with terminal(words, 80, environment, work) as shown:
        for screen in shown.screens():
            if rows([screen]):
                shown.type("C-s")
                break
        for _ in shown.screens():
            if (work / "digest").exists():
                break
        shown.type("C-q")
        assert list(shown.screens())
        assert shown.exit_status == "0"
    assert (work / "digest").read_text().strip() in (work / "result").read_text()


def test_a_real_engine_takes_an_image_and_gives_it_back(docker28: DockerEngine, image_name: str, work: Path) -> None:
    with (work / "big.img").open("wb") as file:
        file.write(os.urandom(300 * MIB))
    built = run(["build", "--root", "big.img:raw", "-t", image_name], work, env=docker28.env)
    assert re.search(r"disk-root-big.img +sending", text(built))
    assert built[-1].lines[-1].startswith("✓ disk-root-big.img")

    copied = run(["copy", f"docker-daemon:{image_name}", "oci:layout:x"], work, env=docker28.env)
    assert any(line.startswith("✓ docker save ") for line in copied[-1].lines)
