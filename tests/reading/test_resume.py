"""What arrived of a big download is kept for the next run, and for nobody else."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from eci_convert.errors import DigestMismatchError, LimitExceededError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.extract import extract_files
from eci_convert.operations.output_files import OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.reading import resume
from eci_convert.reading.images import load_image
from eci_convert.reading.resume import MIN_RESUMABLE_SIZE, PartialDownloads, default_directory
from eci_convert.transports.base import SourceTraits
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import INITRD_TYPE, KERNEL_TYPE, ImageBuilder, an_image, files_in, parts

SIZE = 5 << 20
KERNEL = Random(1).randbytes(SIZE)


class Distant(MemorySource):
    """A source behind a network, which fails after *lasts* bytes of a blob, and counts what it sends."""

    traits = SourceTraits(resumable=True)

    def __init__(self, source: MemorySource, lasts: int | None = None) -> None:
        super().__init__(source.store, source.name)
        self.lasts = lasts
        self.sent = 0

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        with super().fetch(blob, skip) as chunks:
            yield self._counted(chunks) if blob.size >= MIN_RESUMABLE_SIZE else chunks

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self.lasts is not None and self.sent >= self.lasts:
                self.failed()
            self.sent += len(chunk)
            yield chunk

    def failed(self) -> None:
        raise TransportError("the network is gone")


def a_kernel(blob: bytes = KERNEL) -> ImageBuilder:
    return an_image().layer(KERNEL_TYPE, blob, role="kernel", title="kernel")


def pull(source: Distant, directory: Path, cache: Path | None = None, max_size: int | None = None) -> None:
    targets = [OutputTarget(part=part, path=directory / "out" / part.name) for part in parts(source)]
    extract_files(
        source,
        load_image(source),
        targets,
        options=TransferOptions(resume_directory=cache or directory / "cache", max_size=max_size),
    )


def test_a_download_that_broke_goes_on_where_it_broke(tmp_path: Path) -> None:
    image = a_kernel().build()
    with pytest.raises(TransportError, match="the network is gone"):
        pull(Distant(image, lasts=3 << 20), tmp_path)

    second = Distant(image)
    pull(second, tmp_path)

    assert second.sent == SIZE - (3 << 20)
    assert files_in(tmp_path) == {"out/kernel": KERNEL}


def test_a_process_that_was_killed_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        from pathlib import Path
        from tests.reading.test_resume import Distant, a_kernel, pull
        Distant.failed = lambda self: os.kill(os.getpid(), signal.SIGKILL)
        pull(Distant(a_kernel().build(), lasts=3 << 20), Path(sys.argv[1]))
    """
    paths = os.pathsep.join(path for path in (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")) if path)
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=os.environ | {"PYTHONPATH": paths}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "kernel").exists()

    second = Distant(a_kernel().build())
    pull(second, tmp_path)

    assert second.sent == SIZE - (3 << 20)
    assert files_in(tmp_path) == {"out/kernel": KERNEL}


def test_blobs_that_were_whole_are_not_asked_for_again(tmp_path: Path) -> None:
    image = a_kernel().layer(INITRD_TYPE, KERNEL[::-1], role="initrd", title="initrd").build()
    with pytest.raises(TransportError, match="the network is gone"):
        pull(Distant(image, lasts=SIZE + (1 << 20)), tmp_path)

    second = Distant(image)
    pull(second, tmp_path)

    assert second.sent == SIZE - (1 << 20)
    assert files_in(tmp_path) == {"out/kernel": KERNEL, "out/initrd": KERNEL[::-1]}


@pytest.mark.parametrize("format", ["keep", "artifacts", "legacy"])
def test_a_copy_that_broke_goes_on_where_it_broke(tmp_path: Path, format: str) -> None:
    image = (
        a_kernel()
        .tar_layer({"initrd": KERNEL[::-1]}, role="initrd", title="initrd")
        .tar_layer({"root.qcow2": b"QFI\xfb\0\0\0\3" + KERNEL}, role="disk-root", title="root.qcow2")
    ).build()
    cache = tmp_path / "cache"
    with pytest.raises(TransportError, match="the network is gone"):
        copy(
            Distant(image, lasts=2 * SIZE + (1 << 20)),
            MemorySink(MemoryStore()),
            CopyRequest(format=format),
            options=TransferOptions(resume_directory=cache),
        )
    assert files_in(cache)

    second, sink = Distant(image), MemorySink(MemoryStore())
    copy(second, sink, CopyRequest(format=format), options=TransferOptions(resume_directory=cache))

    assert second.sent < 2 * SIZE
    assert not files_in(cache)
    assert len(parts(MemorySource(sink.store))) == 3


def test_what_is_kept_is_not_trusted(tmp_path: Path) -> None:
    image = a_kernel().build()
    with pytest.raises(TransportError, match="the network is gone"):
        pull(Distant(image, lasts=3 << 20), tmp_path)
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_bytes(bytes(3 << 20))

    with pytest.raises(DigestMismatchError) as caught:
        pull(Distant(image), tmp_path)
    assert "run the command again" in caught.value.__notes__[-1]
    pull(Distant(image), tmp_path)

    assert files_in(tmp_path) == {"out/kernel": KERNEL}


def test_nothing_is_kept_of_what_is_of_no_use(tmp_path: Path) -> None:
    with pytest.raises(LimitExceededError, match="larger than the limit of 1048576 bytes"):
        pull(Distant(a_kernel().build()), tmp_path, max_size=1 << 20)
    pull(Distant(a_kernel(b"small").build(), lasts=0), tmp_path)

    assert files_in(tmp_path / "cache") == {}


def test_what_is_kept_is_for_one_process_at_a_time_and_for_this_user(tmp_path: Path) -> None:
    image = a_kernel().build()
    [layer] = load_image(image).manifest.layers
    with PartialDownloads(tmp_path / "cache") as first, PartialDownloads(tmp_path / "cache") as second:
        assert first.partial(layer)
        assert second.partial(layer) is None
        assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
        [kept] = (tmp_path / "cache").iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600


def test_a_link_or_a_pipe_in_the_place_of_what_is_kept_is_left_alone(tmp_path: Path) -> None:
    image = a_kernel().build()
    [layer] = load_image(image).manifest.layers
    (tmp_path / "cache").mkdir()
    (tmp_path / "mine").write_bytes(b"mine")
    place = tmp_path / "cache" / f"sha256-{layer.digest.hex}"

    for put in (
        lambda: place.symlink_to(tmp_path / "mine"),
        lambda: os.link(tmp_path / "mine", place),
        lambda: os.mkfifo(place),
    ):
        put()  # type: ignore[no-untyped-call]
        pull(Distant(image), tmp_path)
        place.unlink()

    assert files_in(tmp_path) == {"mine": b"mine", "out/kernel": KERNEL}


def test_where_nothing_can_be_kept_everything_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    pull(Distant(a_kernel().build()), tmp_path, cache=tmp_path / "file" / "cache")

    assert files_in(tmp_path) == {"file": b"", "out/kernel": KERNEL}


def test_a_fast_link_has_only_its_beginning_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_ALWAYS_KEPT_BYTES", 2 << 20)
    monkeypatch.setattr(resume, "_SLOW_LINK_BPS", 1)
    image = a_kernel().build()
    with pytest.raises(TransportError, match="the network is gone"):
        pull(Distant(image, lasts=4 << 20), tmp_path)

    assert [len(kept) for kept in files_in(tmp_path / "cache").values()] == [2 << 20]


def test_what_was_forgotten_is_removed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "sha256-old").write_bytes(b"")
    os.utime(tmp_path / "cache" / "sha256-old", (0, 0))

    pull(Distant(a_kernel().build()), tmp_path)

    assert files_in(tmp_path / "cache") == {}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, Path("/c/eci-convert/partial")),
        ({"HOME": "/h"}, Path("/h/.cache/eci-convert/partial")),
        ({"HOME": ""}, Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache/eci-convert/partial")),  # as Go finds it
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, Path("/h/.cache/eci-convert/partial")),
        ({}, None),
    ],
)
def test_the_place_is_where_the_environment_says(environ: dict[str, str], expected: Path | None) -> None:
    assert default_directory(environ) == expected
