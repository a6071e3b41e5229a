"""Messages name what the user knows: paths, not numbers of open files, and nothing is called None."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from eci_convert.errors import EciError, LocalError
from eci_convert.files.safe_open import read_chunks, read_range
from eci_convert.files.sparse import file_chunks
from eci_convert.files.temp_files import path_of
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.docker_images import loaded
from tests.support.fake_docker import a_docker
from tests.support.images import a_tar, an_image, copied


def test_an_open_file_is_called_by_its_path(tmp_path: Path) -> None:
    with (tmp_path / "disk.raw").open("wb") as file:
        assert path_of(file.fileno()) == str(tmp_path / "disk.raw")
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        assert path_of(file.fileno()) == f"a temporary file in {tmp_path}"
    reading, writing = os.pipe()
    try:
        assert path_of(reading) == "a pipe"
    finally:
        os.close(reading)
        os.close(writing)
    assert path_of(reading) == "an open file"


def refuse(*_: object, **__: object) -> int:
    raise OSError(errno.EIO, "Input/output error")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk.raw").write_bytes(b"data")
    descriptor = os.open(tmp_path / "disk.raw", os.O_RDONLY)
    monkeypatch.setattr(os, "read", refuse)
    monkeypatch.setattr(os, "pread", refuse)
    try:
        for read in (read_chunks(descriptor), file_chunks(descriptor), read_range(descriptor, 0, 4)):
            with pytest.raises(LocalError, match=r"disk\.raw: Input/output error"):
                list(read)
    finally:
        monkeypatch.undo()
        os.close(descriptor)


def test_a_layout_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", refuse)
    monkeypatch.setattr(os, "ftruncate", refuse)

    with pytest.raises(LocalError) as caught:
        copied(an_image().tar_layer({"k": b"k" * 5000}).build(), open_sink(f"oci:{tmp_path}/l:x", Settings()))

    assert str(caught.value).startswith(f"{tmp_path}/l: ")


@pytest.mark.parametrize("in_containerd", [False, True])
def test_what_an_engine_saves_is_called_by_the_image(in_containerd: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, a_docker(Path(folder), in_containerd=in_containerd) as docker:
        loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
        docker.instead["GET get"] = lambda handler: handler.send(a_tar({"oci-layout": b"{}"} if in_containerd else {}))
        with open_source("docker-daemon:machine:1", docker.settings()) as source:
            files = source.filesystem()
            assert files is not None
            assert files.full_image().origin == "docker-daemon:machine:1"
            with pytest.raises(EciError) as caught:
                load_image(files.full_image())

    assert "/proc/" not in str(caught.value)
    assert "docker-daemon:machine:1" in str(caught.value)


def test_an_error_without_words_of_the_system_is_not_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> int:
        raise OSError("the drive is gone")

    monkeypatch.setattr(os, "open", refused)

    with pytest.raises(EciError, match="the drive is gone"), open_source(f"oci:{tmp_path}:x", Settings()) as source:
        source.resolve()
