"""A file is there when it is complete, or what was there before is; nothing else is left behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.atomic import AtomicFiles, atomic_write
from eci_convert.files.safe_open import read_chunks
from eci_convert.files.sparse import write_dense, write_sparse
from tests.support.chunking import close


def files_in(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in path.iterdir()}


def abandoned(path: Path, name: str = "kernel", random: str = "0123456789abcdef") -> Path:
    """What a killed process leaves."""
    left = path / f".{name}.{random}.part"
    left.write_bytes(b"half")
    return left


class TestReplacing:
    def test_the_file_appears_at_the_end_of_the_block(self, tmp_path: Path) -> None:
        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")
            assert not (tmp_path / "kernel").exists()

        assert files_in(tmp_path) == {"kernel": b"new"}

    def test_it_takes_the_place_of_another(self, tmp_path: Path) -> None:
        (tmp_path / "kernel").write_bytes(b"old")

        with atomic_write(str(tmp_path / "kernel")) as file:
            write_sparse(file, [b"new"])
            assert (tmp_path / "kernel").read_bytes() == b"old"

        assert files_in(tmp_path) == {"kernel": b"new"}

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_an_exception_leaves_what_was_there(self, tmp_path: Path, error: type[BaseException]) -> None:
        (tmp_path / "kernel").write_bytes(b"old")

        def write() -> None:
            with atomic_write(tmp_path / "kernel") as file:
                file.write(b"half")
                raise error("half")

        with pytest.raises(error, match="half"):
            write()

        assert files_in(tmp_path) == {"kernel": b"old"}

    def test_the_umask_applies(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            with atomic_write(tmp_path / "kernel"):
                pass
        finally:
            os.umask(before)

        assert stat.S_IMODE((tmp_path / "kernel").stat().st_mode) == 0o640

    def test_a_link_is_replaced_and_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / "kernel").symlink_to("precious")
        (tmp_path / "initrd").symlink_to("nowhere")

        with atomic_write(tmp_path / "kernel") as file, atomic_write(tmp_path / "initrd") as other:
            file.write(b"new")
            other.write(b"new")

        assert files_in(tmp_path) == {"precious": b"precious", "kernel": b"new", "initrd": b"new"}
        assert not (tmp_path / "kernel").is_symlink()

    def test_a_hard_link_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_bytes(b"precious")
        os.link(tmp_path / "precious", tmp_path / "kernel")

        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert files_in(tmp_path) == {"precious": b"precious", "kernel": b"new"}

    def test_a_link_to_a_directory_is_followed_above_the_name(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "out").symlink_to("real")

        with atomic_write(tmp_path / "out" / "kernel") as file:
            file.write(b"new")

        assert files_in(tmp_path / "real") == {"kernel": b"new"}

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("directory", "is a directory"),
            ("pipe", "exists and is not a regular file"),
            ("device", "exists and is not a regular file"),
            ("missing/kernel", "No such file"),
            ("file/kernel", "Not a directory"),
            ("..", "is not a valid file name"),
            ("x/", "is not a valid file name"),
            ("a\0b", "is not a valid file name"),
            ("n" * 256, "File name too long"),
        ],
    )
    def test_what_cannot_be_is_a_local_error_before_anything_is_written(
        self, tmp_path: Path, name: str, message: str
    ) -> None:
        (tmp_path / "directory").mkdir()
        (tmp_path / "file").touch()
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "device").symlink_to("/dev/null")
        before = sorted(os.listdir(tmp_path))

        with pytest.raises(LocalError, match=message), atomic_write(f"{tmp_path}/{name}"):
            raise AssertionError("the block was entered")

        assert sorted(os.listdir(tmp_path)) == before

    def test_a_device_is_never_replaced(self) -> None:
        with pytest.raises(LocalError, match="not a regular file"), atomic_write("/dev/null"):
            raise AssertionError("the block was entered")

        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)

    def test_the_longest_name_will_do(self, tmp_path: Path) -> None:
        for name in ("n" * 255, "ä" * 127):
            with atomic_write(tmp_path / name) as file:
                file.write(b"new")

        assert files_in(tmp_path) == {"n" * 255: b"new", "ä" * 127: b"new"}

    def test_errors_of_writing_name_the_file_that_is_to_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "pwrite", full)
        with (
            pytest.raises(LocalError, match="/kernel: No space left on device"),
            atomic_write(tmp_path / "kernel") as file,
        ):
            write_sparse(file, [b"new"])

        assert files_in(tmp_path) == {}

    def test_a_limit_on_file_sizes_is_a_local_error_that_leaves_nothing(self, tmp_path: Path) -> None:
        """EFBIG, in a process of its own, for the limit cannot be raised again."""
        program = """
            import resource, signal, sys
            from eci_convert.errors import LocalError
            from eci_convert.files.atomic import atomic_write
            from eci_convert.files.sparse import write_dense, write_sparse
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            for write in (write_dense, write_sparse, lambda file, chunks: file.write(chunks[0])):
                try:
                    with atomic_write(sys.argv[1]) as file:
                        write(file, [b"x" * 200_000])
                except LocalError as error:
                    print(error)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "kernel")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip

        assert done.stdout == f"{tmp_path}/kernel: File too large\n" * 3
        assert files_in(tmp_path) == {}

    def test_everything_is_on_the_disk_before_the_rename(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        fsync, replace = os.fsync, os.replace

        def recorded_fsync(descriptor: int) -> None:
            calls.append("fsync")
            fsync(descriptor)

        def recorded_replace(source: str, target: str) -> None:
            calls.append("rename")
            replace(source, target)

        monkeypatch.setattr(os, "fsync", recorded_fsync)
        monkeypatch.setattr(os, "replace", recorded_replace)

        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert calls == ["fsync", "rename", "fsync"]

    def test_a_failing_disk_at_the_end_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "kernel").write_bytes(b"old")

        def broken(_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(LocalError, match="kernel: Input/output error"), atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert files_in(tmp_path) == {"kernel": b"old"}

    def test_a_relative_path_survives_a_change_of_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        with atomic_write("kernel") as file:
            file.write(b"new")
            os.chdir("/")

        assert files_in(tmp_path) == {"kernel": b"new"}

    def test_the_file_can_be_read_before_it_appears(self, tmp_path: Path) -> None:
        with atomic_write(tmp_path / "kernel") as file:
            write_dense(file, [b"kernel"])
            file.seek(0)
            assert file.read() == b"kernel"

    def test_a_link_at_the_name_that_is_written_to_is_not_followed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / ".kernel.guessed.part").symlink_to("precious")
        monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")

        with pytest.raises(LocalError, match="File exists"), atomic_write(tmp_path / "kernel"):
            raise AssertionError("the block was entered")

        assert (tmp_path / "precious").read_bytes() == b"precious"

    def test_two_at_once_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        with atomic_write(tmp_path / "kernel") as first:
            first.write(b"first")
            with atomic_write(tmp_path / "kernel") as second:
                second.write(b"second")
            assert (tmp_path / "kernel").read_bytes() == b"second"

        assert files_in(tmp_path) == {"kernel": b"first"}


