"""Parts that come through a pipe: each is read once, whatever the image is made into."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import eci_convert as ec
from eci_convert import testing
from eci_convert.oci.digest import Digest
from eci_convert.streams.blocks import BLOCK_SIZE
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.http import retry
from tests.support.command_line import Run, one_line
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import noise
from tests.support.images import files_in
from tests.support.resource_usage import measured

KERNEL = b"kernel" * 100_000
DISK = bytes(510) + b"\x55\xaa" + noise(20 << 20)
"""A raw disk that boots, of several chunks of an upload."""
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


# What is streamed


@contextmanager
def filled(contents: Mapping[Path, bytes]) -> Iterator[None]:
    """FIFOs that one program fills, each when the one before it has been read to its end."""

    def fill() -> None:
        for path, content in contents.items():
            with suppress(BrokenPipeError):
                path.write_bytes(content)

    for path in contents:
        os.mkfifo(path)
    writer = threading.Thread(target=fill)
    writer.start()
    try:
        yield
    finally:
        writer.join(60)
        assert not writer.is_alive(), "nobody read what it wrote"


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants a temporary file fails."""
    monkeypatch.setenv("TMPDIR", "/nowhere")


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize("place", ["oci:{}/layout:a", "oci-archive:{}/a.tar:a"])
@pytest.mark.parametrize("form", ["artifacts", "ironcore", "kubevirt"])
def test_a_disk_that_needs_no_archive_is_not_copied_first(form: str, place: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(DISK)
    for words in (["--root", "-:raw"], ["--root", "-"]):
        with stdin_of(DISK):
            run("push", place.format(tmp_path), *words, "--format", form)
        run("push", f"oci:{tmp_path}/expected:a", "--root", f"{tmp_path}/disk", "--format", form)

        piped, expected = (ec.inspect(each) for each in (place.format(tmp_path), f"oci:{tmp_path}/expected:a"))
        assert [(part.size, part.type) for part in piped.parts] == [(part.size, part.type) for part in expected.parts]
        assert form == "kubevirt" or piped.parts[0].digest == Digest.of(DISK)
        assert run("verify", place.format(tmp_path)).code == 0


@pytest.mark.usefixtures("no_room")
def test_a_registry_gets_a_disk_in_chunks_and_the_digest_at_the_end(run: Run) -> None:
    with a_registry() as registry:
        with stdin_of(DISK):
            run("push", f"{registry.host}/machine:1", "--root", "-:raw", "--json")

        assert registry.blobs[str(Digest.of(DISK))] == DISK
        uploads = registry.seen("/blobs/uploads/", "PATCH")
        assert sum(len(seen.body) for seen in uploads) == len(DISK)
        assert registry.requests[-1].path == "/v2/machine/manifests/1"


@pytest.mark.usefixtures("no_room")
def test_an_upload_that_is_lost_says_that_a_file_would_not_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "INITIAL_DELAY", 0.002)
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, 1 << 20)
    with a_registry() as registry:
        registry.misbehave("PATCH", "/uploads/", times=2)
        registry.misbehave("PATCH", "/uploads/", testing.refusal(404, "BLOB_UPLOAD_UNKNOWN", "expired"))
        with stdin_of(DISK):
            said = run("push", f"{registry.host}/machine:1", "--root", "-:raw", exits=3)

        one_line(said, "has to be uploaded again")
        assert "hint: standard input cannot be read again: put it into a file" in said.err
        assert not registry.manifests


