"""The machine that is moved about, made once and kept between runs."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

from integration.engines.programs import Programs

FOLDER = Path(os.environ.get("ECI_CONVERT_BENCH", "/var/tmp/eci-convert-bench"))  # kept between runs
_MIB = 1 << 20
_DISK = 2048 * _MIB
_DATA = 680 * _MIB


def make() -> Path:
    """The folder that holds `kernel`, `initrd` and `disk.raw`."""
    if not (FOLDER / "made").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "kernel").write_bytes(random.Random("kernel").randbytes(14_000_000))
        (FOLDER / "initrd").write_bytes(random.Random("initrd").randbytes(30_000_000))
        _disk(FOLDER / "disk.raw")
        (FOLDER / "made").touch()
    return FOLDER


def _disk(path: Path) -> None:
    """An ext4 filesystem with files of this computer's /usr, a third of the disk."""
    tree = path.with_suffix(".tree")
    tree.mkdir()
    try:
        left = _DATA
        for number, file in enumerate(sorted(Path("/usr").rglob("*"))):
            if left <= 0:
                break
            if file.is_file() and not file.is_symlink() and 4096 <= file.stat().st_size <= 16 * _MIB:
                left -= file.stat().st_size
                shutil.copyfile(file, tree / f"{number}-{file.name}")
        command = [Programs().mke2fs, "-q", "-F", "-t", "ext4", "-d", str(tree), str(path), f"{_DISK >> 10}k"]
        subprocess.run(command, check=True, capture_output=True)
    finally:
        shutil.rmtree(tree)
