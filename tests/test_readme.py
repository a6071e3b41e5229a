"""README is true: its tables are the code's, and the commands of it and of the how-to pages exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from eci_convert.cli.commands import COMMANDS, GROUPS, ORIGINALS, load_command
from tests.support import generate_readme_tables

README = generate_readme_tables.README
PAGES = [README, *sorted((README.parent / "docs/howto").glob("*.md"))]
_BLOCK = re.compile(r"```(?:sh|bash|yaml)\n(.*?)```", re.DOTALL)


def command_lines(page: Path) -> list[str]:
    """The lines in the shell and YAML blocks of *page* that call eci-convert."""
    return [
        line.strip()
        for block in _BLOCK.findall(page.read_text())
        for line in block.replace("\\\n", " ").splitlines()
        if re.search(r"\beci-convert [-a-z]", line) and not line.strip().startswith("#")
    ]


def words_of(line: str) -> list[str]:
    """What stands behind `eci-convert` in *line*, up to the end of that command."""
    call = re.split(r"\beci-convert (?=[-a-z])", line, maxsplit=1)[1]
    return [word.strip("'\")") for word in re.split(r" (?:\||\|\||&&|>>?|#) ", f"{call} ")[0].split()]


def test_the_tables_are_those_of_the_code() -> None:
    text = README.read_text()

    assert text.count(f"made by {Path(generate_readme_tables.__file__).relative_to(README.parent)} -->") == 2
    assert generate_readme_tables.rewritten(text) == text, "run python -m tests.support.generate_readme_tables"


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()

    assert not [name for name in (*COMMANDS, *ORIGINALS) if f"`{name}`" not in text]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x | eci-convert extract docker-archive:- --kernel - | wc", ["extract", "docker-archive:-", "--kernel", "-"]),
        ('D="$(eci-convert push -q "$IMAGE" --root disk.raw)"', ["push", "-q", "$IMAGE", "--root", "disk.raw"]),
        ("alias x='eci-convert onmetal-image'", ["onmetal-image"]),
        ("eci-convert ls x # all of them", ["ls", "x"]),
    ],
)
def test_the_words_of_a_command_line(line: str, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_has_a_command_and_options_that_exist(page: Path) -> None:
    for line in command_lines(page):
        words = words_of(line)
        if words[0].startswith("-") or words[0] in ORIGINALS:
            continue
        assert words[0] in COMMANDS, line
        command = load_command(words[0])
        if words[0] in GROUPS:
            assert isinstance(command, click.Group)
            command = command.commands[words[1]]
        with click.Context(command) as context:
            known = {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"-[-a-zA-Z]", word)}
        assert used <= known, f"unknown: {used - known} in {line}"


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    (tmp_path / "disk.qcow2").write_bytes(b"QFI\xfb\0\0\0\x03".ljust(600, b"\0"))
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    exec(example, {})  # noqa: S102

    assert (tmp_path / "out" / "disk-root-disk.qcow2").stat().st_size == 600
    assert "b'QFI\\xfb'" in capfd.readouterr().out
