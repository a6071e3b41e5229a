"""What the pages speak of: a registry, and a directory with the parts of a machine and eci-convert on its PATH."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from tests.support.fake_registry.server import a_registry
from tests.support.golden import unpack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        yield registry


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory with the files that the pages speak of, and eci-convert on its PATH."""
    unpack("onmetal/inputs.tar.gz", tmp_path / "inputs")
    for name, source in {
        "rootfs.raw": "rootfs",
        "initrd": "initramfs",
        "disk.raw": "rootfs",
        "initrd.img": "initramfs",
        "vmlinuz": "kernel",
        "kernel": "kernel",
    }.items():
        shutil.copy(tmp_path / "inputs/in" / source, tmp_path / name)
    (tmp_path / "initrd.cpio").write_bytes(b"initrd")
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
    )
    unpack("eci/legacy.tar.gz", tmp_path / "made-by-eci")
    unpack("kraftkit/store-multi.tar.gz", tmp_path / "kraftkit")
    program = tmp_path / "bin/eci-convert"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m eci_convert "$@"\n')
    program.chmod(0o755)
    return tmp_path
