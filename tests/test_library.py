"""`import eci_convert` and nothing below it: what a program does that uses the library."""

from __future__ import annotations

import bz2
import gzip
import inspect
import io
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eci_convert as ec
from eci_convert.testing import FaultyRegistry, cut, refusal, run_registry
from tests.support.images import files_in

PASSWORD = "c0rrect-horse"
DISK = os.urandom(3 << 20) + bytes(2 << 20)
FILES = {
    "kernel": b"kernel",
    "initrd": b"initrd",
    "disk-root-r.img": DISK,
    "disk-0-data": b"data",
    "config.json": b'{"a":1}\n',
    "notes.txt": b"notes",
}


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with run_registry() as running:
        yield running


@pytest.fixture
def places(registry: FaultyRegistry, tmp_path: Path) -> dict[str, str]:
    return {"layout": f"oci:{tmp_path}/layout:machine", "registry": f"docker://{registry.host}/machine:1"}


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing prints."""
    yield
    assert capfd.readouterr() == ("", "")


def a_machine(folder: Path) -> ec.Machine:
    """A part of each kind, from files and from memory."""
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "r.img").write_bytes(DISK)
    return ec.Machine(
        kernel=folder / "vmlinuz",
        initrd=b"initrd",
        root=ec.Disk(str(folder / "r.img"), type="raw"),
        disks=[ec.Disk(b"data", type=ec.DiskType.RAW, name="data")],
        config=b'{"a":1}\n',
        files={"notes.txt": b"notes"},
    )


# Push and pull


@pytest.mark.parametrize("place", ["layout", "registry"])
@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_what_is_pushed_is_extracted(places: dict[str, str], place: str, form: str, tmp_path: Path) -> None:
    pushed = ec.push(a_machine(tmp_path), places[place], format=form, platform="linux/arm64", compression="zstd:3")

    result = ec.extract(pushed.reference, tmp_path / "out")

    assert files_in(tmp_path / "out") == FILES
    assert result.inspection.digest == pushed.digest
    assert form == "artifacts" or result.inspection.platforms == (ec.Platform.parse("linux/arm64"),)
    assert {part.name: (part.size, part.digest) for part in result.parts} == {
        name: (len(text), ec.Digest.of(text)) for name, text in FILES.items()
    }
    assert [part.path for part in result.parts] == [tmp_path / "out" / name for name in FILES]


def test_what_is_there_is_not_sent_again(places: dict[str, str], tmp_path: Path) -> None:
    first = ec.push(a_machine(tmp_path), places["registry"], format="legacy")
    again = ec.push(a_machine(tmp_path), places["registry"], format="legacy")

    assert again.digest == first.digest
    assert first.bytes_sent > len(DISK) // 2
    assert again.bytes_reused > len(DISK) // 2 > again.bytes_sent


def test_a_layout_without_a_name_is_read_by_its_digest(tmp_path: Path) -> None:
    pushed = ec.push(ec.Machine(kernel=b"kernel"), f"oci:{tmp_path}/layout")
    ec.push(ec.Machine(kernel=b"other"), f"oci:{tmp_path}/layout")

    assert ec.inspect(pushed.reference).digest == pushed.digest


def test_a_machine_goes_from_place_to_place_and_is_checked(places: dict[str, str], tmp_path: Path) -> None:
    pushed = ec.push(a_machine(tmp_path), places["registry"], format="legacy")
    copied = ec.copy(places["registry"], places["layout"])
    report = ec.verify(places["layout"])

    assert copied.digest == pushed.digest
    assert report.ok
    assert report.problems == ()
    assert ec.verify(copied.reference, tmp_path).problems[0].subject.endswith("kernel")


def test_a_dry_run_says_what_would_be_and_writes_nothing(places: dict[str, str], tmp_path: Path) -> None:
    would_be = ec.push(a_machine(tmp_path), places["layout"], dry_run=True)
    assert not (tmp_path / "layout").exists()
    assert ec.push(a_machine(tmp_path), places["layout"]) == would_be


def test_all_platforms_are_copied(places: dict[str, str], tmp_path: Path) -> None:
    ec.push(ec.Machine(kernel=b"kernel", initrd=b"initrd"), places["registry"], format="legacy")
    with pytest.raises(ec.UsageError, match="is not a platform"):
        ec.copy(places["registry"], places["layout"], platform="everything")
    ec.copy(places["registry"], places["layout"], platform="all", format="ironcore")
    assert ec.inspect(places["layout"]).dialect == "ironcore"


def test_a_copy_falls_back_where_a_registry_refuses_an_artifact_type(
    registry: FaultyRegistry, places: dict[str, str], tmp_path: Path
) -> None:
    ec.push(a_machine(tmp_path), places["layout"])
    registry.misbehave("PUT", "/manifests/", refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
    copied = ec.copy(places["layout"], places["registry"], format="artifacts")
    assert ec.extract(copied.reference, tmp_path / "out").inspection.dialect == "eci-artifacts"


# Parts: where they come from


def test_content_is_a_path_bytes_or_anything_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"kernel")
    (tmp_path / "data.raw").write_bytes(b"skipped" + DISK)
    unnamed = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    unnamed.write(b"initrd")
    unnamed.seek(0)
    with (tmp_path / "vmlinuz").open("rb") as kernel, (tmp_path / "data.raw").open("rb") as data, unnamed:
        data.seek(7)
        machine = ec.Machine(
            kernel=kernel, initrd=unnamed, root=ec.Disk(data, type="raw"), config=io.BytesIO(b'{"a":1}\n')
        )
        ec.push(machine, f"oci:{tmp_path}/layout:machine")
    ec.extract(f"oci:{tmp_path}/layout:machine", tmp_path / "out")
    expected = {"kernel": b"kernel", "initrd": b"initrd", "disk-root-data.raw": DISK, "config.json": b'{"a":1}\n'}
    assert files_in(tmp_path / "out") == expected


def test_a_file_that_cannot_seek_is_read_as_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OnlyRead:
        def __init__(self, content: bytes) -> None:
            self._file = io.BytesIO(content)
            self.taken = 0

        def read(self, count: int) -> bytes:
            self.taken += 1
            return self._file.read(min(count, 1000))

    monkeypatch.setenv("TMPDIR", "/nowhere")
    start, end = os.pipe()
    with open(end, "wb") as writer:
        writer.write(b"kernel")
    source: Any = OnlyRead(DISK)
    with open(start, "rb") as kernel:
        machine = ec.Machine(kernel=kernel, root=ec.Disk(source, type="raw", name="r.img"))
        assert machine.part_names() == ("kernel", "disk-root-r.img")
        assert source.taken == 0
        ec.push(machine, f"oci:{tmp_path}/layout:machine")

    ec.extract(f"oci:{tmp_path}/layout:machine", tmp_path / "out")
    assert files_in(tmp_path / "out") == {"kernel": b"kernel", "disk-root-r.img": DISK}


def test_a_file_that_cannot_seek_nor_wait_is_an_error(tmp_path: Path) -> None:
    start, end = os.pipe()
    os.set_blocking(start, False)
    with (
        open(start, "rb", buffering=0) as kernel,
        open(end, "wb"),
        pytest.raises(ec.LocalError, match="non-blocking"),
    ):
        ec.push(ec.Machine(kernel=kernel), f"oci:{tmp_path}/layout:machine")
    assert files_in(tmp_path) == {}


def test_the_type_of_bytes_is_seen_as_that_of_a_file_is(tmp_path: Path) -> None:
    qcow2 = b"QFI\xfb\0\0\0\x03".ljust(600, b"\0")
    ec.push(ec.Machine(root=qcow2), f"oci:{tmp_path}/layout:machine")
    [part] = ec.inspect(f"oci:{tmp_path}/layout:machine").parts
    assert (part.role, part.type, part.size, part.digest) == ("disk-root", "qcow2", 600, ec.Digest.of(qcow2))
    with pytest.raises(ec.UsageError, match="could be any type of disk"):
        ec.push(ec.Machine(root=b"anything"), f"oci:{tmp_path}/layout:machine")


def test_a_registry_is_asked_for_what_is_known_and_sent_nothing_of_it(registry: FaultyRegistry) -> None:
    digest = registry.hold(DISK)
    root = ec.Disk(ec.RemoteBlob(digest, len(DISK)), name="r.img", type="raw")
    place = f"docker://{registry.host}/machine:1"

    pushed = ec.push(ec.Machine(kernel=b"kernel", root=root), place)

    assert pushed.bytes_reused == len(DISK)
    assert all(len(seen.body) < 10_000 for seen in registry.requests)
    disk = io.BytesIO()
    ec.extract(place, root=disk)
    assert disk.getvalue() == DISK


def test_a_registry_without_what_is_known_gets_no_image(registry: FaultyRegistry) -> None:
    known = ec.RemoteBlob(ec.Digest.of(b"nowhere"), 7)
    with pytest.raises(ec.MissingPartError, match="has no blob"):
        ec.push(ec.Machine(kernel=known), f"docker://{registry.host}/machine:1")
    assert not registry.manifests


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ({"format": "artefacts"}, "artifacts, legacy"),
        ({"platform": "arm64"}, "OS/ARCH"),
        ({"compression": "lz4"}, "gzip"),
        ({"also": ["kernel"]}, "containerdisk"),
    ],
)
def test_an_unknown_word_is_an_error_that_lists_the_known_ones(
    words: dict[str, str], known: str, tmp_path: Path
) -> None:
    with pytest.raises(ec.UsageError, match=known):
        ec.push(ec.Machine(kernel=b"k"), f"oci:{tmp_path}/layout:x", **{"format": "legacy", **words})  # type: ignore[arg-type]


def test_unknown_words_elsewhere_are_errors_that_list_the_known_ones(tmp_path: Path) -> None:
    place = ec.push(ec.Machine(kernel=b"k"), f"oci:{tmp_path}/layout:x").reference
    with pytest.raises(ec.UsageError, match="qcow2"):
        ec.push(ec.Machine(root=ec.Disk(b"d", type="qcow3", name="d")), place)
    with pytest.raises(ec.UsageError, match="kernel"):
        ec.extract(place, tmp_path / "out", only=["kernal"])
    with pytest.raises(ec.UsageError, match="keep, artifacts"):
        ec.copy(place, place, format="kept")
    with pytest.raises(ec.UsageError, match="ironcore"):
        ec.open_image(place, dialect="iron")
    with pytest.raises(ec.UsageError, match="docker://"):
        ec.push(ec.Machine(kernel=b"k"), "registry.example/a:1")


# An open image


@pytest.mark.parametrize("place", ["layout", "registry"])
@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_an_open_image_says_what_it_is_and_gives_its_parts(
    places: dict[str, str], place: str, form: str, tmp_path: Path
) -> None:
    pushed = ec.push(a_machine(tmp_path), places[place], format=form, annotations={"a": "b"}, platform="linux/amd64")

    with ec.open_image(places[place]) as image:
        assert image.digest == pushed.digest
        assert image.dialects[0] == f"eci-{form}"
        assert image.annotations["a"] == "b"
        assert [str(platform) for platform in image.platforms] == (["linux/amd64"] if form == "legacy" else [])
        assert [part.name for part in image.parts] == list(FILES)
        assert (image.kernel.name, image.root.type, image.disks[0].index) == ("kernel", ec.DiskType.RAW, 0)
        for part in image.parts:
            with image.open(part) as stream:
                assert stream.read() == FILES[part.name]
        with image.open(image.root) as stream:
            assert stream.readable()
            assert stream.read(512) == DISK[:512]
            assert stream.read(100_000) == DISK[512:100_512]
            assert not stream.seekable()


def test_a_part_that_is_read_in_part_is_verified_when_it_is_closed(
    registry: FaultyRegistry, places: dict[str, str], tmp_path: Path
) -> None:
    ec.push(a_machine(tmp_path), places["registry"])
    digest = str(ec.Digest.of(DISK))
    registry.blobs[digest] = DISK[:-1] + b"!"

    with ec.open_image(places["registry"]) as image:
        stream = image.open(image.root)
        assert stream.read(512) == DISK[:512]
        with pytest.raises(ec.DigestMismatchError):
            stream.close()
        assert stream.closed
        with pytest.raises(ec.DigestMismatchError), image.open(image.root) as stream:
            stream.read()
        with pytest.raises(KeyError) as caught, image.open(image.root) as stream:
            raise KeyError(stream.read(1))
        assert caught.value.args == (DISK[:1],)


def test_any_file_of_a_container_image_can_be_listed_and_read(places: dict[str, str], tmp_path: Path) -> None:
    ec.push(a_machine(tmp_path), places["registry"], format="legacy")
    with ec.open_image(places["registry"]) as image:
        assert image.read("/kernel") == b"kernel"
        assert [(entry.path, entry.size) for entry in image.files("/k*")] == [("/kernel", 6)]
        assert {entry.path for entry in image.files()} == {f"/{name}" for name in FILES}
        with pytest.raises(ec.MissingPartError, match="etc/passwd"):
            image.read("/etc/passwd")
        with pytest.raises(ec.LimitExceededError, match=r"limit|larger than"):
            image.read("/disk-root-r.img", max_size=1000)


def test_an_image_without_a_part_says_which_it_has(tmp_path: Path) -> None:
    place = ec.push(
        ec.Machine(kernel=b"k", cmdline="console=ttyS0"), f"oci:{tmp_path}/l:x", format="ironcore"
    ).reference
    with ec.open_image(place) as image:
        assert image.cmdline == "console=ttyS0"
        with pytest.raises(ec.MissingPartError, match="no initrd: it has kernel"):
            _ = image.initrd


# Outputs


class Writes:
    """All that an output needs. It keeps what it is given, and does not say how much that is."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        assert isinstance(piece, bytes)
        self.pieces.append(piece)


