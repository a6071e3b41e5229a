"""What `make demo` shows is true."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from integration import demo
from integration.engines.docker import DockerEngine
from integration.engines.programs import Programs
from integration.support import boot_vm
from integration.support.boot_vm import GREETING

ROOT = Path(__file__).parents[1]


def test_the_demo_takes_a_machine_through_an_image_and_an_engine_and_boots_it(
    docker28: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker28.host)

    status = demo.main(tmp_path / "demo")

    said = capfd.readouterr().out
    assert status == 0, said
    assert "The same through a Docker engine" in said
    assert GREETING in said
    assert "Every byte is the same." in said
    assert "eci-convert-demo" not in docker28.docker("images")


def test_the_demo_needs_no_engine(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.append(sys.argv.pop()); from integration.demo import *; sys.exit(main(Path(sys.argv[1])))"
    )
    bare = {"DOCKER_HOST": "unix:///nowhere", "ECI_CONVERT_ENGINES": "/nowhere"}

    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path / "demo"), str(ROOT)],
        env={**os.environ, **bare},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "no Docker engine answers" in done.stdout
    assert "Every byte is the same." in done.stdout


def test_a_bare_computer_can_make_a_machine_the_same_each_time(tmp_path: Path) -> None:
    nothing = Programs(kernel="/nowhere", busybox="/nowhere", mke2fs="/nowhere")

    first, again = (boot_vm.make(tmp_path / name, programs=nothing) for name in ("first", "again"))

    assert not first.boots
    names = os.listdir(tmp_path / "first")
    assert filecmp.cmpfiles(tmp_path / "first", tmp_path / "again", names, shallow=False) == (names, [], [])
    assert first.root.read_bytes()[510:512] == b"\x55\xaa"
    assert again.root.stat().st_blocks * 512 < again.root.stat().st_size


def test_the_demo_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = boot_vm.make(tmp_path / "parts")
    out = tmp_path / "out"
    out.mkdir()
    for given, name in zip((parts.kernel, parts.initrd, parts.root, parts.disk), _NAMES, strict=True):
        shutil.copyfile(given, out / name)
    assert demo.compare(parts, out)

    (out / "initrd").write_bytes(b"something else")

    assert not demo.compare(parts, out)
    assert "IS NOT THE SAME AS" in capsys.readouterr().out


_NAMES = ("kernel", "initrd", "disk-root-root.img", "disk-0-data.img")
