"""README's tables, made of those in the code: `python -m tests.support.generate_readme_tables` writes them there.

`cells` is the truth about transports × formats: tests/test_readme.py holds README against it, and
integration/test_matrix.py runs every cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eci_convert.dialects import DIALECTS, WRITERS
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.model import Artifact, DiskType, Memory, Part, Role
from eci_convert.oci.platform import Platform
from eci_convert.transports import SCHEMES, Scheme

README = Path(__file__).parents[2] / "README.md"

KERNEL = Part(role=Role.KERNEL, locator=Memory(content=b"kernel" * 999), name="kernel")
INITRD = Part(role=Role.INITRD, locator=Memory(content=b"initrd" * 999), name="initrd")
ROOT = Part(
    role=Role.ROOT_DISK,
    locator=Memory(content=bytes(510) + b"\x55\xaa" + bytes(1 << 20)),
    name="disk-root-root.raw",
    disk_type=DiskType.RAW,
)
DATA = Part(
    role=Role.EXTRA_DISK,
    locator=Memory(content=bytes(510) + b"\x55\xaa" + b"data" * 1024),
    name="disk-0-data.raw",
    disk_type=DiskType.RAW,
    index=0,
)

PARTS: dict[str, tuple[Part, ...]] = {
    "artifacts": (KERNEL, INITRD, ROOT, DATA),
    "legacy": (KERNEL, INITRD, ROOT, DATA),
    "ironcore": (KERNEL, INITRD, ROOT),
    "onmetal": (KERNEL, INITRD, ROOT),
    "unikraft": (KERNEL, INITRD),
    "containerdisk": (KERNEL, INITRD, ROOT),
    "kubevirt": (ROOT, DATA),
}
"""The parts that a format can hold."""


def holds(form: str, role: Role) -> bool:
    """Whether an image of the format *form* has a place for a part of *role*, as far as PARTS says."""
    return any(part.role is role for part in PARTS[form])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Whether the place *scheme* can hold an image of *format*; *why_not* is empty where it can."""

    scheme: Scheme
    format: str
    why_not: str


def cells() -> Iterator[Cell]:
    """Every place × every format that is written."""
    terms = WriteOptions(platform=Platform(os="linux", architecture="amd64"), name="registry.example/machine:1")
    for scheme in SCHEMES:
        for form, write in WRITERS.items():
            blueprint = write(Artifact(parts=PARTS[form]), terms)
            why_not = ""
            if not blueprint.is_container_image and not scheme.artifacts:
                why_not = "container images only"
            elif blueprint.index_spec and not scheme.indexes:
                why_not = "no indexes"
            yield Cell(scheme=scheme, format=form, why_not=why_not)


def places() -> str:
    """The table of transports × formats."""
    lines = ["| transport | " + " | ".join(f"`{form}`" for form in WRITERS) + " |", "|---" * (len(WRITERS) + 1) + "|"]
    found = list(cells())
    for scheme in SCHEMES:
        row = [cell.why_not or "yes" for cell in found if cell.scheme is scheme]
        spelt = ", ".join(f"`{spelling}`" for spelling in scheme.spellings)
        lines.append(f"| {spelt} {scheme.what} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def dialects() -> str:
    """The table of dialects: what is read as what, and what is written with which `--format`."""
    lines = ["| read as | written with `--format` | whose |", "|---|---|---|"]
    for dialect in DIALECTS:
        written = ", ".join(f"`{form.name}`" for form in dialect.formats) or "`legacy`"
        lines.append(f"| `{dialect.name}` | {written} | {dialect.what} |")
    return "\n".join(lines)


def rewritten(text: str) -> str:
    """README with its tables as they should be, between their markers."""
    for name, table in (("places", places()), ("dialects", dialects())):
        marked = re.compile(
            rf"(<!-- {name}: made by tests/support/generate_readme_tables.py -->\n).*?(\n<!-- end -->)", re.DOTALL
        )
        text = marked.sub(partial(_between_markers, table), text)
    return text


def _between_markers(table: str, markers: re.Match[str]) -> str:
    return f"{markers[1]}{table}{markers[2]}"


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