class Takes(Writes):
    """Only so much at a time."""

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self.pieces.append(piece[:1000])
        return len(self.pieces[-1])


@pytest.mark.parametrize("kind", [Writes, Takes])
@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("place", ["layout", "registry"])
def test_an_output_is_whatever_takes_bytes(
    places: dict[str, str], place: str, form: str, kind: type[Writes], tmp_path: Path
) -> None:
    ec.push(a_machine(tmp_path), places[place], format=form)
    root, disk = kind(), kind()

    ec.extract(places[place], root=root, disks={0: disk})  # type: ignore[arg-type,dict-item]

    assert b"".join(root.pieces) == DISK
    assert b"".join(disk.pieces) == b"data"


def test_paths_may_be_text(places: dict[str, str], tmp_path: Path) -> None:
    ec.push(a_machine(tmp_path), places["layout"])
    ec.extract(places["layout"], f"{tmp_path}/out", kernel=f"{tmp_path}/k")
    assert files_in(tmp_path / "out") | {"kernel": (tmp_path / "k").read_bytes()} == FILES


def test_outputs_of_the_standard_library(places: dict[str, str], tmp_path: Path) -> None:
    ec.push(a_machine(tmp_path), places["layout"], format="legacy")

    def root(output: object) -> None:
        ec.extract(places["layout"], root=output)  # type: ignore[arg-type]

    with gzip.open(tmp_path / "root.gz", "wb") as gzipped:
        root(gzipped)
    with bz2.open(tmp_path / "root.bz2", "wb") as bzipped:
        root(bzipped)
    with tempfile.SpooledTemporaryFile() as spooled, tempfile.NamedTemporaryFile() as named:
        for file in (spooled, named):
            file.write(b"before ")
            root(file)
            file.seek(0)
            assert file.read() == b"before " + DISK
    assert gzip.decompress((tmp_path / "root.gz").read_bytes()) == DISK
    assert bz2.decompress((tmp_path / "root.bz2").read_bytes()) == DISK