class TestAbandonedFiles:
    def test_those_of_the_same_name_are_removed(self, tmp_path: Path) -> None:
        abandoned(tmp_path)
        abandoned(tmp_path, random="fedcba9876543210")

        with atomic_write(tmp_path / "kernel"):
            assert len(files_in(tmp_path)) == 1

    def test_those_that_are_being_written_are_not(self, tmp_path: Path) -> None:
        with abandoned(tmp_path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)

            with atomic_write(tmp_path / "kernel"):
                pass

        assert sorted(files_in(tmp_path)) == [".kernel.0123456789abcdef.part", "kernel"]

    @pytest.mark.parametrize(
        "name",
        [
            ".initrd.0123456789abcdef.part",
            ".kernel.0123456789abcde.part",
            ".kernel.0123456789abcdeg.part",
            ".kernel.mine.part",
            "kernel.0123456789abcdef.part",
            ".kernel.0123456789abcdef.part.bak",
            ".kernel.0123456789abcdef.old",
            ".kernel..0123456789abcdef.part",
        ],
    )
    def test_files_of_other_names_are_left_alone(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"mine")

        with atomic_write(tmp_path / "kernel"):
            pass

        assert (tmp_path / name).read_bytes() == b"mine"

    def test_links_and_directories_of_such_names_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / ".kernel.0123456789abcdef.part").symlink_to("precious")
        (tmp_path / ".kernel.0000000000000000.part").mkdir()
        os.mkfifo(tmp_path / ".kernel.1111111111111111.part")

        with atomic_write(tmp_path / "kernel"):
            pass

        assert len(os.listdir(tmp_path)) == 5

    def test_a_new_file_that_a_sweep_took_is_made_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flock = fcntl.flock
        swept: list[Path] = []

        def sweeping(descriptor: int, flags: int) -> None:
            if not swept:
                swept.extend(tmp_path.iterdir())
                swept[0].unlink()
            flock(descriptor, flags)

        monkeypatch.setattr(fcntl, "flock", sweeping)
        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert swept
        assert files_in(tmp_path) == {"kernel": b"new"}

    def test_a_filesystem_without_locks_will_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        left = abandoned(tmp_path)

        def unable(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(fcntl, "flock", unable)
        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert files_in(tmp_path) == {"kernel": b"new", left.name: b"half"}, "whose it is cannot be told there"

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_a_killed_process_leaves_the_old_file_and_the_next_one_cleans_up(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        (tmp_path / "kernel").write_bytes(b"old")
        program = """
            import sys, time
            from eci_convert.files.atomic import atomic_write
            with atomic_write(sys.argv[1]) as file:
                file.write(b"x" * 100_000)
                print("writing", flush=True)
                time.sleep(60)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "kernel")], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            process.send_signal(number)
        assert (tmp_path / "kernel").read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2

        with atomic_write(tmp_path / "kernel") as file:
            file.write(b"new")

        assert files_in(tmp_path) == {"kernel": b"new"}


class TestStagedFiles:
    def test_all_appear_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "kernel").write_bytes(b"old")
        with AtomicFiles() as staged:
            for name in ("kernel", "initrd", "disk-0-d"):
                staged.add(tmp_path / name).write(name.encode())
            assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["kernel"]
            staged.commit()

        assert files_in(tmp_path) == {"kernel": b"kernel", "initrd": b"initrd", "disk-0-d": b"disk-0-d"}

    def test_without_a_commit_none_does(self, tmp_path: Path) -> None:
        (tmp_path / "kernel").write_bytes(b"old")
        with AtomicFiles() as staged:
            staged.add(tmp_path / "kernel").write(b"new")
            staged.add(tmp_path / "initrd").write(b"new")

        assert files_in(tmp_path) == {"kernel": b"old"}

    @pytest.mark.parametrize("failing", [0, 1, 2])
    @pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt("interrupted")])
    def test_if_one_cannot_be_renamed_all_are_what_they_were(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
    ) -> None:
        (tmp_path / "kernel").write_bytes(b"old kernel")
        (tmp_path / "link").symlink_to("kernel")
        count, replace = 0, os.replace

        def renaming(source: str, target: str) -> None:
            nonlocal count
            count += 1
            if count == failing + 1:
                raise error
            replace(source, target)

        def publish() -> None:
            with AtomicFiles() as staged:
                for name in ("kernel", "initrd", "link"):
                    staged.add(tmp_path / name).write(b"new")
                monkeypatch.setattr(os, "replace", renaming)
                staged.commit()

        with pytest.raises((LocalError, KeyboardInterrupt), match=r"error|interrupted"):
            publish()

        assert files_in(tmp_path) == {"kernel": b"old kernel", "link": b"old kernel"}
        assert os.readlink(tmp_path / "link") == "kernel"

    def test_so_they_are_where_there_are_no_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "kernel").write_bytes(b"old")

        def unable(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", unable)
        with AtomicFiles() as staged:
            staged.add(tmp_path / "kernel").write(b"new")
            staged.commit()
        assert files_in(tmp_path) == {"kernel": b"new"}

        def publish() -> None:
            with AtomicFiles() as staged:
                staged.add(tmp_path / "kernel").write(b"newer")
                staged.add(tmp_path / "initrd").write(b"newer")
                (tmp_path / "initrd").mkdir()  # after it was looked at
                staged.commit()

        with pytest.raises(LocalError, match="Operation not permitted"):
            publish()
        assert (tmp_path / "kernel").read_bytes() == b"new"
        assert sorted(os.listdir(tmp_path)) == ["initrd", "kernel"]

    def test_two_directories_will_do(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).mkdir()
        with AtomicFiles() as staged:
            for name in "ab":
                staged.add(tmp_path / name / "kernel").write(name.encode())
            staged.commit()

        assert [(tmp_path / name / "kernel").read_bytes() for name in "ab"] == [b"a", b"b"]

    def test_one_name_twice_is_a_usage_error_however_it_is_spelt(self, tmp_path: Path) -> None:
        (tmp_path / "same").symlink_to(tmp_path)
        with AtomicFiles() as staged:
            staged.add(tmp_path / "kernel")
            with pytest.raises(UsageError, match="written twice"):
                staged.add(f"{tmp_path}/./same/kernel")

    def test_what_was_there_is_let_go_at_the_end(self, tmp_path: Path) -> None:
        for _ in range(3):
            with AtomicFiles() as staged:
                staged.add(tmp_path / "kernel").write(b"new")
                staged.commit()

        assert files_in(tmp_path) == {"kernel": b"new"}

    def test_no_descriptor_is_left_open(self, tmp_path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for commit in (True, False):
            with AtomicFiles() as staged:
                staged.add(tmp_path / "kernel").write(b"new")
                if commit:
                    staged.commit()
        with contextlib.suppress(LocalError), atomic_write(tmp_path / "missing" / "kernel"):
            pass

        assert len(os.listdir("/proc/self/fd")) == before


class TestReadChunks:
    def test_a_file_is_read_in_blocks(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"x" * 2500)

        assert [len(chunk) for chunk in read_chunks(tmp_path / "f", 1000)] == [1000, 1000, 500]

    def test_a_descriptor_is_read_and_left_open(self) -> None:
        reading, writing = os.pipe()
        os.write(writing, b"kernel")
        os.close(writing)

        assert list(read_chunks(reading)) == [b"kernel"]
        os.close(reading)

    def test_what_cannot_be_read_is_a_local_error(self, tmp_path: Path) -> None:
        with pytest.raises(LocalError, match="missing: No such file"):
            next(read_chunks(tmp_path / "missing"))
        with pytest.raises(LocalError, match="Is a directory"):
            next(read_chunks(tmp_path))

    def test_the_file_is_closed_when_the_stage_is(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"x" * 2500)
        before = len(os.listdir("/proc/self/fd"))
        stage = read_chunks(tmp_path / "f", 1000)
        next(stage)

        close(stage)

        assert len(os.listdir("/proc/self/fd")) == before
