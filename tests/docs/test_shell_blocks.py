"""Each shell block of the documentation is run by a test, or says what it needs that tests have not got."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.shell_pages import DOCS

PAGES = sorted(page for page in DOCS.rglob("*.md") if re.search(r"```(sh|bash)\n", page.read_text()))
RUN = [page for page in PAGES if "```sh\n" in page.read_text()]
TESTS = [path for folder in ("tests", "integration") for path in (DOCS.parent / folder).rglob("test_*.py")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_block_that_needs_more_than_tests_have_says_what(page: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)

    assert not [block for block in blocks if not block.startswith("# needs ")]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_other_blocks_are_run_by_a_test(page: Path) -> None:
    assert any(re.search(rf'["/]{re.escape(page.name)}"', test.read_text()) for test in TESTS)
