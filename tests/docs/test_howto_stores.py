"""The how-to pages are true: each command line of them is run, in order, and says what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from tests.support.shell_pages import DOCS, run_page


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "jq"))), reason="the pages use bash, curl and jq")
@pytest.mark.parametrize(
    "page",
    [
        "air-gapped.md",
        "ci.md",
        "cnab.md",
        "kubevirt.md",
        "large-disks.md",
        "migrate-from-eci.md",
        "migrate-from-onmetal-and-ironcore.md",
        "podman.md",
        "preload.md",
        "troubleshooting.md",
        "unikraft.md",
    ],
)
def test_each_command_line_works_and_says_what_is_shown(page: str, workplace: Path, registry: FaultyRegistry) -> None:
    for printed, shown in run_page(f"howto/{page}", workplace, registry.host):
        assert printed == shown


def test_every_page_is_run_somewhere() -> None:
    folders = (Path(__file__).parent, DOCS.parent / "integration")
    tests = "".join(test.read_text() for folder in folders for test in folder.glob("test_*.py"))

    assert not [page.name for page in (DOCS / "howto").glob("*.md") if not re.search(rf'[/"]{page.name}"', tests)]


@pytest.mark.skipif(not shutil.which("bash"), reason="the pages use bash")
@pytest.mark.parametrize("page", ["tutorial.md", "which-format.md"])
def test_a_page_prints_what_it_shows(page: str, workplace: Path, registry: FaultyRegistry) -> None:
    for printed, shown in run_page(page, workplace, registry.host):
        assert printed == shown
