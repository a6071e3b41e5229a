"""Parts that come through a pipe: each is read once, whatever the image is made into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import eci_convert as ec
from tests.support.command_line import Run, one_line

KERNEL = b"kernel" * 100_000
QCOW2 = b"QFI\xfb\x00\x00\x00\x03" + bytes(16) + (16).to_bytes(4, "big") + (1 << 20).to_bytes(8, "big") + bytes(1 << 16)


@contextmanager
def stdin_of(content: bytes) -> Iterator[None]:
    """Standard input that is a pipe with *content*, as file descriptor 0."""
    before = os.dup(0)
    read, write = os.pipe()
    os.dup2(read, 0)
    os.close(read)
    writer = threading.Thread(target=_write_all, args=(write, content))
    writer.start()
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        writer.join()


def _write_all(descriptor: int, content: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(content)


@pytest.mark.parametrize("form", ["legacy", "artifacts", "ironcore"])
def test_a_kernel_comes_from_standard_input(form: str, run: Run, tmp_path: Path) -> None:
    with stdin_of(KERNEL):
        run("build", "--kernel", "-", "--format", form, "--to", f"oci:{tmp_path}/layout:a")
    (tmp_path / "k").write_bytes(KERNEL)
    run("build", "--kernel", tmp_path / "k", "--format", form, "--to", f"oci:{tmp_path}/layout:b")

    assert ec.inspect(f"oci:{tmp_path}/layout:a").digest == ec.inspect(f"oci:{tmp_path}/layout:b").digest


def test_a_disk_from_standard_input_is_detected_and_has_a_name_of_its_role(run: Run, tmp_path: Path) -> None:
    with stdin_of(QCOW2):
        run("build", "--root", "-", "--to", f"oci:{tmp_path}/layout:a")
    with stdin_of(b"data"):
        run("build", "--disk", "-:raw", "--to", f"oci:{tmp_path}/layout:b")

    assert [(part.name, part.type) for part in ec.inspect(f"oci:{tmp_path}/layout:a").parts] == [
        ("disk-root-root", "qcow2")
    ]
    assert [part.name for part in ec.inspect(f"oci:{tmp_path}/layout:b").parts] == ["disk-0-disk"]


def test_a_fifo_is_read_once_and_is_called_as_it_is(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.img")
    writer = threading.Thread(target=lambda: (tmp_path / "data.img").write_bytes(b"data"))
    writer.start()
    run("push", f"oci:{tmp_path}/layout:a", "--disk", f"{tmp_path}/data.img:raw")
    writer.join()

    ec.extract(f"oci:{tmp_path}/layout:a", tmp_path / "out")

    assert (tmp_path / "out/disk-0-data.img").read_bytes() == b"data"


def test_descriptors_of_the_shell_are_read_as_pipes(tmp_path: Path) -> None:
    script = f"""{sys.executable} -m eci_convert build -q --to oci:layout:a \\
        --kernel <(printf kernel) --initrd <(printf initrd) --other notes=<(printf notes) --cmdline @<(echo quiet)"""
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True)

    ec.extract(f"oci:{tmp_path}/layout:a", tmp_path / "out")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert contents == {"kernel": b"kernel", "initrd": b"initrd", "notes": b"notes", "cmdline": b"quiet"}


def test_a_command_line_comes_from_standard_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(KERNEL)
    with stdin_of(b"console=ttyS0\n"):
        run("build", "--kernel", tmp_path / "k", "--cmdline", "@-", "--to", f"oci:{tmp_path}/layout:a")
    assert ec.inspect(f"oci:{tmp_path}/layout:a").cmdline == "console=ttyS0"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--kernel", "-", "--initrd", "-"], "it is the kernel and cannot be the initrd too"),
        (["--root", "-:raw", "--cmdline", "@-"], "it is the root disk and cannot be the command line too"),
        (["--kernel", "-", "--username", "me", "--password-stdin"], "it is the password and cannot be the kernel too"),
    ],
)
def test_standard_input_is_read_once(words: list[str], why: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with stdin_of(b"secret\n"), open(0, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        said = run("push", "registry.invalid/machine:1", *words, exits=2)
    one_line(said, "standard input can be read once", why)


def test_a_pipe_without_a_byte_is_no_part(run: Run, tmp_path: Path) -> None:
    """What a producer that failed leaves."""
    with stdin_of(b""):
        said = run("build", "--kernel", "-", "--to", f"oci:{tmp_path}/layout:a", exits=2)
    one_line(said, "standard input is empty")
    assert not (tmp_path / "layout").exists()


def test_unknown_bytes_from_a_pipe_ask_for_a_type(run: Run, tmp_path: Path) -> None:
    with stdin_of(bytes(4096)):
        said = run("build", "--root", "-", "--to", f"oci:{tmp_path}/layout:a", exits=2)
    assert "'-' could be any type of disk" in said.err
    assert "-:raw" in said.err


def test_a_dockerfile_has_a_pipe_staged(run: Run, tmp_path: Path) -> None:
    with stdin_of(KERNEL):
        said = run("dockerfile", "--kernel", "-", exits=2)
    one_line(said, "'-' is a pipe")
    assert "--stage" in said.err
    with stdin_of(KERNEL):
        run("dockerfile", "--kernel", "-", "--stage", tmp_path / "context")
    assert (tmp_path / "context/kernel").read_bytes() == KERNEL


@pytest.mark.parametrize("place", ["-", "fifo"])
def test_waiting_for_a_pipe_ends_when_told_to(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    words = ["build", "--kernel", place, "--to", "oci:layout:a"]
    process = subprocess.Popen(
        [sys.executable, "-m", "eci_convert", *words], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    writer = os.open(tmp_path / "fifo", os.O_RDWR)  # for ever: there is no end of the file
    try:
        _wait_until_reading(process.pid, tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        os.close(writer)
        process.kill()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert not (tmp_path / "layout").exists()


def _wait_until_reading(process: int, temporary: Path) -> None:
    """Until *process* has the file open in which it keeps what it reads."""
    folder = Path(f"/proc/{process}/fd")
    for _ in range(3000):
        with suppress(OSError):
            if any(re.fullmatch(rf"{temporary}/.* \(deleted\)", os.readlink(entry)) for entry in folder.iterdir()):
                return
        time.sleep(0.01)
    raise AssertionError("it reads nothing")
