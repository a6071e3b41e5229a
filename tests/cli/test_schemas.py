"""What commands print with `--json`, held against docs/reference/schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from eci_convert.dialects import READERS, WRITERS
from eci_convert.model import DiskType, Role
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.cli.conftest import Parts
from tests.support.command_line import Run
from tests.support.generate_readme_tables import holds
from tests.support.images import an_image, an_index, copied

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
LINE = "console=ttyS0"


def check(name: str, document: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    errors = list(Draft202012Validator(schema).iter_errors(document))
    assert not errors, [f"{error.json_path}: {error.message}" for error in errors]


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_valid_and_strict(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["title"].startswith(path.stem)
    assert list(Draft202012Validator(schema).iter_errors({"surprise": 1}))


def enumerated(schema: Any) -> list[set[str]]:
    """Every set of words that *schema* allows somewhere."""
    if isinstance(schema, list):
        return [words for item in schema for words in enumerated(item)]
    if not isinstance(schema, dict):
        return []
    own = [set(schema["enum"])] if "enum" in schema else []
    return own + [words for item in schema.values() for words in enumerated(item)]


def test_schemas_know_the_words_of_the_code() -> None:
    known = enumerated([json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")])

    assert {str(role) for role in Role} in known
    assert {str(disk_type) for disk_type in DiskType} in known
    assert set(READERS) in known
    assert {*READERS, "cnab"} in known


@pytest.mark.parametrize("format", WRITERS)
def test_results_of_every_format(format: str, run: Run, parts: Parts, tmp_path: Path) -> None:
    boots: list[str | Path] = ["--kernel", parts.kernel] if holds(format, Role.KERNEL) else []
    boots += ["--initrd", parts.initrd] if holds(format, Role.INITRD) else []
    root: list[str | Path] = ["--root", f"{parts.root}:raw"] if holds(format, Role.ROOT_DISK) else []
    words: list[str | Path] = ["--format", format, "--cmdline", LINE, *boots, *root, "--json"]
    image = f"oci:{tmp_path}/l:m"

    check("build", run("build", "--to", image, *words, "--dry-run").json)
    check("build", run("build", "--to", image, *words).json)
    check("push", run("push", "--remote", tmp_path / "p", "a:1", *words).json)
    check("copy", run("copy", image, f"oci:{tmp_path}/c:m", "--json").json)
    check("copy", run("copy", image, f"oci:{tmp_path}/d:m", "--format", "legacy", "--json").json)
    check("inspect", run("inspect", image, "--json").json)
    check("inspect", run("inspect", image, "--deep", "--json").json)
    check("extract", run("extract", image, tmp_path / "out", "--json", "--dry-run").json)
    check("extract", run("extract", image, tmp_path / "out", "--json").json)
    check("ls", run("ls", image, "--json").json)
    check("diff", run("diff", image, f"oci:{tmp_path}/c:m", "--json").json)


def test_results_where_something_differs(run: Run, layout: Path, parts: Parts, tmp_path: Path) -> None:
    copied(an_image().tar_layer({"a": b"1"}).build(), open_sink(f"oci:{tmp_path}/plain:x", Settings()))
    plain = f"oci:{tmp_path}/plain"

    check("inspect", run("inspect", plain, "--json").json)
    check("copy", run("copy", plain, f"oci:{tmp_path}/copy:x", "--json").json)
    told = run("diff", plain, f"oci:{layout}", "--json", exits=10).json
    check("diff", told)
    assert told["parts"][0]["a"] is None


def test_results_of_pull_and_pullfiles(run: Run, layout: Path, tmp_path: Path) -> None:
    place: list[str | Path] = ["--remote", layout, "edge/machine:1", "--json"]
    check("extract", run("pull", *place, "--dir", tmp_path / "a").json)
    check("extract", run("pullfiles", *place, "--kernel", tmp_path / "k").json)


def test_a_bundle_is_a_list_of_images(run: Run, tmp_path: Path) -> None:
    bundle = an_index(an_image().tar_layer({"a": b"1"}), an_image().tar_layer({"b": b"2"}))
    bundle = bundle.annotated(0, {"io.cnab.manifest.type": "config"}).annotated(
        1, {"io.cnab.manifest.type": "component", "io.cnab.component.name": "web"}
    )
    copied(bundle.build(), open_sink(f"oci:{tmp_path}/bundle:x", Settings()))

    told = run("inspect", f"oci:{tmp_path}/bundle", "--json").json

    check("inspect", told)
    assert [image["name"] for image in told["images"]] == ["web"]
