"""The how-to pages are true: each command line of them is run, in order, and says what the page shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from tests.support.fake_registry.server import a_registry
from tests.support.golden import unpack

ROOT = Path(__file__).parents[2]
HOST = "registry.example"
_BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)


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


def script_of(page: str) -> tuple[str, list[tuple[int, str]]]:
    """All blocks of a page as one script that says "block N" after each, and what the page shows of some of them."""
    lines, shown = ["set -euo pipefail", "shopt -s expand_aliases"], []
    count = 0
    for kind, text in _BLOCK.findall((ROOT / "docs/howto" / page).read_text()):
        if kind == "text":
            shown.append((count - 1, text))
            continue
        lines += [text, f"echo 'block {count}'"]
        count += 1
    return "\n".join(lines), shown


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "jq"))), reason="the pages use bash, curl and jq")
@pytest.mark.parametrize(
    "page",
    [
        "air-gapped.md",
        "ci.md",
        "cnab.md",
        "kubevirt.md",
        "migrate-from-eci.md",
        "migrate-from-onmetal-and-ironcore.md",
        "podman.md",
        "preload.md",
        "troubleshooting.md",
        "unikraft.md",
    ],
)
def test_each_command_line_works_and_says_what_is_shown(page: str, workplace: Path, registry: FaultyRegistry) -> None:
    script, shown = script_of(page)
    environ = {
        "PATH": f"{workplace}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(workplace / "home"),
        "LC_ALL": "C",
        "CONTAINERS_STORAGE_CONF": str(workplace / "storage.conf"),
    }

    done = subprocess.run(
        ["bash", "-c", script.replace(HOST, registry.host)],
        cwd=workplace, env=environ, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    said = re.split(r"block \d+\n", done.stdout.replace(registry.host, HOST))
    for number, expected in shown:
        assert words(said[number]) == words(expected)