@pytest.mark.parametrize(
    "words", [["--root", "{}/r:raw", "--disk", "{}/d.raw"], ["--root", "{}/r", "--disk", "{}/d.raw:raw"]]
)
def test_pipes_are_read_in_the_order_of_the_parts(words: list[str], run: Run, tmp_path: Path) -> None:
    """Also where a type has to be detected that tells what the image is to look like."""
    contents = {"k": KERNEL, "r": DISK, "d.raw": DISK * 2, "c": b"{}"}
    with filled({tmp_path / name: content for name, content in contents.items()}):
        run(
            "push", f"oci:{tmp_path}/layout:a", *(word.format(tmp_path) for word in words),
            "--config", tmp_path / "c", "--kernel", tmp_path / "k",
        )  # fmt: skip

    ec.extract(f"oci:{tmp_path}/layout:a", tmp_path / "out")
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert written == {"kernel": KERNEL, "disk-root-r": DISK, "disk-0-d.raw": DISK * 2, "config.json": b"{}"}


@pytest.mark.usefixtures("no_room")
def test_pipes_whose_types_are_declared_are_all_streamed(run: Run, tmp_path: Path) -> None:
    contents = {"k": KERNEL, "i": b"initrd", "r": DISK, "d": DISK * 2}
    with filled({tmp_path / name: content for name, content in contents.items()}):
        run(
            "push", f"oci:{tmp_path}/layout:a", "--disk", f"{tmp_path}/d:raw", "--root", f"{tmp_path}/r:raw",
            "--initrd", tmp_path / "i", "--kernel", tmp_path / "k",
        )  # fmt: skip

    assert [part.name for part in ec.inspect(f"oci:{tmp_path}/layout:a").parts] == [
        "kernel", "initrd", "disk-root-r", "disk-0-d"
    ]  # fmt: skip


@pytest.mark.usefixtures("no_room")
def test_the_command_line_is_read_first(run: Run, tmp_path: Path) -> None:
    with filled({tmp_path / "cmdline": b"quiet\n", tmp_path / "k": KERNEL}):
        run("push", f"oci:{tmp_path}/layout:a", "--kernel", tmp_path / "k", "--cmdline", f"@{tmp_path}/cmdline")

    assert ec.inspect(f"oci:{tmp_path}/layout:a").cmdline == "quiet"


def test_an_archive_on_standard_output_is_whole(tmp_path: Path) -> None:
    """Its members have their sizes before them: it keeps a copy itself."""
    words = [sys.executable, "-m", "eci_convert", "push", "oci-archive:-:a", "--root", "-:raw", "-q"]
    with (tmp_path / "a.tar").open("wb") as archive:
        subprocess.run(words, input=DISK, stdout=archive, check=True)

    assert ec.inspect(f"oci-archive:{tmp_path}/a.tar").parts[0].digest == Digest.of(DISK)


@pytest.mark.usefixtures("no_room")
def test_a_dry_run_says_what_would_be_written(run: Run, tmp_path: Path) -> None:
    with stdin_of(DISK):
        said = run("push", f"oci:{tmp_path}/layout:a", "--root", "-:raw", "--dry-run", "--json").json
    assert not (tmp_path / "layout").exists()
    with stdin_of(DISK):
        pushed = run(
            "push", f"oci:{tmp_path}/layout:a", "--root", "-:raw", "--json", "--digest-file", tmp_path / "digest"
        ).json

    assert said["bytes_written"] == pushed["bytes_written"]
    assert said["digest"] == pushed["digest"] == (tmp_path / "digest").read_text().strip()


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("word", ["-:raw", "-"])
def test_a_disk_without_a_byte_leaves_a_layout_as_it_was(form: str, word: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(KERNEL)
    run("push", f"oci:{tmp_path}/layout:a", "--kernel", tmp_path / "k")
    before = files_in(tmp_path)
    for name in ("layout", "new"):
        with stdin_of(b""):
            said = run(
                "push",
                f"oci:{tmp_path}/{name}:a",
                "--kernel",
                tmp_path / "k",
                "--root",
                word,
                "--format",
                form,
                exits=2,
            )
        one_line(said, "standard input is empty: no byte came through it")

    assert files_in(tmp_path) == before


def test_standard_input_that_is_closed_is_an_error(tmp_path: Path) -> None:
    words = f"exec {sys.executable} -m eci_convert push oci:layout:a --root -:raw <&-"
    done = subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 2, done.stderr
    assert b"standard input is empty" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "layout").exists()


