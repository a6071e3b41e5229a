"""The command line, run inside the test's process."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eci_convert.cli import main

_PROGRESS = re.compile(r"eci-convert: (✓ |\+ |waiting for |.*: attempt \d+ of \d+ in |.* [KMGT]?i?B/s)")
"""Lines that come before the error where this computer, or a registry, is slow."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Run:
    """Runs words as `eci-convert` would be run."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *words: str | Path, exits: int = 0) -> CommandResult:
        code, out, err = self.anyhow(*words)
        assert code == exits, f"exit {code}, not {exits}: {err}"
        return CommandResult(code, out, err)

    def anyhow(self, *words: str | Path) -> tuple[int, str, str]:
        """The exit code, whatever it is, and the output."""
        self._capfd.readouterr()
        code = main([str(word) for word in words])
        return code, *self._capfd.readouterr()


def one_line(result: CommandResult, *words: str) -> None:
    """The error is one line, then hints at most, and it says *words*."""
    first, *rest = (line for line in result.err.strip().splitlines() if not _PROGRESS.match(line))
    assert first.startswith("eci-convert: error: "), result.err
    assert all(line.startswith("hint: ") for line in rest), result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in first, result.err
