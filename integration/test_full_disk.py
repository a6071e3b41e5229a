"""A full disk, /dev/full, a standard output that nobody reads or that is closed: exit 9, one line, and no harm done."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from integration.engines import daemon
from integration.engines.registry import Registry
from integration.support.boot_vm import write_disk
from tests.support.images import files_in

MIB = 1 << 20
ROOM = 6 * MIB
"""What fits on the small disk: the kernel, but not the root disk."""

Output = int | None


@pytest.fixture
def full(programs: object) -> Iterator[Path]:
    """A directory on a disk of its own, which is small."""
    with daemon.own_folder() as folder, daemon.running(folder, (), lambda: True):
        (folder / "disk").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder / "disk")], check=True)
        yield folder / "disk"


def fill(folder: Path) -> None:
    """Leaves nothing of the disk."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "kernel").write_bytes(random.Random("kernel").randbytes(MIB))
    (folder / "initrd").write_bytes(random.Random("initrd").randbytes(2 * ROOM))
    write_disk(folder / "root", 64 * MIB, {MIB: random.Random("root").randbytes(2 * ROOM)})
    return folder


@pytest.fixture(scope="module")
def layout(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A layout with `machine`, which does not fit, in both formats; and `kernel`, which does."""
    layout = tmp_path_factory.mktemp("images") / "layout"
    machine: list[str | Path] = ["--kernel", parts / "kernel", "--root", f"{parts}/root:raw"]
    for form in ("artifacts", "legacy"):
        done = run("push", "--remote", layout, form, *machine, "--format", form)
        assert done.returncode == 0, done.stderr
    assert run("push", "--remote", layout, "dense", "--initrd", parts / "initrd").returncode == 0
    return f"oci:{layout}"


def run(
    *words: str | Path, stdout: Output = subprocess.PIPE, home: Path | None = None, closed: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """`eci-convert`; *closed* are the standard streams that it has not."""
    command = [str(Path(sys.executable).parent / "eci-convert"), *map(str, words)]
    shut = "".join(f" {number}>&-" for number in closed)
    env = (
        os.environ
        | {"ECI_CONVERT_PROGRESS": "none"}
        | ({"HOME": str(home), "XDG_STATE_HOME": "", "XDG_CACHE_HOME": ""} if home else {})
    )
    return subprocess.run(
        ["sh", "-c", f'exec "$@"{shut}', "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        check=False,
        timeout=120,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 9, and one line that says *words*."""
    assert done.returncode == 9, f"exit {done.returncode}: {done.stderr}"
    lines = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
    [line] = [line for line in lines if not line.startswith("eci-convert: warning: ")]
    assert line.startswith("eci-convert: error: "), line
    for word in words:
        assert word in line


def room_in(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


@pytest.mark.parametrize("form", ["artifacts", "legacy", "dense"])
@pytest.mark.parametrize("there", ["nothing", "old files"])
def test_extract_leaves_no_file_and_no_old_one_changed(full: Path, layout: str, form: str, there: str) -> None:
    if there == "old files":
        (full / "out").mkdir()
        for name in ("kernel", "disk-root-root", "initrd", "mine"):
            (full / "out" / name).write_bytes(b"old")
    before, room = files_in(full), room_in(full)

    refused(run("extract", f"{layout}:{form}", full / "out"), "out")

    assert files_in(full) == before
    assert list(full.iterdir()) == ([full / "out"] if before else [])
    assert room_in(full) == room


def test_a_file_that_fits_is_extracted_where_the_others_do_not(full: Path, layout: str) -> None:
    assert run("extract", f"{layout}:artifacts", full, "--only", "kernel").returncode == 0
    assert [path.name for path in full.iterdir()] == ["kernel"]


def test_pull_leaves_old_files_alone(full: Path, parts: Path, registry: Registry, image_name: str) -> None:
    name = f"{registry.host}/{image_name}"
    assert run("push", name, "--kernel", parts / "kernel", "--root", f"{parts}/root:raw").returncode == 0
    (full / "kernel").write_bytes(b"old")

    refused(run("pull", name, "--dir", full), "disk-root")

    assert files_in(full) == {"kernel": b"old"}


def test_pull_by_somebody_whose_home_is_full(
    full: Path, parts: Path, registry: Registry, image_name: str, tmp_path: Path
) -> None:
    """What is kept for a next run is a kindness, not a condition."""
    name = f"{registry.host}/{image_name}"
    assert run("push", name, "--initrd", parts / "initrd").returncode == 0
    (full / "home").mkdir()
    (full / "filler").write_bytes(bytes(ROOM - MIB))

    done = run("pull", name, "--dir", tmp_path, home=full / "home")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "initrd").read_bytes() == (parts / "initrd").read_bytes()
    assert not [path for path in files_in(full / "home") if "/eci-convert/blobs/" not in path]


def test_push_by_somebody_whose_home_is_full(full: Path, parts: Path, registry: Registry, image_name: str) -> None:
    (full / "home").mkdir()
    fill(full)
    done = run("push", f"{registry.host}/{image_name}", "--initrd", parts / "initrd", home=full / "home")
    assert done.returncode == 0, done.stderr
    assert not [path for path, content in files_in(full / "home").items() if content]


WRITING = {
    "push": ["push", "--remote", "{full}/layout", "new", "{parts}"],
    "push legacy": ["push", "--remote", "{full}/layout", "new", "{parts}", "--format", "legacy"],
    "build": ["build", "{parts}", "--to", "oci:{full}/layout:new"],
    "copy": ["copy", "{layout}:legacy", "oci:{full}/layout:new"],
    "copy again": ["copy", "{layout}:legacy", "oci:{full}/layout:new", "--format", "artifacts"],
}


def filled_in(words: list[str], full: Path, parts: Path, layout: str) -> list[str]:
    machine = ["--kernel", f"{parts}/kernel", "--root", f"{parts}/root:raw"]
    found = []
    for word in words:
        found += machine if word == "{parts}" else [word.format(full=full, layout=layout)]
    return found


@pytest.mark.parametrize("what", WRITING)
@pytest.mark.parametrize("there", ["nothing", "an image"])
def test_a_layout_stays_as_it_was(full: Path, parts: Path, layout: str, what: str, there: str) -> None:
    if there == "an image":
        assert run("push", "--remote", full / "layout", "old", "--kernel", parts / "kernel").returncode == 0
    before, room = files_in(full), room_in(full)

    refused(run(*filled_in(WRITING[what], full, parts, layout)), "No space left")

    assert files_in(full) == before
    assert room_in(full) == room
    if there == "an image":
        assert run("verify", f"oci:{full}/layout:old").returncode == 0
        small = run("push", "--remote", full / "layout", "small", "--initrd", parts / "kernel")
        assert small.returncode == 0, small.stderr
    else:
        assert not list(full.iterdir())


ARCHIVES = {
    "oci-archive": ["build", "{parts}", "--to", "oci-archive:{full}/machine.tar"],
    "docker-archive": ["build", "{parts}", "--to", "docker-archive:{full}/machine.tar"],
    "copy": ["copy", "{layout}:artifacts", "oci-archive:{full}/machine.tar"],
}


@pytest.mark.parametrize("what", ARCHIVES)
@pytest.mark.parametrize("there", [b"", b"old"])
def test_an_archive_stays_as_it_was(full: Path, parts: Path, layout: str, what: str, there: bytes) -> None:
    if there:
        (full / "machine.tar").write_bytes(there)
    before, room = files_in(full), room_in(full)
    words = filled_in(ARCHIVES[what], full, parts, layout)
    if there and what != "docker-archive":
        (full / "machine.tar").unlink()
        before = {}
    refused(run(*words), "machine.tar")
    assert files_in(full) == before
    assert room_in(full) >= room


def test_a_staged_context_is_removed(full: Path, parts: Path) -> None:
    refused(run("dockerfile", "--kernel", parts / "kernel", "--initrd", parts / "initrd", "--stage", full / "context"))
    assert not list(full.iterdir())


def test_an_old_digest_file_stays(full: Path, parts: Path, tmp_path: Path) -> None:
    (full / "digest").write_text("old")
    fill(full)
    words: list[str | Path] = [
        "push",
        "--remote",
        tmp_path / "l",
        "x",
        "--kernel",
        parts / "kernel",
        "--digest-file",
        full / "digest",
    ]
    refused(run(*words), "digest")
    assert (full / "digest").read_text() == "old"


SAYING = {
    "a part": ["extract", "{layout}:artifacts", "--kernel", "-"],
    "a small part": ["extract", "{layout}:artifacts", "--config", "-"],
    "what is there": ["inspect", "{layout}:artifacts"],
    "json": ["inspect", "{layout}:artifacts", "--json"],
    "a manifest": ["inspect", "{layout}:artifacts", "--raw"],
    "an archive": ["copy", "{layout}:artifacts", "oci-archive:-"],
    "docker's archive": ["build", "{parts}", "--to", "docker-archive:-"],
    "a Dockerfile": ["dockerfile", "--kernel", "kernel"],
    "files": ["extract", "{layout}:artifacts", "{full}/out"],
    "a digest": ["push", "--remote", "{full}/layout", "x", "--kernel", "kernel"],
    "findings": ["verify", "{layout}:artifacts"],
    "help": ["extract", "--help"],
    "the version": ["--version"],
    "completion": ["completion", "bash"],
}


@pytest.mark.parametrize("what", SAYING)
def test_what_is_said_into_dev_full(
    parts: Path, layout: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parts)
    with open("/dev/full", "wb") as nowhere:
        done = run(*filled_in(SAYING[what], tmp_path, parts, layout), stdout=nowhere.fileno())
    refused(done, "No space left")


@pytest.mark.parametrize("what", SAYING)
def test_what_nobody_reads_to_the_end(
    parts: Path, layout: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(parts)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(*filled_in(SAYING[what], tmp_path, parts, layout), stdout=writing)
    finally:
        os.close(writing)
    refused(done, "standard output")


@pytest.mark.parametrize("what", SAYING)
def test_a_standard_output_that_is_closed(
    parts: Path, layout: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all it is never one of the files that are written, whose number it would have."""
    monkeypatch.chdir(parts)
    done = run(*filled_in(SAYING[what], tmp_path, parts, layout), closed=(1,))
    refused(done, "standard output")
    if what == "files":
        assert (tmp_path / "out/kernel").read_bytes() == (parts / "kernel").read_bytes()
    if what == "a digest":
        assert run("verify", f"oci:{tmp_path}/layout").returncode == 0


def test_all_standard_streams_are_closed(layout: str, parts: Path, tmp_path: Path) -> None:
    done = run("extract", f"{layout}:artifacts", tmp_path / "out", "--progress", "plain", closed=(0, 1, 2))
    assert done.returncode == 9
    assert (tmp_path / "out/kernel").read_bytes() == (parts / "kernel").read_bytes()
    assert (tmp_path / "out/disk-root-root").read_bytes() == (parts / "root").read_bytes()


def test_a_standard_error_that_is_full_or_closed_changes_nothing(layout: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "eci-convert"), "extract", f"{layout}:none", str(tmp_path)]
    for redirection in ("2>/dev/full", "2>&-"):
        assert subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *command], check=False).returncode == 4