def test_an_output_that_does_not_wait_is_waited_for(places: dict[str, str], tmp_path: Path) -> None:
    ec.push(a_machine(tmp_path), places["layout"])
    ours, theirs = socket.socketpair()
    found = bytearray()

    def read() -> None:
        while piece := theirs.recv(1 << 16):
            found.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    ours.setblocking(False)
    with theirs, ours, open(ours.fileno(), "wb", buffering=0, closefd=False) as raw:
        ec.extract(places["layout"], root=raw)
        ours.shutdown(socket.SHUT_WR)
        reader.join()
    assert bytes(found) == DISK


def test_an_output_that_fails_is_this_computers_fault_and_leaves_no_file(
    places: dict[str, str], tmp_path: Path
) -> None:
    ec.push(a_machine(tmp_path), places["layout"])
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(ec.LocalError, match="No space"):
        ec.extract(places["layout"], tmp_path / "out", root=full)
    assert not (tmp_path / "out").exists()


# Manifests and configs


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_manifests_and_configs_are_read_alone(registry: FaultyRegistry, form: str) -> None:
    place = f"docker://{registry.host}/machine:1"
    machine = ec.Machine(kernel=b"kernel", root=ec.Disk(b"disk" * 5000, name="r", type="raw"))
    pushed = ec.push(machine, place, format=form, platform="linux/amd64")
    registry.requests.clear()

    found = ec.inspect(place)

    assert found.image.manifest == pushed.manifest
    assert found.platforms == (ec.Platform.parse("linux/amd64"),)
    assert [part.name for part in found.parts] == ["kernel", "disk-root-r"]
    read = {seen.path.rpartition("/")[2] for seen in registry.seen("/blobs/", "GET")}
    assert read == {str(found.image.manifest.config.digest)}


