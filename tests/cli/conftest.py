"""A machine on disk, and the command line to run over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command_line import Run

ISO = b"\0" * 0x8001 + b"CD001" + b"\0" * 5000
QCOW2 = b"QFI\xfb\0\0\0\3" + b"\0" * 2000


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of a small machine."""

    kernel: Path
    initrd: Path
    root: Path
    disk: Path

    @property
    def words(self) -> list[str | Path]:
        return ["--kernel", self.kernel, "--initrd", self.initrd, "--root", f"{self.root}:raw", "--disk", self.disk]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Run(capfd)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    folder = tmp_path / "parts"
    folder.mkdir()
    made = Parts(folder / "vmlinuz", folder / "initrd.img", folder / "root.img", folder / "data.iso")
    made.kernel.write_bytes(b"kernel" * 1000)
    made.initrd.write_bytes(b"initrd" * 1000)
    with made.root.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(3 << 20)
        file.write(b"data" * 1024)
    made.disk.write_bytes(ISO)
    return made


@pytest.fixture
def layout(run: Run, parts: Parts, tmp_path: Path) -> Path:
    run("push", "--remote", tmp_path / "layout", "edge/machine:1", *parts.words)
    return tmp_path / "layout"
