"""The directories in docs/reference/files-on-disk.md are those that are used, and they are kept for so long."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.operations import conversion_cache
from eci_convert.reading import resume
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry.push import upload_log
from eci_convert.transports.registry.state import blob_locations, host_facts
from tests.support.command_line import Run
from tests.support.shell_pages import DOCS

PAGE = (DOCS / "reference/files-on-disk.md").read_text()
KEPT: dict[str, str] = dict(re.findall(r"^\| `\$XDG_\w+/eci-convert/(\w+)`, else `(~/\S+)` ", PAGE, re.MULTILINE))
DAY = 24 * 3600


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Run(capfd)


def directory(tmp_path: Path, name: str) -> Path:
    return tmp_path / KEPT[name].removeprefix("~/")


def test_what_is_kept_of_transfers_that_were_cut(registry: FaultyRegistry, run: Run, tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(range(256)) * 40_000)
    push = ("push", f"{registry.host}/edge/machine:1", "--root", tmp_path / "disk.raw")

    registry.misbehave("PATCH", "uploads", hears=7_000_000, times=1)
    registry.max_body = 8 << 20
    run(*push, "--retries", "0", exits=3)
    uploads = list(directory(tmp_path, "uploads").glob("*.json"))
    registry.behave()
    run(*push)
    run("copy", f"docker://{registry.host}/edge/machine:1", f"oci:{tmp_path}/layout:1", "--format", "legacy")
    registry.misbehave("GET", "blobs/sha256", lambda reply: replace(reply, cut=4_000_000), times=9)
    run("pull", f"{registry.host}/edge/machine:1", "--dir", tmp_path / "out", "--retries", "0", exits=3)

    assert set(KEPT) == {"partial", "conversions", "uploads", "hosts", "blobs"}
    assert uploads
    assert all(directory(tmp_path, name).is_dir() for name in KEPT)
    assert all(directory(tmp_path, name).stat().st_mode & 0o777 == 0o700 for name in KEPT)
    assert [file.name[:7] for file in directory(tmp_path, "partial").iterdir()] == ["sha256-"]


def test_for_how_long_it_is_kept() -> None:
    days = {name: int(number) for name, number in re.findall(r"eci-convert/(\w+)` \|.*?\| (\d+) days", PAGE)}

    assert days == {
        "partial": resume._MAX_AGE_SECONDS // DAY,
        "conversions": conversion_cache._MAX_AGE // DAY,
        "uploads": upload_log._LONGEST_KEPT // DAY,
        "hosts": host_facts._MAX_AGE_SECONDS // DAY,
        "blobs": blob_locations._MAX_AGE_DAYS,
    }
