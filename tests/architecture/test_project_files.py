"""CI, pre-commit, .editorconfig, the Makefile and CONTRIBUTING agree with one another and with pyproject.toml."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
MAKEFILE = (TOP / "Makefile").read_text()
WORKFLOW = (TOP / ".github/workflows/ci.yml").read_text()
HOOKS = (TOP / ".pre-commit-config.yaml").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z ]*):", MAKEFILE, re.MULTILINE))
PHONY = set((re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE) or [""])[0].split())


def make_calls(text: str) -> set[str]:
    """The targets that *text* has make build."""
    return set(re.findall(r"(?:^|`|run: )make ((?:\.venv/)?[a-z]+)", text, re.MULTILINE))


def test_the_workflow_calls_make_for_every_supported_python() -> None:
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))

    assert re.findall(r'"(3\.\d+)"', WORKFLOW.partition("matrix:")[2].partition("steps:")[0]) == versions
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    commands = re.findall(r"- run: (.+)", WORKFLOW)
    assert commands
    assert all(re.match(r"make |apt-get ", command) for command in commands)
    assert {"test", "coverage", "dist", "docs"} == make_calls(WORKFLOW) <= PHONY


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("target", ["demo", "test", "lint", "coverage", "dist", "reference"])
def test_each_python_has_environments_of_its_own(target: str) -> None:
    """One that is there is not made again, so that the tests would run with the Python that made it."""
    version = "{}.{}".format(*sys.version_info)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def programs(python: str) -> set[str]:
        call = ["make", "--dry-run", "--always-make", target, "ENGINES=", f"PYTHON={python}"]
        text = subprocess.run(call, cwd=TOP, env=environ, capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"^\s*(?:\S+=\S* )*(\S+)/bin/(?:pip|python|mypy|ruff|coverage) ", text, re.MULTILINE))

    assert programs("python3") == {"build/venv" if target == "test" else ".venv"}
    assert programs(sys.executable) - {sys.prefix} == {f"build/{'venv' if target == 'test' else 'dev'}-{version}"}


def test_the_makefile_says_what_each_target_is_for() -> None:
    told = set(re.findall(r"^# make (\w+)", MAKEFILE, re.MULTILINE))

    assert told == PHONY - {"engines", "wheel", "man"}  # parts of `test`, and another name
    assert {name for names in TARGETS for name in names.split()} >= PHONY


def test_hooks_run_programs_of_the_environment_and_need_no_network() -> None:
    entries = re.findall(r"entry: \.venv/bin/(\S+)", HOOKS)
    tools = {re.split(r"[\[><=;]", name)[0] for name in PROJECT["project"]["optional-dependencies"]["dev"]}

    assert re.findall(r"repo: (\S+)", HOOKS) == ["local"]
    assert len(entries) == HOOKS.count("- id: ") == HOOKS.count("language: system")
    assert set(entries) - {"python"} <= tools
    lint = re.findall(r"\$\(VENV\)/bin/(.+)$", MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0], re.MULTILINE)
    hooks = [entry.replace(" --force-exclude", "") for entry in re.findall(r"entry: \.venv/bin/(.+)", HOOKS)]
    assert set(lint) <= set(hooks)
    for path in re.findall(r"tests/\S+\.py", HOOKS):
        assert (TOP / path).is_file()


def test_editors_are_told_what_ruff_checks() -> None:
    settings = ConfigParser()
    settings.read_string("[top]\n" + (TOP / ".editorconfig").read_text())

    assert settings.getboolean("top", "root")
    assert settings.getint("*.py", "max_line_length") == PROJECT["tool"]["ruff"]["line-length"]
    assert settings["Makefile"]["indent_style"] == "tab"
    assert (settings["*"]["end_of_line"], settings["*"]["charset"]) == ("lf", "utf-8")


def test_what_contributing_has_people_run_exists() -> None:
    pages = [TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", *(TOP / "docs/contributing").glob("*.md")]

    for page in pages:
        text = page.read_text()
        assert make_calls(text) <= PHONY | {".venv/dev"}, page.name
        for paths in re.findall(r"pytest (?:-q )?(tests[\w/.]*(?: tests[\w/.]*)*)", text):
            missing = [path for path in paths.split() if not (TOP / path).exists()]
            assert all("toy" in path or "shelf" in path for path in missing), f"{page.name}: {missing}"


def test_files_are_as_editors_are_told() -> None:
    for pattern in ("*.md", "docs/**/*.md", "*.toml", ".github/**/*.yml", "eci_convert/**/*.py"):
        for path in TOP.glob(pattern):
            lines = path.read_bytes().split(b"\n")
            assert not lines[-1], f"{path} has no newline at its end"
            assert not [line for line in lines if line != line.rstrip(b" \t\r")], (
                f"{path} has white space at a line's end"
            )


def test_everything_beside_the_package_is_in_the_sdist() -> None:
    included = {name.lstrip("/") for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}

    needed = {".github", ".editorconfig", ".pre-commit-config.yaml", "CONTRIBUTING.md", "SECURITY.md", "docs", "tests"}
    assert needed <= included