# Progress


class Ledger:
    """A reporter of the user's own."""

    def __init__(self) -> None:
        self.done: dict[str, list[int]] = {}
        self.totals: dict[str, int | None] = {}
        self.ended: list[str] = []

    def started(self, task: str, total: int | None) -> None:
        self.done[task] = [0]
        self.totals[task] = total

    def advanced(self, task: str, count: int) -> None:
        self.done[task].append(self.done[task][-1] + count)

    def finished(self, task: str) -> None:
        self.ended.append(task)

    def warned(self, message: str) -> None:
        raise AssertionError(message)


def test_a_reporter_is_told_of_all_bytes(places: dict[str, str], tmp_path: Path) -> None:
    pushed, pulled = Ledger(), Ledger()
    ec.push(a_machine(tmp_path), places["registry"], progress=pushed)
    ec.extract(places["registry"], tmp_path / "out", progress=pulled)

    for ledger in (pushed, pulled):
        done = ledger.done["disk-root-r.img"]
        assert (done[0], done[-1], ledger.totals["disk-root-r.img"]) == (0, len(DISK), len(DISK))
        assert done == sorted(done)
        assert sorted(ledger.ended) == sorted(ledger.done)


def test_plain_progress_writes_lines_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines = io.StringIO()
    progress = ec.PlainProgress(lines)
    progress.started("disk", 2048)
    progress.warned("odd \x1b[31m")
    now = 102.0
    progress.advanced("disk", 1024)
    progress.finished("disk")
    progress.close()
    assert lines.getvalue().splitlines() == [
        "eci-convert: warning: odd \\x1b[31m",
        "eci-convert: + disk  2.0 KiB in 2 s, 1.0 KiB/s",
    ]


