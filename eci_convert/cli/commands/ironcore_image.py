"""`ironcore-image`: compatible flags, output and exit codes, so that an alias replaces the original."""

from __future__ import annotations

from collections.abc import Sequence

from eci_convert.cli.commands.ironcore_tools import IRONCORE
from eci_convert.cli.go_tool import run_tool


def main(words: Sequence[str]) -> int:
    """Run the command line *words* of ironcore-image and return its exit code."""
    return run_tool(IRONCORE, words)
