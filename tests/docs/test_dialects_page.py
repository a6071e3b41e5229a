"""What docs/reference/dialects.md says of dialects, labels, names and types is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eci_convert.dialects import READERS
from eci_convert.dialects.part_labels import LABEL_COMMAND_LINE, part_for_label
from eci_convert.dialects.part_names import canonical_name
from eci_convert.model import DiskType, Role
from eci_convert.testing import FaultyRegistry
from tests.support.shell_pages import DOCS, run_page

PAGE = (DOCS / "reference/dialects.md").read_text()


def cells(heading: str) -> list[list[str]]:
    """The rows of the table below *heading*."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)][1:]


def test_the_dialects_are_those_of_the_code_in_its_order() -> None:
    assert [name.strip("`") for name, _ in cells("How a dialect is recognized")] == list(READERS)


def test_the_labels_are_those_of_the_code() -> None:
    labels = [label.strip("`") for label, _ in cells("Labels")]
    roles = [part_for_label(label) for label in labels if label != LABEL_COMMAND_LINE]

    assert LABEL_COMMAND_LINE in labels
    assert roles == [
        (Role.KERNEL, None), (Role.INITRD, None), (Role.ROOT_DISK, None), (Role.EXTRA_DISK, 0), (Role.OTHER, None),
        (Role.CONFIG, None),
    ]  # fmt: skip
    assert part_for_label("org.lfedge.eci.other-1") == (Role.OTHER, None)


def test_the_names_are_those_of_the_code() -> None:
    names = [re.findall("`([^`]+)`", name)[0] for _, _, name in cells("Names of files")]
    roles = (
        Role.KERNEL, Role.INITRD, Role.ROOT_DISK, Role.EXTRA_DISK, Role.CMDLINE, Role.CONFIG, Role.OTHER,
    )  # fmt: skip

    assert names == [canonical_name(role, "NAME", 7).replace("7", "N") for role in roles]
    assert set(roles) == set(Role)


def test_the_types_are_those_of_the_code() -> None:
    named = [name for types, _ in cells("Types of disks") for name in re.findall("`([^`]+)`", types)]

    assert sorted(named) == sorted(DiskType)


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="the page uses bash")
def test_the_commands_print_what_is_shown(workplace: Path, registry: FaultyRegistry) -> None:
    for printed, shown in run_page("reference/dialects.md", workplace, registry.host):
        assert printed == shown
