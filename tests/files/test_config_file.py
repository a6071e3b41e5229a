"""Configuration files of the user or the machine, and what may be in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eci_convert.errors import LocalError
from eci_convert.files.config_file import read_config_file
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.docker_daemon.endpoint import find
from eci_convert.transports.settings import Settings


def test_a_longer_file_than_the_limit_is_refused_and_not_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert read_config_file(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_config_file(tmp_path / "file", 4)


def test_a_device_is_an_empty_file() -> None:
    assert read_config_file(Path("/dev/null"), 9) == b""


def test_a_pipe_is_read_only_where_it_may_be_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a pipe, not a file"):
        read_config_file(tmp_path / "pipe", 9)

    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)
    assert read_config_file(Path(f"/dev/fd/{reading}"), 99, may_be_pipe=True) == b"content"
    os.close(reading)


def test_nobody_waits_for_a_pipe_in_the_place_of_storage_conf(tmp_path: Path) -> None:
    path = tmp_path / "xdg/containers/storage.conf"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}

    with pytest.raises(LocalError, match="is a pipe, not a file"):
        StoreLocation.parse("machine:1", Settings(environ=environ))


def test_nobody_waits_for_a_pipe_in_the_place_of_dockers_configuration(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    os.mkfifo(tmp_path / ".docker/config.json")
    nowhere = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}

    assert find(nowhere) == find({**nowhere, "HOME": str(tmp_path / "none")})
