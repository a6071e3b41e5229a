"""The sizes in docs/howto/large-disks.md are those of the blobs that are made, and holes stay holes."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.support.command_line import Run
from tests.support.shell_pages import DOCS

SIZES = re.findall(r"^\| (`.*`.*) \| ([\d.]+) MiB \| ", (DOCS / "howto/large-disks.md").read_text(), re.MULTILINE)
FORMATS = {
    "`legacy`, `containerdisk`": ("legacy", "containerdisk"),
    "`legacy` with `--compression zstd`": ("legacy",),
    "`kubevirt`": ("kubevirt",),
    "`artifacts`, `ironcore`, `onmetal`, `legacy` with `--compression none`": ("artifacts", "ironcore", "legacy"),
}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command line in a directory with a disk of 200 MiB, of which 1 MB is data."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Path("big.raw").open("wb") as disk:
        disk.truncate(200 << 20)
        disk.seek(100 << 20)
        disk.write(random.Random(1).randbytes(1_000_000))
    return Run(capfd)


@pytest.mark.parametrize(("row", "size"), SIZES)
def test_the_size_of_a_blob(row: str, size: str, run: Run, tmp_path: Path) -> None:
    compression = re.findall(r"--compression (\w+)", row)
    for form in FORMATS[row]:
        words = ["--compression", *compression] if compression and form == "legacy" else []
        run("build", "--root", "big.raw", "--format", form, "--to", f"oci:{form}:big", *words, "-q")
        largest = max(blob.stat().st_size for blob in (tmp_path / form / "blobs/sha256").iterdir())

        assert f"{largest / (1 << 20):.1f}".removesuffix(".0") == size.removesuffix(".0"), form


def test_holes_stay_holes(run: Run) -> None:
    run("build", "--root", "big.raw", "--format", "artifacts", "--to", "oci:layout:big", "-q")
    run("extract", "oci:layout:big", "out")

    kept = [Path("out/disk-root-big.raw"), *Path("layout/blobs/sha256").iterdir()]
    assert all(file.stat().st_blocks * 512 < 4_000_000 for file in kept)
    assert set(FORMATS) == {row for row, _ in SIZES}
