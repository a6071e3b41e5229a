"""The memory of where blobs were seen: small, private, shared, and dispensable."""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from eci_convert.oci.digest import Digest
from eci_convert.transports.registry.state import files as state_files
from eci_convert.transports.registry.state.blob_locations import BlobLocations
from eci_convert.transports.registry.state.files import locked_state
from eci_convert.transports.settings import Settings

BIG = 1 << 20
NAME = "https://registry.example"
A, B = Digest.of(b"a"), Digest.of(b"b")


def opened(home: Path, name: str = NAME) -> BlobLocations:
    """The memory as another run finds it."""
    return BlobLocations(name, Settings(environ={"HOME": str(home)}))


def remembers(home: Path, *seen: tuple[Digest, str], name: str = NAME) -> None:
    """A run that sees these."""
    where = opened(home, name)
    for digest, repository in seen:
        where.record(digest, repository, BIG)
    where.save()


def files(home: Path) -> list[Path]:
    return sorted((home / ".local/state/eci-convert/blobs").glob("*"))


def test_what_one_run_saw_another_knows(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "one"), (B, "two"))
    remembers(tmp_path, (A, "three"))
    assert opened(tmp_path).of(A) == ("three", "one")
    assert opened(tmp_path).of(B) == ("two",)
    assert opened(tmp_path).of(Digest.of(b"c")) == ()


def test_each_registry_has_a_file_of_its_own_that_nobody_else_reads(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "one"))
    remembers(tmp_path, (A, "two"), name="http://registry.example")
    assert opened(tmp_path).of(A) == ("one",)
    assert [path.stat().st_mode & 0o777 for path in files(tmp_path)] == [0o600, 0o600]
    assert files(tmp_path)[0].parent.stat().st_mode & 0o777 == 0o700


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "one"), (A, "two"), (B, "one"), (B, "two"))
    where = opened(tmp_path)
    where.remove("one", A)
    where.save()
    assert (opened(tmp_path).of(A), opened(tmp_path).of(B)) == (("two",), ("two", "one"))
    where.remove("two")
    where.save()
    assert (opened(tmp_path).of(A), opened(tmp_path).of(B)) == ((), ("one",))


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "one"), (A, "two"))
    before = files(tmp_path)[0].stat()
    remembers(tmp_path, (A, "one"))
    assert files(tmp_path)[0].stat() == before


def test_small_blobs_alone_are_not_worth_a_file(tmp_path: Path) -> None:
    where = opened(tmp_path)
    where.record(A, "one", 1000)
    where.save()
    assert files(tmp_path) == []
    where.record(A, "one", 1000)
    where.record(B, "one", BIG)
    where.save()
    assert opened(tmp_path).of(A) == ("one",)


def test_after_a_month_it_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembers(tmp_path, (A, "one"))
    other = files(tmp_path)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 29 * 86400)
    assert opened(tmp_path).of(A) == ("one",)
    monkeypatch.setattr(time, "time", lambda: now + 32 * 86400)
    assert opened(tmp_path).of(A) == ()
    remembers(tmp_path, (B, "two"), name="https://elsewhere.example")
    assert not set(other) & set(files(tmp_path))


def test_what_was_seen_in_the_future_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that went wrong, and would keep it for ever."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 20 * 86400)
    remembers(tmp_path, (A, "one"))
    monkeypatch.setattr(time, "time", lambda: now)
    assert opened(tmp_path).of(A) == ()


def test_the_oldest_make_room(tmp_path: Path) -> None:
    digests = [Digest.of(str(number).encode()) for number in range(3000)]
    long = "x" * 250
    for start in range(0, 3000, 1000):
        remembers(tmp_path, *((digest, long) for digest in digests[start : start + 1000]))
    assert files(tmp_path)[0].stat().st_size < 256 * 1024
    where = opened(tmp_path)
    known = [bool(where.of(digest)) for digest in digests]
    assert 400 < sum(known) < 1000
    assert known == sorted(known)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"blobs": 5}',
        b'{"blobs": {"x": 5}}',
        b"[" * 100_000,
        b'{"blobs": {"' + str(A).encode() + b'": {"one": "today"}}}',
        b'{"blobs": {"' + str(A).encode() + b'": {"one": true, "two": 1e400, "three": null}}}',
        b" " * 300_000 + b"{}",
    ],
)
def test_what_cannot_be_read_is_no_memory_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    remembers(tmp_path, (A, "one"))
    files(tmp_path)[0].write_bytes(content)
    assert opened(tmp_path).of(A) == ()
    remembers(tmp_path, (A, "two"))
    assert opened(tmp_path).of(A) == ("two",)


def test_a_name_that_is_none_is_not_given_out(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "x:pull repository:y"), (A, "../x"), (A, "one"))
    assert opened(tmp_path).of(A) == ("one",)


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    digests = [Digest.of(str(number).encode()) for number in range(20)]
    threads = [Thread(target=remembers, args=(tmp_path, (digest, "one"))) for digest in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(opened(tmp_path).of(digest) == ("one",) for digest in digests)
    assert len(files(tmp_path)) == 1


def test_several_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from eci_convert.oci.digest import Digest
        from eci_convert.transports.settings import Settings
        from eci_convert.transports.registry.state.blob_locations import BlobLocations
        name, home, letter = sys.argv[1:]
        for number in range(30):
            where = BlobLocations(name, Settings(environ={"HOME": home}))
            where.record(Digest.of(f"{letter}{number}".encode()), "one", 1 << 20)
            where.save()
    """
    running = [subprocess.Popen([sys.executable, "-c", program, NAME, str(tmp_path), letter]) for letter in "ab"]
    assert [one.wait(60) for one in running] == [0, 0]
    where = opened(tmp_path)
    assert all(where.of(Digest.of(f"{letter}{number}".encode())) for letter in "ab" for number in range(30))


def test_one_that_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_files, "_LONGEST_WAIT", 0.05)
    remembers(tmp_path, (A, "one"))
    with locked_state(files(tmp_path)[0].parent):
        remembers(tmp_path, (A, "two"))
    assert opened(tmp_path).of(A) == ("two", "one")


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "/proc/nowhere"}])
def test_without_a_place_nothing_is_remembered(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has no name here, so that the password database knows no home either."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    where = BlobLocations(NAME, Settings(environ=environ))
    where.record(A, "one", BIG)
    where.save()
    assert where.of(A) == ()


def test_without_home_the_password_database_knows_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in units of systemd and in cron."""
    user = pwd.struct_passwd(("user", "x", os.getuid(), os.getgid(), "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    where = BlobLocations(NAME, Settings(environ={"HOME": ""}))
    where.record(A, "one", BIG)
    where.save()
    assert opened(tmp_path).of(A) == ("one",)


def test_a_place_that_cannot_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a filesystem that is mounted read-only even removing what is not there fails."""
    remembers(tmp_path, (A, "one"))
    open_ = os.open

    def read_only(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "read-only")
        return open_(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    def unremovable(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "unlink", unremovable)
    monkeypatch.setattr(os, "mkdir", unremovable)
    remembers(tmp_path, (A, "two"))
    assert opened(tmp_path).of(A) == ("one",)


def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    remembers(tmp_path, (A, "one"))
    assert json.loads(files(tmp_path)[0].read_text())["registry"] == NAME
