"""README is true: its tables are the code's, its commands exist."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

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
