"""`import eci_convert` and nothing below it: what users of the Go library pkg/registry do (docs/specs/eci.md#5)."""

from __future__ import annotations

import bz2
import gzip
import inspect
import io
import json
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert as eci
from eci_convert.transports.memory import MemorySink, MemoryStore
from tests.support.fake_registry.behaviour import cut
from tests.support.fake_registry.server import FaultyRegistry, a_registry
from tests.support.images import files_in

TERMS = eci.WriteOptions(platform=eci.Platform(os="linux", architecture="amd64"))
GZIP = eci.Codec.parse("gzip")
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
    with a_registry() as running:
        yield running


@pytest.fixture
def places(registry: FaultyRegistry, tmp_path: Path) -> dict[str, str]:
    return {"layout": f"oci:{tmp_path}/layout:machine", "registry": f"docker://{registry.host}/machine:1"}


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing prints."""
    yield
    assert capfd.readouterr() == ("", "")


def a_machine(folder: Path) -> eci.Artifact:
    """A part of each kind, from files and from memory."""
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "r.img").write_bytes(DISK)
    return eci.artifact_from_parts(
        kernel=folder / "vmlinuz",
        initrd=b"initrd",
        root=eci.Disk(content=str(folder / "r.img"), type=eci.DiskType.RAW),
        disks=[eci.Disk(content=b"data", name="data", type=eci.DiskType.RAW)],
        config=b'{"a":1}\n',
        others={"notes.txt": b"notes"},
    )


def push(machine: eci.Artifact, place: str, form: str = "artifacts", **settings: object) -> eci.PushResult:
    with eci.open_sink(place, eci.Settings(**settings)) as sink:  # type: ignore[arg-type]
        return eci.push(machine, sink, format=form, terms=TERMS, codec=GZIP)


def take(place: str, order: eci.ExtractRequest, **settings: object) -> eci.ExtractResult:
    with eci.open_source(place, eci.Settings(**settings)) as source:  # type: ignore[arg-type]
        return eci.extract(source, order)


# Push and pull


@pytest.mark.parametrize("place", ["layout", "registry"])
@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_what_is_pushed_is_pulled(places: dict[str, str], place: str, form: str, tmp_path: Path) -> None:
    packed = push(a_machine(tmp_path), places[place], form)

    taken = take(places[place], eci.ExtractRequest(directory=tmp_path / "out", config_blob=True))

    assert files_in(tmp_path / "out") == FILES
    assert taken.inspection.digest == packed.descriptor.digest
    assert {file.part.name: file.size for file in taken.files} == {name: len(text) for name, text in FILES.items()}


def test_a_machine_goes_from_place_to_place_and_is_checked(places: dict[str, str], tmp_path: Path) -> None:
    packed = push(a_machine(tmp_path), places["registry"], "legacy")
    with (
        eci.open_source(places["registry"], eci.Settings()) as source,
        eci.open_sink(places["layout"], eci.Settings()) as sink,
    ):
        copied = eci.copy(source, sink)
    with eci.open_source(places["layout"], eci.Settings()) as source:
        report = eci.verify_image(source)

    assert copied.descriptor.digest == packed.descriptor.digest
    assert report.good


# Parts that are known by their digest and size


class Catalogue(MemorySink):
    """A place of the user's own that need not be asked for bytes: it has every blob."""

    def has(self, blob: object) -> bool:
        return True


def test_a_manifest_is_made_of_digests_and_sizes() -> None:
    vectors = json.loads((Path(__file__).parent / "vectors/ironcore.json").read_bytes())["descriptors_only"]

    def known(name: str) -> eci.KnownBlob:
        return eci.KnownBlob(digest=eci.Digest.parse(vectors[name]["digest"]), size=vectors[name]["size"])

    machine = eci.artifact_from_parts(
        kernel=known("kernel"),
        initrd=known("initramfs"),
        root=eci.Disk(content=known("rootfs"), name="rootfs", type=eci.DiskType.RAW),
        command_line=vectors["commandLine"],
    )
    packed = eci.push(machine, Catalogue(MemoryStore()), format="onmetal", terms=TERMS, codec=GZIP)

    assert str(packed.descriptor.digest) == vectors["manifest"]["digest"]
    assert packed.descriptor.size == vectors["manifest"]["size"]


