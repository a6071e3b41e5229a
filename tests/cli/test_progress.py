"""`--progress`, `-q` and the variables that ask for colours, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eci_convert.cli import main


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("reporter.QUIET", "json_lines.QUIET", "state.SILENCE"):  # however slow this computer is just now
        monkeypatch.setattr(f"eci_convert.display.{name}", float("inf"))
    (tmp_path / "disk.img").write_bytes(b"disk" * 1000)


BUILD = ["build", "--root", "disk.img:raw", "--to", "oci:layout:machine"]


def test_json_has_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BUILD, "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["plan", "started", "phase", "finished"]
    assert events[1] == {"event": "started", "task": "disk-root-disk.img", "done": 0, "total": 4000}
    assert events[3] == {"event": "finished", "task": "disk-root-disk.img", "done": 4000, "total": 4000, "ok": True}


@pytest.mark.parametrize("words", [["-q"], ["--progress", "none"], ["--progress", "plain"], []], ids=" ".join)
def test_short_work_says_nothing_in_any_other_style(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BUILD, *words]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "red"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["none", "FORCE_COLOR", "both"],
)
def test_an_error_that_no_terminal_shows_is_red_where_that_is_asked_for(
    variables: dict[str, str], red: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["inspect", "oci:nowhere"]) == 4
    assert ("\x1b[31m" in capsys.readouterr().err) is red
