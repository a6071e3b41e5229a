"""Tests of examples/*.py: each does what it says, against a registry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert as ec
from eci_convert.testing import FaultyRegistry, run_registry

EXAMPLES = Path(__file__).parent.parent / "examples"
DISK = b"QFI\xfb\0\0\0\x03" + os.urandom(2 << 20)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with run_registry() as running:
        yield running


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(Path(ec.__file__).parent.parent)}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)


def test_every_example_has_a_test_and_says_what_it_does() -> None:
    text = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in text
        assert f"python examples/{path.name} " in path.read_text()


def test_a_disk_goes_into_a_pipe_and_is_verified(registry: FaultyRegistry, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    ec.push(ec.Machine(root=ec.Disk(DISK, name="disk.qcow2")), place)

    good = run("extract_to_pipe.py", place, folder=tmp_path)
    registry.blobs[str(ec.Digest.of(DISK))] = DISK[:-1] + b"!"
    wrong = run("extract_to_pipe.py", place, folder=tmp_path)
    missing = run("extract_to_pipe.py", place + "0", folder=tmp_path)

    assert (good.stdout, good.stderr, good.returncode) == (DISK, b"", 0)
    assert (wrong.returncode, missing.returncode) == (6, 4)
    assert b"digest mismatch" in wrong.stderr
    assert missing.stderr.count(b"\n") == 1


def test_a_machine_is_pushed(registry: FaultyRegistry, tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    for name in ("disk.qcow2", "data.qcow2"):
        (tmp_path / name).write_bytes(DISK)
    place = f"docker://{registry.host}/machine:1"

    pushed = run("push_with_progress.py", place, "vmlinuz", "disk.qcow2", "data.qcow2", folder=tmp_path)

    assert pushed.returncode == 0, pushed.stderr.decode()
    with ec.open_image(place) as image:
        assert pushed.stdout.decode().startswith(f"{place} is {image.digest}: ")
        assert [part.name for part in image.parts] == ["kernel", "disk-root-disk.qcow2", "disk-0-data.qcow2"]


def test_all_tags_are_copied_and_one_that_is_missing_is_said(registry: FaultyRegistry, tmp_path: Path) -> None:
    repository = f"docker://{registry.host}/machine"
    digests = {tag: ec.push(ec.Machine(kernel=tag.encode()), f"{repository}:{tag}").digest for tag in ("1.0", "2.0")}

    copied = run("copy_all_tags.py", repository, "oci:mirror", "1.0", "1.1", "2.0", folder=tmp_path)

    assert copied.returncode == 4
    assert b"1.1: " in {line[:5] for line in copied.stderr.splitlines()}, "beside progress, where it takes long"
    for tag, digest in digests.items():
        assert f"{tag}: {digest} (".encode() in copied.stdout
        assert ec.inspect(f"oci:{tmp_path}/mirror:{tag}").digest == digest
