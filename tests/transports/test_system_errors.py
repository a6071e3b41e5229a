"""What the system refuses while an image is written is said in one line; nothing is half there, and nothing is left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import EciError, LocalError
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.images import a_container, copied, files_in
from tests.support.programs import python

OLD, NEW = a_container("none").label("version", "old"), a_container("none").label("version", "new")
PLACES = {
    "oci": "oci:{}/layout:machine",
    "oci-archive": "oci-archive:{}/archive:machine",
    "docker-archive": "docker-archive:{}/archive:machine",
}
CALLS = ("open", "fsync", "pwrite", "ftruncate", "rename", "replace", "mkdir", "link", "listdir")


def version(reference: str) -> str:
    with open_source(reference, Settings()) as source:
        image = load_image(source)
        for layer in image.manifest.layers:
            load_document(source, layer)
        return image.config.labels["version"]


@contextmanager
def failing(call: str, number: int, code: int) -> Iterator[Callable[[], int]]:
    """Call number *number* of `os.CALL`, from 1, fails with *code*; gives how many calls there were."""
    real = getattr(os, call)
    seen = 0

    def faulty(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    setattr(os, call, faulty)
    try:
        yield lambda: seen
    finally:
        setattr(os, call, real)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("before", ["nothing", "an image"])
def test_a_fault_anywhere_leaves_the_old_image(tmp_path: Path, place: str, call: str, before: str) -> None:
    number = 0
    while True:
        number += 1
        directory = tmp_path / str(number)
        directory.mkdir()
        reference = PLACES[place].format(directory)
        if before == "an image":
            copied(OLD.build(), open_sink(reference, Settings()))
        there = files_in(directory)

        said: list[EciError] = []
        with failing(call, number, errno.EIO) as seen:
            try:
                copied(NEW.build(), open_sink(reference, Settings()))
            except LocalError as error:
                said.append(error)
        if seen() < number:
            break

        after = files_in(directory)
        if said:
            assert "Input/output error" in str(said[0])
            assert "\n" not in str(said[0])
            assert _named(after) == _named(there), f"{call} number {number}"
        if before == "an image":
            assert version(reference) == ("old" if said else "new"), f"{call} number {number}"
        copied(NEW.build(), open_sink(reference, Settings()))
        assert version(reference) == "new"
        assert not [name for name in files_in(directory) if ".part" in name]
    assert number > 1 or call in ("rename", "mkdir", "link", "listdir", "replace")


def _named(files: dict[str, bytes]) -> dict[str, bytes]:
    """All but blobs that nobody refers to."""
    return {name: blob for name, blob in files.items() if "blobs/" not in name and name != "layout/oci-layout"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.EXDEV])
@pytest.mark.parametrize("place", PLACES)
def test_whatever_the_system_says_is_said(tmp_path: Path, place: str, code: int) -> None:
    with failing("pwrite", 1, code), pytest.raises(LocalError, match=os.strerror(code)):
        copied(NEW.build(), open_sink(PLACES[place].format(tmp_path), Settings()))

    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from tests.transports.test_system_errors import NEW
from tests.support.images import copied
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
call, left = sys.argv[2], int(sys.argv[3])
real = getattr(os, call)
def deadly(*args, **kwargs):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
setattr(os, call, deadly)
copied(NEW.build(), open_sink(sys.argv[1], Settings()))
"""


@pytest.mark.parametrize(("call", "number"), [("pwrite", 2), ("fsync", 1), ("replace", 1), ("fsync", 2)])
@pytest.mark.parametrize("place", ["oci-archive", "docker-archive"])
def test_a_writer_of_an_archive_that_is_killed_leaves_the_old_one(
    tmp_path: Path, place: str, call: str, number: int
) -> None:
    reference = PLACES[place].format(tmp_path)
    copied(OLD.build(), open_sink(reference, Settings()))

    done = subprocess.run(python(KILLED, reference, call, str(number)), check=False, timeout=60)

    assert done.returncode in (0, -signal.SIGKILL)
    assert version(reference) == ("old" if (call, number) != ("fsync", 2) else "new")
    copied(NEW.build(), open_sink(reference, Settings()))
    assert version(reference) == "new"
    assert list(files_in(tmp_path)) == ["archive"]


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"x" * 1000
        raise KeyboardInterrupt

    for pattern in PLACES.values():
        with suppress(KeyboardInterrupt), open_sink(pattern.format(tmp_path), Settings()) as sink:
            sink.put("application/vnd.oci.image.layer.v1.tar", interrupted())
        assert list(tmp_path.iterdir()) == []
