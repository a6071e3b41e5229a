"""README is true: its tables are the code's, its commands exist."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from eci_convert.cli.commands import COMMANDS
from tests.support import generate_readme_tables

TEXT = generate_readme_tables.README.read_text()
COMMAND_LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if re.search(r"\beci-convert [-a-z]", line) and not line.startswith("#")
]


def test_the_tables_are_those_of_the_code() -> None:
    assert generate_readme_tables.rewritten(TEXT) == TEXT, "run python -m tests.support.generate_readme_tables"


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_has_a_verb_and_options_that_exist(line: str) -> None:
    words = shlex.split(line.split("eci-convert ", 1)[1].split(" | ")[0], comments=True)
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS
    command = getattr(import_module(f"eci_convert.cli.commands.{words[0]}"), words[0])
    with click.Context(command) as context:
        known = {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    assert used <= known, f"unknown: {used - known}"


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    (tmp_path / "disk.qcow2").write_bytes(b"QFI\xfb\0\0\0\x03".ljust(600, b"\0"))
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

    exec(example, {})  # noqa: S102

    assert (tmp_path / "out" / "disk-root-disk.qcow2").stat().st_size == 600
    assert "b'QFI\\xfb'" in capfd.readouterr().out
