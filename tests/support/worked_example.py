"""Pages that add something to the repository step by step: read, and followed in a copy of it.

A fenced block with a title is a step. ```python title="PATH": a new file. ```diff title="PATH": the lines with a space
and a minus in front stand in PATH, once and one after another; they become those with a space and a plus.
```console and ```sh are commands; in the output that a page shows, `…` is any text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import eci_convert

TOP = Path(__file__).parents[2]
_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One titled block of a page."""

    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A command that a page shows, and what it is to print."""

    command: str
    output: str


def steps(page: Path) -> list[Step]:
    """The titled blocks of *page*."""
    return [Step(language=match[1], title=match[2], text=match[3]) for match in _BLOCK.finditer(page.read_text())]


def commands(step: Step) -> Iterator[Shown]:
    """The commands of *step*, each with the lines that it is to print."""
    for text in re.split(r"^\$ ", step.text, flags=re.MULTILINE)[1:]:
        command, _, output = text.partition("\n")
        yield Shown(command=command, output=output)


def changed(text: str, diff: str) -> str:
    """*text* after the change *diff*. Raises ValueError unless what it stands for occurs exactly once."""
    lines = diff.splitlines()
    before = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
    if text.count(before) != 1:
        raise ValueError(f"occurs {text.count(before)} times:\n{before}")
    return text.replace(before, after)


class Copy:
    """A copy of the repository in *directory*, and a place to work beside it. `.venv/bin/python` and `eci-convert` are
    there; both use the copy."""

    def __init__(self, directory: Path) -> None:
        self.top = directory / "repository"
        self.work = directory / "work"
        self.work.mkdir()
        leave = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
        for name in ("tests", "docs"):
            shutil.copytree(TOP / name, self.top / name, ignore=leave)
        shutil.copytree(Path(eci_convert.__file__).parent, self.top / "eci_convert", ignore=leave)
        shutil.copy(TOP / "README.md", self.top)
        for path in TOP.glob("[A-Za-z]*"):
            if not (self.top / path.name).exists() and path.name not in ("build", "dist", "demo"):
                (self.top / path.name).symlink_to(path)
        programs = self.top / ".venv/bin"
        programs.mkdir(parents=True)
        self._program(programs / "python", '"$@"')
        self._program(programs / "eci-convert", '-P -m eci_convert "$@"')
        (programs.parent / "dev").touch()

    def _program(self, path: Path, arguments: str) -> None:
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}\n')
        path.chmod(0o755)

    def apply(self, step: Step) -> None:
        """Does what *step* says about a file."""
        path = self.top / step.title
        if step.language == "diff":
            path.write_text(changed(path.read_text(), step.text))
            return
        if path.exists():
            raise ValueError(f"{step.title} exists already")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text)

    def run(self, command: str, directory: Path) -> subprocess.CompletedProcess[str]:
        """*command* as a shell runs it in *directory*; what it prints is in one stream."""
        environ = {
            "PATH": f"{self.top}/.venv/bin:{os.environ['PATH']}", "HOME": str(self.work.parent / "home"),
            "PYTHONPATH": str(self.top), "LANG": "C.UTF-8",
        }  # fmt: skip
        return subprocess.run(
            ["sh", "-c", command], cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip


def is_shown(output: str, shown: str) -> bool:
    """Whether *output* is what a page shows of it."""
    return bool(re.fullmatch(".*".join(map(re.escape, shown.split("…"))), output, re.DOTALL))
