"""What `--progress json` writes, line by line, held against docs/reference/schemas/progress.json."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from eci_convert.cli import main
from eci_convert.display.json_lines import JsonProgress
from eci_convert.display.reporter import WatchedWork
from eci_convert.progress import Failed, Phase, Plan, Relabelled, Retry, Reused, Wait
from eci_convert.testing import FaultyRegistry
from tests.support.shell_pages import DOCS

SCHEMA = json.loads((DOCS / "reference/schemas/progress.json").read_text())


def check(lines: str) -> list[dict[str, Any]]:
    """The events in *lines*, each of which is as the schema has it."""
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    for event in events:
        errors = list(Draft202012Validator(SCHEMA).iter_errors(event))
        assert not errors, f"{event}: {errors[0].message}"
    return events


def test_every_event_is_in_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchedWork, "_watch", lambda self: None)  # the test looks by itself
    monkeypatch.setattr("eci_convert.display.json_lines.QUIET", 0)
    stream = io.StringIO()
    reporter = JsonProgress(stream, {})

    reporter.noted(Plan())
    reporter.noted(Plan(tasks=2, size=10))
    reporter.started("kernel", None)
    reporter.noted(Phase(task="kernel", phase="hashing", total=None))
    reporter.noted(Relabelled(task="kernel", phase="sending"))
    reporter.advanced("kernel", 5)
    reporter.noted(Retry(what="PUT: 503", attempt=2, attempts=6, delay=0.5))
    reporter.noted(Wait(what="the Docker engine to store the image"))
    reporter._look(1e12)
    reporter.noted(Reused(task="initrd", size=5))
    reporter.warned("odd")
    reporter.said("Step 1/2")
    reporter.noted(Failed(task="kernel"))
    reporter.finished("kernel")

    kinds = {event["event"] for event in check(stream.getvalue())}
    named = {
        kind
        for each in SCHEMA["oneOf"]
        for kind in each["properties"]["event"].get("enum", [each["properties"]["event"].get("const")])
    }
    assert kinds == named


def test_the_lines_of_a_push(
    registry: FaultyRegistry, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kernel").write_bytes(b"kernel" * 100)
    words = ["push", f"{registry.host}/edge/machine:1", "--kernel", str(tmp_path / "kernel"), "--progress", "json"]

    assert main(words) == 0
    first = check(capfd.readouterr().err)
    assert main(words) == 0
    second = check(capfd.readouterr().err)

    assert "finished" in {event["event"] for event in first}
    assert "reused" in {event["event"] for event in second}


def test_an_unknown_event_is_not_in_the_schema() -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors({"event": "surprise"}))
    assert list(Draft202012Validator(SCHEMA).iter_errors({"event": "wait"}))