def test_a_registry_is_asked_for_what_is_known_and_sent_nothing_of_it(registry: FaultyRegistry) -> None:
    digest = eci.Digest.parse(str(registry.hold(DISK)))
    known = eci.Disk(content=eci.KnownBlob(digest=digest, size=len(DISK)), name="r.img", type=eci.DiskType.RAW)
    place = f"docker://{registry.host}/machine:1"

    packed = push(eci.artifact_from_parts(kernel=b"kernel", root=known), place)

    assert packed.bytes_reused == len(DISK)
    assert all(len(seen.body) < 10_000 for seen in registry.requests)
    disk = io.BytesIO()
    take(place, eci.ExtractRequest(roles={eci.Role.ROOT_DISK: disk}))
    assert disk.getvalue() == DISK


def test_a_registry_without_what_is_known_gets_no_image(registry: FaultyRegistry) -> None:
    known = eci.KnownBlob(digest=eci.Digest.of(b"nowhere"), size=7)
    with pytest.raises(eci.UnsupportedImageError, match="has no blob"):
        push(eci.artifact_from_parts(kernel=known), f"docker://{registry.host}/machine:1")
    assert not registry.manifests


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
    push(a_machine(tmp_path), places[place], form)
    root, disk = kind(), kind()

    take(places[place], eci.ExtractRequest(roles={eci.Role.ROOT_DISK: root}, disks={0: disk}))  # type: ignore[dict-item]

    assert b"".join(root.pieces) == DISK
    assert b"".join(disk.pieces) == b"data"


def test_paths_may_be_text(places: dict[str, str], tmp_path: Path) -> None:
    push(a_machine(tmp_path), places["layout"])
    take(places["layout"], eci.ExtractRequest(directory=f"{tmp_path}/out", roles={eci.Role.KERNEL: f"{tmp_path}/k"}))
    assert files_in(tmp_path / "out") | {"kernel": (tmp_path / "k").read_bytes()} == FILES


def test_outputs_of_the_standard_library(places: dict[str, str], tmp_path: Path) -> None:
    push(a_machine(tmp_path), places["layout"], "legacy")

    def root(output: object) -> None:
        take(places["layout"], eci.ExtractRequest(roles={eci.Role.ROOT_DISK: output}))  # type: ignore[dict-item]

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
    push(a_machine(tmp_path), places["layout"])
    ours, theirs = socket.socketpair()
    found = bytearray()

    def read() -> None:
        while piece := theirs.recv(1 << 16):
            found.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    ours.setblocking(False)
    with theirs, ours, open(ours.fileno(), "wb", buffering=0, closefd=False) as raw:
        take(places["layout"], eci.ExtractRequest(roles={eci.Role.ROOT_DISK: raw}))
        ours.shutdown(socket.SHUT_WR)
        reader.join()
    assert bytes(found) == DISK


def test_an_output_that_fails_is_this_computers_fault_and_leaves_no_file(
    places: dict[str, str], tmp_path: Path
) -> None:
    push(a_machine(tmp_path), places["layout"])
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(eci.LocalError, match="No space"):
        take(places["layout"], eci.ExtractRequest(directory=tmp_path / "out", roles={eci.Role.ROOT_DISK: full}))
    assert not (tmp_path / "out").exists()


# Manifests and configs


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_manifests_and_configs_are_read_alone(registry: FaultyRegistry, form: str, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    made = eci.artifact_from_parts(
        kernel=b"kernel", root=eci.Disk(content=b"disk" * 5000, name="r", type=eci.DiskType.RAW)
    )
    packed = push(made, place, form)
    registry.requests.clear()

    with eci.open_source(place, eci.Settings()) as source:
        image = eci.load_image(source)
        found = eci.inspect(source)

    assert image.manifest == packed.manifest == found.image.manifest
    assert image.platform == TERMS.platform
    assert [part.name for part in found.artifact.parts] == ["kernel", "disk-root-r"]
    read = {seen.path.rpartition("/")[2] for seen in registry.seen("/blobs/", "GET")}
    assert read == {str(image.manifest.config.digest)}


# Progress


class Ledger:
    """A reporter: what was begun, how many bytes went by, and what ended."""

    def __init__(self) -> None:
        self.begun: dict[str, int | None] = {}
        self.bytes: dict[str, int] = {}
        self.ended: list[str] = []
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None) -> None:
        with self._lock:
            self.begun[task] = total

    def advanced(self, task: str, count: int) -> None:
        with self._lock:
            self.bytes[task] = self.bytes.get(task, 0) + count

    def finished(self, task: str) -> None:
        with self._lock:
            self.ended.append(task)

    def warned(self, message: str) -> None:
        raise AssertionError(message)


