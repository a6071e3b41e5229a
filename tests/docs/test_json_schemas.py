"""What the commands for stores and single files print with `--json`, held against docs/reference/schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from eci_convert.cli.commands import all_commands
from eci_convert.testing import FaultyRegistry
from tests.support.command_line import Run
from tests.support.shell_pages import DOCS

SCHEMAS = DOCS / "reference/schemas"
README = (SCHEMAS / "README.md").read_text()
BUNDLE = {
    "schemaVersion": "v1.0.0", "name": "shop", "version": "1", "description": "A shop",
    "invocationImages": [{"imageType": "docker", "image": "HOST/edge/machine:1"}],
}  # fmt: skip


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command line in a directory with a kernel, a layout and an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.chdir(tmp_path)
    Path("vmlinuz").write_bytes(b"kernel" * 100)
    run = Run(capfd)
    run("build", "--kernel", "vmlinuz", "--to", "oci:layout:machine", "--platform", "linux/amd64")
    return run


def check(name: str, run: Run, *words: str, exits: int = 0) -> Any:
    """What `eci-convert` *words* `--json` prints, which is as the schema *name* says."""
    document = run(*words, "--json", exits=exits).json
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    errors = list(Draft202012Validator(schema).iter_errors(document))
    assert not errors, [f"{error.json_path}: {error.message}" for error in errors]
    return document


def test_every_command_has_a_schema() -> None:
    rows = re.findall(r"^\| \[(\w+\.json)\]\((\w+\.json)\) \| (.*) \|$", README, re.MULTILINE)
    named = [words for _, _, cell in rows for words in re.findall("`([^`]+)`", cell)]
    without = re.findall("`([^`]+)`", README.partition("later versions;")[2].partition("print no JSON")[0])

    assert sorted([*named, *without]) == sorted(words for words, _ in all_commands())
    assert {name for name, _, _ in rows} | {"progress.json"} == {path.name for path in SCHEMAS.glob("*.json")}
    assert all(name == link for name, link, _ in rows)


def test_the_lines_of_progress_are_in_their_schema() -> None:
    schema = json.loads((SCHEMAS / "progress.json").read_text())
    lines = README.partition("```json\n")[2].partition("```")[0].splitlines()

    assert lines
    assert all(Draft202012Validator(schema).is_valid(json.loads(line)) for line in lines)


def test_names_of_images_in_a_layout(run: Run) -> None:
    assert check("list", run, "list", "oci:layout")[0]["name"] == "machine"
    check("tag", run, "tag", "oci:layout:machine", "other", "--dry-run")
    assert check("tag", run, "tag", "oci:layout:machine", "other")["names"] == ["other"]
    check("delete", run, "delete", "oci:layout:other", "--dry-run")
    assert check("delete", run, "delete", "oci:layout:other")[0]["name"] == "other"


def test_lists_of_a_registry_match_their_schema(run: Run, registry: FaultyRegistry) -> None:
    run("push", f"{registry.host}/edge/machine:1", "--kernel", "vmlinuz")

    assert check("list", run, "list", f"docker://{registry.host}/edge/machine")[0]["tag"] == "1"
    assert check("list", run, "list", f"docker://{registry.host}")[0]["digest"] is None


def test_results_of_index_match_their_schema(run: Run) -> None:
    check("index", run, "index", "create", "oci:layout:all", "oci:layout:machine", "--dry-run")
    check("index", run, "index", "create", "oci:layout:all", "oci:layout:machine")
    check("index", run, "index", "add", "oci:layout:all", "oci:layout:machine")
    check("index", run, "index", "remove", "oci:layout:all", "--platform", "linux/amd64")


def test_results_of_attach_and_discover_match_their_schemas(run: Run, registry: FaultyRegistry) -> None:
    image = f"{registry.host}/edge/machine:1"
    run("push", image, "--kernel", "vmlinuz")

    check("attach", run, "attach", image, "vmlinuz", "--artifact-type", "build/log", "--dry-run")
    attached = check("attach", run, "attach", image, "vmlinuz", "--artifact-type", "build/log")
    found = check("discover", run, "discover", image)

    assert found["referrers"][0]["digest"] == attached["digest"]


def test_results_of_url_match_their_schema(run: Run, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    image = f"{registry.host}/edge/machine:1"
    run("push", image, "--kernel", "vmlinuz")
    assert "headers" not in check("url", run, "url", image, "--part", "kernel")

    registry.users["me"] = "secret"
    monkeypatch.setenv("ECI_CONVERT_PASSWORD", "secret")
    assert check("url", run, "url", image, "--part", "kernel", "--username", "me")["headers"]["Authorization"]


def test_results_of_verify_match_their_schema(run: Run) -> None:
    assert check("verify", run, "verify", "oci:layout:machine")["good"]
    assert not check("verify", run, "verify", "oci:layout:machine", "none", exits=4)["good"]
    check("verify", run, "verify", "oci:layout:machine", "--fix", "oci:fixed:machine", "--dry-run")


def test_results_of_doctor_match_their_schema(run: Run, registry: FaultyRegistry) -> None:
    registry.users["me"] = "secret"
    registry.bearer = True

    check("doctor", run, "doctor")
    assert check("doctor", run, "doctor", registry.host)["authentication"][0]["scheme"].lower() == "bearer"


def test_results_of_preload_dockerfile_and_cnab_match_their_schemas(run: Run, registry: FaultyRegistry) -> None:
    run("push", f"{registry.host}/edge/machine:1", "--kernel", "vmlinuz", "--format", "legacy")
    Path("bundle.json").write_text(json.dumps(BUNDLE).replace("HOST", registry.host))
    target = ("--target", f"{registry.host}/apps/shop:1", "--auto-update-bundle")

    check("preload", run, "preload", "oci:layout:machine", "-o", "store.tar")
    check("dockerfile", run, "dockerfile", "--kernel", "vmlinuz")
    check("dockerfile", run, "dockerfile", "--kernel", "vmlinuz", "--stage", "context", "--dry-run")
    check("cnab", run, "cnab", "push", "bundle.json", *target, "--dry-run")
    check("cnab", run, "cnab", "push", "bundle.json", *target)
    check("cnab", run, "cnab", "fixup", "bundle.json", *target)
    check("cnab", run, "cnab", "pull", f"{registry.host}/apps/shop:1")
