"""`--dry-run` on every verb that writes: what would move and how many bytes, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Parts
from tests.support.command_line import Run


@pytest.fixture
def nowhere(tmp_path: Path, layout: Path, parts: Parts) -> Iterator[Path]:
    """A place for outputs; below *tmp_path* there is nothing new and nothing changed when the test is over."""
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    yield tmp_path / "out"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_extract_pull_and_pullfiles_say_what_would_be_read(run: Run, layout: Path, nowhere: Path, parts: Parts) -> None:
    size = sum(path.stat().st_size for path in (parts.kernel, parts.initrd, parts.root, parts.disk))
    reference = f"oci:{layout}"
    said = run("extract", reference, nowhere, "--dry-run").out
    assert f"{nowhere}/kernel" in said
    assert f"would be read from {reference}" in said
    told = run("extract", reference, nowhere, "--dry-run", "--json").json
    assert told["dry_run"] is True
    assert told["bytes_read"] == size
    assert sum(part["size"] for part in told["parts"]) == size
    remote = ["--remote", str(layout), "edge/machine:1", "--dry-run", "--json"]
    assert run("pull", *remote, "--dir", nowhere).json["bytes_read"] > size  # its config comes too
    assert run("pullfiles", *remote, "--kernel", nowhere).json["bytes_read"] == parts.kernel.stat().st_size


def test_what_is_in_a_compressed_layer_counts_as_its_layer(run: Run, parts: Parts, tmp_path: Path) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, "--format", "legacy")
    layer = run("inspect", f"oci:{tmp_path}/l", "--json").json["parts"][0]["source"]["blob"]
    told = run(
        "extract", f"oci:{tmp_path}/l", tmp_path / "out", "--path", f"/kernel={tmp_path}/k", "--dry-run", "--json"
    ).json
    assert [part["size"] for part in told["parts"]] == [None, 6000]  # the second as our layers tell it
    assert told["bytes_read"] == (tmp_path / "l/blobs/sha256" / layer.removeprefix("sha256:")).stat().st_size


def test_a_dockerfile_says_what_would_be_staged(
    run: Run, nowhere: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run("dockerfile", "--kernel", parts.kernel, "--stage", nowhere, "--dry-run")  # outside the current folder
    assert 'COPY ["kernel", "/kernel"]' in said.out
    assert f"would be linked or copied into {nowhere}" in said.err
    assert f"would be written to {nowhere}/Dockerfile" in said.err
    told = run("dockerfile", "--kernel", parts.kernel, "--stage", nowhere, "--dry-run", "--json").json
    assert told["bytes_staged"] == parts.kernel.stat().st_size
    monkeypatch.chdir(parts.kernel.parent)
    assert "would be written to" in run("dockerfile", "--kernel", parts.kernel, "-o", nowhere, "--dry-run").err


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_a_builder_says_what_would_be_sent_to_it(builder: str, run: Run, nowhere: Path, parts: Parts) -> None:
    words = ["build", "--builder", builder, "-t", "a:1", "--dry-run"]
    assert f"would be sent to {builder}, to build a:1" in run(*words, "--kernel", parts.kernel).out
    told = run(*words, "--kernel", parts.kernel, "--json").json
    assert told["bytes_written"] == parts.kernel.stat().st_size
    assert (told["reference"], told["digest"], told["dry_run"]) == ("docker-daemon:a:1", None, True)


@pytest.mark.parametrize("builder", ["docker", "buildx"])
def test_a_context_of_the_users_is_counted_without_what_is_ignored(builder: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("large\n")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    (tmp_path / "small").write_bytes(b"x" * 1000)
    words = ["build", "--builder", builder, "-t", "a:1", "--file", str(tmp_path / "Dockerfile"), "--dry-run"]
    told = run(*words, "--json").json
    assert 1000 < told["bytes_written"] < 2000
    run(*words, "--context", tmp_path / "nowhere", exits=4)


def test_a_repair_says_what_would_be_written(run: Run, tmp_path: Path, parts: Parts) -> None:
    run("push", "--remote", tmp_path / "l", "a:1", "--kernel", parts.kernel, "--format", "legacy")
    words = [
        "verify",
        f"oci:{tmp_path}/l",
        "--fix",
        f"oci:{tmp_path}/fixed:a",
        "--digest-file",
        str(tmp_path / "digest"),
    ]
    assert f"would be written to oci:{tmp_path}/fixed:a" in run(*words, "--dry-run").out
    told = run(*words, "--dry-run", "--json").json
    assert not (tmp_path / "fixed").exists()
    assert not (tmp_path / "digest").exists()
    assert told["dry_run"] is True

    run(*words)
    blobs = list((tmp_path / "fixed/blobs/sha256").iterdir())
    assert told["bytes_written"] == sum(path.stat().st_size for path in blobs)
    assert (tmp_path / "digest").read_text().strip().removeprefix("sha256:") in {path.name for path in blobs}