def test_progress_is_told_to_a_reporter(places: dict[str, str], tmp_path: Path) -> None:
    pushed, pulled = Ledger(), Ledger()
    with eci.open_sink(places["registry"], eci.Settings(reporter=pushed)) as sink:
        eci.push(a_machine(tmp_path), sink, format="artifacts", terms=TERMS, codec=GZIP, reporter=pushed)
    with eci.open_source(places["registry"], eci.Settings(reporter=pulled)) as source:
        eci.extract(source, eci.ExtractRequest(directory=tmp_path / "out"), reporter=pulled)

    for ledger in (pushed, pulled):
        assert ledger.begun["disk-root-r.img"] == ledger.bytes["disk-root-r.img"] == len(DISK)
        assert sorted(ledger.ended) == sorted(ledger.begun)


# Failures


def test_a_cut_transfer_goes_on_and_nobody_is_told_but_the_reporter(registry: FaultyRegistry, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    registry.misbehave("PATCH", "/uploads/", hears=1 << 20)
    push(a_machine(tmp_path), place)
    registry.misbehave("GET", "/blobs/", cut(1 << 20))
    take(place, eci.ExtractRequest(directory=tmp_path / "out"))
    assert files_in(tmp_path / "out") == FILES


def test_failures_are_errors_and_not_exits(registry: FaultyRegistry, tmp_path: Path) -> None:
    place = f"docker://{registry.host}/machine:1"
    with pytest.raises(eci.NotFoundError):
        take(place, eci.ExtractRequest(directory=tmp_path / "out"))
    with pytest.raises(eci.UsageError):
        eci.open_source("nowhere://at all", eci.Settings())
    with pytest.raises(eci.UsageError):
        eci.artifact_from_parts()
    with pytest.raises(eci.NotFoundError):
        eci.artifact_from_parts(kernel=tmp_path / "vmlinuz")
    push(a_machine(tmp_path), place)
    for digest, content in list(registry.blobs.items()):
        registry.blobs[digest] = bytes(len(content))
    with pytest.raises(eci.IntegrityError):
        take(place, eci.ExtractRequest(directory=tmp_path / "out"))
    registry.users = {"me": PASSWORD}
    with pytest.raises(eci.AccessDeniedError):
        take(place, eci.ExtractRequest(directory=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert issubclass(eci.AccessDeniedError, eci.EciError)
    assert not issubclass(eci.EciError, SystemExit)


@pytest.mark.parametrize("bearer", [False, True])
def test_no_secret_is_logged_printed_or_in_an_error(
    registry: FaultyRegistry, bearer: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry.users, registry.bearer = {"me": PASSWORD}, bearer
    place = f"docker://{registry.host}/machine:1"
    machine = a_machine(tmp_path)

    push(machine, place, username="me", password=PASSWORD)
    take(place, eci.ExtractRequest(directory=tmp_path / "out"), username="me", password=PASSWORD)
    with pytest.raises(eci.AccessDeniedError) as caught:
        push(machine, place, username="me", password=PASSWORD + "!")

    assert files_in(tmp_path / "out") == FILES
    said = "\n".join([caplog.text, str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert PASSWORD not in said
    assert PASSWORD not in repr(eci.Settings(username="me", password=PASSWORD))


# Documentation


def test_the_example_of_oras_registry_runs(
    registry: FaultyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernel").write_bytes(b"kernel")
    text = inspect.getdoc(inspect.getmodule(eci.Registry)) or ""
    example = "".join(line[4:] for line in text.splitlines(keepends=True) if line.startswith("    "))

    exec(example.replace("localhost:5000", registry.host), {})  # noqa: S102

    assert b"kernel" in registry.blobs.values()


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in eci.__all__:
        if name != "__version__":
            assert getattr(eci, name).__doc__, name
    assert set(dir(eci)) == set(eci.__all__)
    with pytest.raises(AttributeError):
        _ = eci.nothing