def test_rich_progress_draws_nothing_in_the_first_second(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    with ec.RichProgress() as progress:
        ec.push(ec.Machine(kernel=b"kernel"), places["layout"], progress=progress)


# Failures


def test_a_cut_transfer_goes_on(registry: FaultyRegistry, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    registry.misbehave("PATCH", "/uploads/", hears=1 << 20)
    ec.push(a_machine(tmp_path), place)
    registry.misbehave("GET", "/blobs/", cut(1 << 20))
    ec.extract(place, tmp_path / "out")
    assert files_in(tmp_path / "out") == FILES


def test_failures_are_errors_and_not_exits(registry: FaultyRegistry, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    with pytest.raises(ec.NotFoundError) as missing:
        ec.extract(place, tmp_path / "out")
    with pytest.raises(ec.UsageError, match="unknown transport 'nowhere://'"):
        ec.open_image("nowhere://at all")
    with pytest.raises(ec.UsageError, match="needs at least one part"):
        ec.Machine()
    with pytest.raises(ec.NotFoundError):
        ec.push(ec.Machine(kernel=tmp_path / "vmlinuz"), place)
    ec.push(a_machine(tmp_path), place)
    for digest, content in list(registry.blobs.items()):
        registry.blobs[digest] = bytes(len(content))
    with pytest.raises(ec.IntegrityError) as wrong:
        ec.extract(place, tmp_path / "out")
    registry.users = {"me": PASSWORD}
    with pytest.raises(ec.AccessDeniedError) as denied:
        ec.extract(place, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [caught.value.exit_code for caught in (missing, wrong, denied)] == [4, 6, 5]


def test_an_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ec.CannotHoldError) as caught:
        ec.push(ec.Machine(kernel=b"kernel"), f"docker-archive:{tmp_path}/a.tar:x")
    assert caught.value.hint == 'use format="legacy"'
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("bearer", [False, True])
def test_no_secret_is_logged_printed_or_in_an_error(
    registry: FaultyRegistry, bearer: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry.users, registry.bearer = {"me": PASSWORD}, bearer
    place = f"docker://{registry.host}/machine:1"
    options = ec.Options(username="me", password=PASSWORD)

    ec.push(a_machine(tmp_path), place, options=options)
    ec.extract(place, tmp_path / "out", options=options)
    with pytest.raises(ec.AccessDeniedError) as caught:
        ec.push(a_machine(tmp_path), place, options=ec.Options(username="me", password=PASSWORD + "!"))

    assert files_in(tmp_path / "out") == FILES
    said = "\n".join([caplog.text, str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert PASSWORD not in said
    assert PASSWORD not in repr(options)


def test_the_environment_is_read_without_a_word(
    registry: FaultyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `docker login` has stored."""
    registry.users = {"me": PASSWORD}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    auth = {"username": "me", "password": PASSWORD}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: auth}}))
    place = f"docker://{registry.host}/machine:1"

    ec.push(ec.Machine(kernel=b"kernel"), place)
    with pytest.raises(ec.AccessDeniedError):
        ec.inspect(place, options=ec.Options(environ={}))


# Documentation


def test_the_example_of_oras_registry_runs(
    registry: FaultyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernel").write_bytes(b"kernel")
    text = inspect.getdoc(inspect.getmodule(ec.Registry)) or ""
    example = "".join(line[4:] for line in text.splitlines(keepends=True) if line.startswith("    "))

    exec(example.replace("localhost:5000", registry.host), {})  # noqa: S102

    assert b"kernel" in registry.blobs.values()


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    assert ec.__all__ == dir(ec)
    for name in ec.__all__:
        if name != "__version__":
            assert getattr(ec, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ec.nothing


def test_every_error_is_exported() -> None:
    from eci_convert import errors

    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds <= set(ec.__all__)


def test_importing_the_library_imports_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import eci_convert; print(*set(sys.modules) - before)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(output.stdout.split()) <= {"eci_convert", "eci_convert._version", "__future__"}


SCRIPT = """
import io
from pathlib import Path
from typing import BinaryIO

import eci_convert as ec


class Quiet:
    def started(self, task: str, total: int | None) -> None: ...
    def advanced(self, task: str, count: int) -> None: ...
    def finished(self, task: str) -> None: ...
    def warned(self, message: str) -> None: ...


def convert(kernel: Path, disk: BinaryIO, where: str) -> tuple[ec.Digest, list[tuple[str, int | None]]]:
    reporter: ec.Reporter = Quiet()
    machine = ec.Machine(kernel=kernel, initrd=b"", root=disk, disks=[ec.Disk("d", type="raw"), "e.qcow2"])
    pushed: ec.PushResult = ec.push(machine, where, format="legacy", platform="linux/arm64", progress=reporter)
    with ec.open_image(pushed.reference, options=ec.Options(retries=1)) as image:
        with image.open(image.kernel) as stream:
            head: bytes = stream.read(512)
        names = [(entry.path, entry.size) for entry in image.files("/boot/*")]
        parts: list[tuple[str, int | None]] = [(part.name, part.size) for part in image.parts]
    try:
        result: ec.ExtractResult = ec.extract(where, kernel="k", root=io.BytesIO(), disks={0: Path("d")})
    except ec.IntegrityError as error:
        raise SystemExit(f"{error} {error.hint}") from error
    report: ec.Report = ec.verify(where)
    return pushed.digest if report.ok else ec.Digest.of(head), parts
"""


def test_a_users_script_is_checked_by_a_strict_type_checker(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mypy = pytest.importorskip("mypy.api")
    (tmp_path / "script.py").write_text(SCRIPT)
    package = Path(ec.__file__).parent.parent
    configuration = tmp_path / "mypy.ini"
    path = "" if package.name == "site-packages" else f"mypy_path = {package}\n"  # where mypy looks anyhow, and says so
    configuration.write_text(f"[mypy]\nstrict = True\n{path}follow_imports = silent\n")
    arguments = [
        "--config-file",
        str(configuration),
        "--cache-dir",
        str(tmp_path / "cache"),
        str(tmp_path / "script.py"),
    ]
    output, problems, status = mypy.run(arguments)
    assert (status, problems) == (0, ""), output
