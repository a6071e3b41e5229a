"""Files of our own in a place where another user may have put links, pipes and files."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from eci_convert.files import own_directory
from eci_convert.files.own_directory import OwnDirectory

ROOT = os.geteuid() == 0
NAMES = r"[0-9a-f]{4}\.json"
OLD = b"what was there"


class Warned(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> Warned:
    monkeypatch.setattr(own_directory, "_warned", False)
    return Warned()


@pytest.fixture
def directory(tmp_path: Path, warned: Warned) -> OwnDirectory:
    return OwnDirectory(base=tmp_path / "state", names=("eci-convert", "hosts"), warn=warned)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory that belongs to somebody, with a file of more than a year ago."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "ab01.json").write_bytes(OLD)
    os.utime(path / "ab01.json", (1, 1))
    return path


def is_not_used(directory: OwnDirectory) -> bool:
    """Every operation does nothing, and raises nothing."""
    directory.write("ab01.json", b"new")
    directory.remove("ab01.json")
    directory.sweep(NAMES, 10)
    with directory.locked(0.1):
        pass
    return directory.read("ab01.json", 100) is None and directory.hold("ab02.json") is None


def test_what_is_written_is_read_and_nobody_else_may(directory: OwnDirectory) -> None:
    directory.write("ab01.json", b"one")
    directory.write("ab01.json", b"two")

    assert directory.read("ab01.json", 3) == b"two"
    assert directory.read("ab01.json", 2) is None
    assert directory.age("ab01.json") < 60
    assert os.listdir(directory.path) == ["ab01.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory.path, directory.path.parent)] == [0o700, 0o700]
    assert stat.S_IMODE((directory.path / "ab01.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("linked", ["eci-convert", "eci-convert/hosts"])
def test_a_directory_that_is_a_link_is_not_used(
    directory: OwnDirectory, victim: Path, linked: str, warned: Warned
) -> None:
    link = directory.base / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(victim if linked.endswith("hosts") else victim.parent)

    assert is_not_used(directory)
    assert [message.count("symbolic link") for message in warned] == [1]
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == {"ab01.json": OLD}


@pytest.mark.skipif(not ROOT, reason="only root can give a directory to another user")
@pytest.mark.parametrize("foreign", ["", "eci-convert", "eci-convert/hosts"])
def test_a_directory_of_another_user_is_not_used(directory: OwnDirectory, foreign: str, warned: Warned) -> None:
    directory.path.mkdir(parents=True)
    (directory.path / "ab01.json").write_bytes(OLD)
    os.utime(directory.path / "ab01.json", (1, 1))
    os.chown(directory.base / foreign, 4711, 4711)

    assert is_not_used(directory)
    assert len(warned) == 1
    assert "another user (uid 4711)" in warned[0]
    assert {path.name: path.read_bytes() for path in directory.path.iterdir()} == {"ab01.json": OLD}


@pytest.mark.skipif(not ROOT, reason="only root can give a directory to another user")
def test_nothing_is_made_in_the_home_of_another_user(tmp_path: Path, warned: Warned) -> None:
    os.chown(tmp_path, 4711, 4711)

    assert is_not_used(OwnDirectory(base=tmp_path / ".local/state", names=("eci-convert", "hosts"), warn=warned))
    assert not list(tmp_path.iterdir())


def test_there_is_one_warning_whatever_is_not_used(directory: OwnDirectory, victim: Path, warned: Warned) -> None:
    directory.base.mkdir()
    (directory.base / "eci-convert").symlink_to(victim)
    other = OwnDirectory(base=directory.base, names=("eci-convert", "blobs"), warn=warned)

    assert is_not_used(directory)
    assert is_not_used(other)
    assert len(warned) == 1


def test_what_cannot_be_made_is_not_worth_a_warning(tmp_path: Path, warned: Warned) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert is_not_used(OwnDirectory(base=tmp_path / "file" / "state", names=("eci-convert",), warn=warned))
    assert not warned


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "second name"])
def test_what_is_not_a_file_of_ours_is_neither_read_nor_held_nor_written_through(
    directory: OwnDirectory, victim: Path, kind: str
) -> None:
    directory.path.mkdir(parents=True)
    planted = directory.path / "ab01.json"
    match kind:
        case "link":
            planted.symlink_to(victim / "ab01.json")
        case "pipe":
            os.mkfifo(planted)
        case "directory":
            planted.mkdir()
        case _:
            os.link(victim / "ab01.json", planted)

    assert directory.read("ab01.json", 100) is None
    assert directory.hold("ab01.json") is None
    directory.write("ab01.json", b"new")

    assert (victim / "ab01.json").read_bytes() == OLD
    if kind != "directory":
        assert directory.read("ab01.json", 100) == b"new"
    assert [name for name in os.listdir(directory.path) if name.endswith(".part")] == []


@pytest.mark.parametrize("kind", ["link", "second name"])
def test_a_temporary_name_that_was_guessed_is_not_written_through(
    directory: OwnDirectory, victim: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    directory.path.mkdir(parents=True)
    plant = Path.symlink_to if kind == "link" else Path.hardlink_to
    plant(directory.path / f"ab01.json.{'0' * 16}.part", victim / "ab01.json")

    directory.write("ab01.json", b"new")

    assert (victim / "ab01.json").read_bytes() == OLD
    assert directory.read("ab01.json", 100) is None


@pytest.mark.skipif(not ROOT, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_read(directory: OwnDirectory) -> None:
    directory.write("ab01.json", b"planted")
    os.chown(directory.path / "ab01.json", 4711, 4711)

    assert directory.read("ab01.json", 100) is None
    assert directory.hold("ab01.json") is None


def test_only_old_files_with_names_of_ours_are_swept(directory: OwnDirectory, victim: Path) -> None:
    directory.write("ab02.json", b"young")
    for name in ("ab01.json", "important", "ab03.json.0123456789abcdef.part", "ab04.json.4711.part"):
        (directory.path / name).write_bytes(b"old")
        os.utime(directory.path / name, (1, 1))
    (directory.path / "ab05.json").symlink_to(victim / "ab01.json")
    os.utime(directory.path / "ab05.json", (1, 1), follow_symlinks=False)

    directory.sweep(NAMES, 3600)

    assert sorted(os.listdir(directory.path)) == ["ab02.json", "ab05.json", "important"]
    assert (victim / "ab01.json").exists()


def test_a_name_is_held_by_one_at_a_time(directory: OwnDirectory) -> None:
    first = directory.hold("ab01.json")
    assert first is not None
    assert directory.hold("ab01.json") is None
    os.close(first)
    second = directory.hold("ab01.json")
    assert second is not None
    os.close(second)


def test_who_never_lets_go_of_the_lock_is_not_waited_for(directory: OwnDirectory) -> None:
    with directory.locked(60), directory.locked(0.01):
        directory.write("ab01.json", b"one")
    assert directory.read("ab01.json", 3) == b"one"


def test_a_directory_that_others_may_write_to_is_closed_to_them(directory: OwnDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.path.chmod(0o777)

    directory.write("ab01.json", b"one")

    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_a_write_that_fails_leaves_nothing(directory: OwnDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.write("ab01.json", OLD)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    directory.write("ab01.json", b"new")

    assert directory.read("ab01.json", 100) == OLD
    assert os.listdir(directory.path) == ["ab01.json"]
    assert directory.age("ab01.json") < time.time()
