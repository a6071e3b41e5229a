"""Following docs/contributing/add-a-*.md line by line, in a copy of the repository, works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.worked_example import TOP, Copy, Step, changed, commands, is_shown, steps

PAGES = sorted((TOP / "docs/contributing").glob("add-a-*.md"))
LANGUAGES = ["python", "diff", "console", "sh"]
FOLDERS = ("eci_convert/dialects", "eci_convert/transports", "tests/dialects", "tests/transports")
"""Where the pages add files."""


@pytest.mark.timeout(900)  # it runs several hundred other tests
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed_step_by_step(page: Path, tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    for name, content in {"kernel": b"kernel" * 99, "initrd": b"initrd", "disk.raw": os.urandom(1 << 20)}.items():
        (copy.work / name).write_bytes(content)

    for step in steps(page):
        if step.language == "console":
            for shown in commands(step):
                done = copy.run(shown.command, copy.work)
                assert is_shown(done.stdout, shown.output), f"$ {shown.command}\n{done.stdout}"
        elif step.language == "sh":
            done = copy.run(f"set -e\n{step.text}", copy.top)
            assert done.returncode == 0, done.stdout[-6000:]
        else:
            copy.apply(step)
    for check in ("check", "format --check"):
        done = copy.run(f"python -m ruff {check} --no-cache {' '.join(FOLDERS)}", copy.top)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_all_kinds_of_steps_and_titles_for_them(page: Path) -> None:
    languages = [step.language for step in steps(page)]

    assert {language: languages.count(language) > 0 for language in LANGUAGES} == dict.fromkeys(LANGUAGES, True)
    assert page.read_text().count("```") == 2 * len(languages), "a block without a title is not tried"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_adds_to_the_package_is_short(page: Path) -> None:
    added = [
        line
        for step in steps(page)
        if step.title.startswith("eci_convert/")
        for line in step.text.splitlines()
        if line.strip() and (step.language == "python" or line.startswith("+"))
    ]

    assert len(added) <= 250


def test_a_change_is_made_where_it_fits_once() -> None:
    assert changed("a\nb\nc\n", " a\n-b\n+B\n+C\n") == "a\nB\nC\nc\n"
    for text in ("a\nc\n", "a\nb\na\nb\n"):
        with pytest.raises(ValueError, match=r"occurs \d times"):
            changed(text, " a\n-b\n")


def test_what_a_page_shows_may_leave_things_out() -> None:
    [shown] = commands(Step(language="console", title="", text="$ x\nsha256:…\nend\n"))

    assert is_shown("sha256:12\nend\n", shown.output)
    assert not is_shown("sha256:12\n", shown.output)
