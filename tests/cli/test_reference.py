"""The reference and the man pages are the code's, and name every environment variable and exit code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import eci_convert
from eci_convert import errors
from eci_convert.cli import exit_codes
from tests.support import generate_reference

PAGES = generate_reference.pages()
ROOT = generate_reference.DOCS.parent
_READ = re.compile(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_code_says(path: Path) -> None:
    assert path.read_text() == PAGES[path], "run `make reference`"


def test_no_man_page_is_of_a_command_that_is_gone() -> None:
    assert set((generate_reference.DOCS / "man").iterdir()) <= set(PAGES)


def test_every_variable_that_is_read_is_told() -> None:
    read = {
        name for path in Path(eci_convert.__file__).parent.rglob("*.py") for name in _READ.findall(path.read_text())
    } - {"_ECI_CONVERT_COMPLETE", "COMP_LINE"}
    page = PAGES[generate_reference.DOCS / "reference/environment.md"]
    assert {name for name in read if f"`{name}`" not in page} == set()


def test_every_exit_code_has_a_meaning() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EciError)]
    codes = {0, exit_codes.BUG, exit_codes.INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert set(exit_codes.MEANINGS) == codes


def test_the_wheel_has_the_man_pages() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["shared-data"] == {"docs/man": "share/man/man1"}
    assert "/docs" in targets["sdist"]["include"]


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here")
def test_groff_has_nothing_to_say_of_the_man_pages() -> None:
    pages = [path for path in PAGES if path.suffix == ".1"]
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", *pages], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "ECI-CONVERT-COPY(1)" in done.stdout


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_no_word_of_a_man_page_is_broken() -> None:
    """A reader finds ECI_CONVERT_FORMAT, and can copy it."""
    pages = [str(path) for path in PAGES if path.suffix == ".1"]
    words = ["groff", "-man", "-Tutf8", "-P-c", "-rLL=80n", *pages]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "ECI_CONVERT_TRUST_TYPE" in text
    assert [line for line in text.splitlines() if line.endswith("\u2010")] == []
