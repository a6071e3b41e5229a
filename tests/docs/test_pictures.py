"""The pictures of the documentation are those that the figures and the code make."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support import generate_pictures
from tests.support.generate_pictures import Job, jobs

PICTURES = dict(generate_pictures.pictures())
_ROW = re.compile(r"^\| ([^|]+→[^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
MEASURED = {
    name.replace("`", ""): (seconds, others.replace("`", ""))
    for name, seconds, others in _ROW.findall((generate_pictures.TOP / "docs/explanation/performance.md").read_text())
}
"""The rows of the table of speeds."""


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_what_its_script_draws(path: Path) -> None:
    assert path.read_text() == PICTURES[path], "run `make reference`"
    drawing = ElementTree.fromstring(PICTURES[path])  # noqa: S314
    assert drawing.find("{http://www.w3.org/2000/svg}title") is not None


@pytest.mark.parametrize("job", jobs(), ids=lambda job: job.name)
def test_the_figures_are_those_of_the_readme(job: Job) -> None:
    seconds, others = MEASURED[job.name]

    assert seconds == job.seconds
    assert sorted(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])(?!\.\d)", others)) == sorted(job.others.values()), (
        others
    )


def test_every_job_with_one_figure_is_drawn() -> None:
    ranges = {name for name, (seconds, _) in MEASURED.items() if " to " in seconds}

    assert {job.name for job in jobs()} == set(MEASURED) - ranges
    assert len(ranges) == 1


def test_every_folder_of_the_package_is_drawn() -> None:
    drawn = {name.rstrip("/") for names, _ in generate_pictures.levels() for name in names} - {"eci_convert"}
    package = generate_pictures.TOP / "eci_convert"

    assert drawn == {path.stem for path in package.glob("[a-z]*") if path.is_dir() or path.suffix == ".py"}