def test_standard_input_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(DISK)
    words = [sys.executable, "-m", "eci_convert", "push", "oci:layout:a", "--root", "-:raw"]
    with (tmp_path / "disk").open("rb") as disk:
        subprocess.run(words, cwd=tmp_path, stdin=disk, check=True, capture_output=True)

    assert ec.inspect(f"oci:{tmp_path}/layout:a").parts[0].digest == Digest.of(DISK)


def test_a_long_pipe_costs_no_memory_and_no_file(tmp_path: Path) -> None:
    """384 MiB, a third of which are holes, made as they are read."""
    block, count = noise(1 << 20), 384
    hasher = hashlib.sha256()

    def write() -> None:
        with open(end, "wb", buffering=0) as pipe:
            for number in range(count):
                piece = bytes(1 << 20) if number % 3 == 0 else block
                hasher.update(piece)
                view = memoryview(piece)
                while view:
                    view = view[pipe.write(view) :]

    start, end = os.pipe()
    writer = threading.Thread(target=write)
    writer.start()
    with open(start, "rb") as stdin:
        cost = measured(
            ("push", f"oci:{tmp_path}/layout:a", "--root", "-:raw", "-q"), env={"TMPDIR": "/nowhere"}, stdin=stdin
        )
    writer.join()

    assert cost.code == 0, cost.said
    assert cost.peak < 100 << 20
    blob = tmp_path / "layout/blobs/sha256" / hasher.hexdigest()
    assert blob.stat().st_size == count << 20
    assert blob.stat().st_blocks * 512 < 260 << 20


# What waits


@pytest.mark.parametrize("form", ["legacy", "artifacts"])
@pytest.mark.parametrize("place", ["-", "fifo", "no-writer"])
def test_waiting_for_a_pipe_ends_when_told_to(place: str, form: str, tmp_path: Path) -> None:
    for name in ("fifo", "no-writer"):
        os.mkfifo(tmp_path / name)
    with running(tmp_path, "build", "--kernel", place, "--to", "oci:layout:a", "--format", form) as process:
        writer = os.open(tmp_path / "fifo", os.O_RDWR)  # for ever: there is no end of the file
        try:
            _wait_until_open(process, tmp_path / place)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            os.close(writer)

    assert not (tmp_path / "layout").exists()


def test_a_pipe_that_falls_silent_ends_when_told_to_and_nothing_is_kept(tmp_path: Path) -> None:
    with running(tmp_path, "push", "oci:layout:a", "--root", "-:raw") as process:
        assert process.stdin is not None
        process.stdin.write(bytes(4 << 20))  # more than a pipe holds: some has been read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130

    assert not (tmp_path / "layout").exists()


def test_a_program_may_open_a_fifo_later(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with running(tmp_path, "push", "oci:layout:a", "--root", "fifo:raw") as process:
        _wait_until_open(process, tmp_path / "fifo")
        (tmp_path / "fifo").write_bytes(DISK)
        assert process.wait(60) == 0

    assert ec.inspect(f"oci:{tmp_path}/layout:a").parts[0].digest == Digest.of(DISK)


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command line, run in *folder* with a pipe as standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "eci_convert", *words], cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        yield process
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        for file in (process.stdin, process.stderr):
            if file:
                file.close()


def _wait_until_open(process: subprocess.Popen[bytes], path: Path) -> None:
    """Until *process* has opened the FIFO at *path*, or, where that is `-`, has got ready to read standard input."""
    folder = Path(f"/proc/{process.pid}/fd")
    for _ in range(3000):
        with suppress(OSError):
            if path.name == "-" and process.stdin and fcntl.fcntl(process.stdin, fcntl.F_GETPIPE_SZ) == BLOCK_SIZE:
                return
            if any(os.readlink(entry) == str(path) for entry in folder.iterdir()):
                return
        time.sleep(0.01)
    raise AssertionError("it reads nothing")
