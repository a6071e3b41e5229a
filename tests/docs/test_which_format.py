"""The page that says which format holds what says what the code does."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from eci_convert.dialects import WRITERS
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import CannotHoldError
from eci_convert.model import Artifact, DiskType, Memory, Part, Role
from eci_convert.oci.platform import Platform
from tests.support.generate_readme_tables import DATA, INITRD, KERNEL, PARTS, ROOT
from tests.support.shell_pages import DOCS

PAGE = (DOCS / "which-format.md").read_text()
QCOW2 = replace(ROOT, disk_type=DiskType.QCOW2, name="disk-root-root.qcow2")
VMDK = replace(ROOT, disk_type=DiskType.VMDK, name="disk-root-root.vmdk")
OTHER = Part(role=Role.OTHER, locator=Memory(content=b"notes"), name="notes.txt")


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table below *heading*, by format."""
    rows = re.findall(r"^\| (`.*) \|$", PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0], re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    return {form: rest for names, *rest in cells for form in re.findall(r"`(\w+)`", names)}


def is_held(form: str, parts: tuple[Part, ...], command_line: str | None = None) -> bool:
    terms = WriteOptions(platform=Platform(os="linux", architecture="amd64"), name="registry.example/machine:1")
    try:
        WRITERS[form](Artifact(parts=parts, command_line=command_line), terms)
    except CannotHoldError:
        return False
    return True


def place_for(form: str, part: Part) -> str:
    """What the page is to say of *part*: it is needed, it may be there, or there is no place for it."""
    others = tuple(other for other in PARTS[form] if other.role is not part.role)
    if not is_held(form, (*others, part)):
        return "no"
    return "yes" if others and is_held(form, others) else "needed"


@pytest.mark.parametrize("form", WRITERS)
def test_what_fits_into_a_format(form: str) -> None:
    kernel, initrd, root, disks, others, line = table("What fits into it")[form]

    assert kernel == place_for(form, KERNEL)
    assert initrd == place_for(form, INITRD)
    assert disks == place_for(form, DATA).replace("needed", "yes")
    assert others == place_for(form, OTHER)
    assert (line == "yes") == is_held(form, PARTS[form], "quiet")
    types = {"raw": ROOT, "qcow2": QCOW2, "vmdk": VMDK}
    held = {name for name, part in types.items() if place_for(form, part) != "no"}
    assert ("needed" in root) == (place_for(form, ROOT) == "needed") or form == "kubevirt"
    if "any type" in root or root == "needed":
        assert held == set(types)
    else:
        assert held == {name for name in types if name in root}


@pytest.mark.parametrize("form", WRITERS)
def test_how_a_format_is_stored(form: str) -> None:
    is_a, compressed, _ = table("How it is stored")[form]
    terms = WriteOptions(platform=Platform(os="linux", architecture="amd64"), name="registry.example/machine:1")

    blueprint = WRITERS[form](Artifact(parts=PARTS[form]), terms)

    assert ("in a layer" in is_a) == any(recipe.entry for recipe in blueprint.recipes)
    assert ("--compression" in compressed) == any(recipe.entry and recipe.may_compress for recipe in blueprint.recipes)
    assert ("zstd" in compressed) == any(recipe.compression == "zstd" for recipe in blueprint.recipes)


def test_every_format_is_recommended_for_something() -> None:
    advice = PAGE.partition("## By what is to happen")[2].partition("\n## ")[0]

    assert set(WRITERS) <= set(re.findall(r"`(\w+)`", advice))
