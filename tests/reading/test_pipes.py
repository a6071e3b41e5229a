"""What comes through a pipe is packed, or refused, as a file with the same bytes is; and is a file only where it has to
be."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from eci_convert.dialects import TAR_LAYERS, WRITERS
from eci_convert.disks.detect import HEAD
from eci_convert.errors import DiskTypeError, EciError, LocalError, UsageError
from eci_convert.model import Artifact, DiskType, LocalFile, Pipe, Role
from eci_convert.operations.push import PushRequest, push
from eci_convert.options import TransferOptions
from eci_convert.pack.result import PushResult
from eci_convert.reading.local_parts import Disk, DiskContent, PartContent, artifact_from_parts
from eci_convert.reading.pipes import prepared_pipes
from eci_convert.streams.blocks import PeekableStream
from eci_convert.transports.memory import MemorySink, MemoryStore
from tests.support.generate_readme_tables import holds
from tests.support.machines import PLAIN, TERMS
from tests.support.reporters import Listening

MIB = 1 << 20
SECTOR = bytes(510) + b"\x55\xaa"
QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(96)
BACKED = b"QFI\xfb\0\0\0\3" + (104).to_bytes(8, "big") + (4).to_bytes(4, "big") + bytes(84) + b"base"
VMDK = b'# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 8 FLAT "disk-flat.vmdk" 0\n'
VHD = b"conectix" + bytes(52) + (2).to_bytes(4, "big") + bytes(448)
DIFFERENCING = b"conectix" + bytes(52) + (4).to_bytes(4, "big") + bytes(448)
ISO = bytes(0x8001) + b"CD001"


def a_vhdx(has_parent: int) -> bytes:
    """A VHDX whose metadata, at its third MiB, says whether it has a parent (MS-VHDX 2.2.3 and 2.6.2.1)."""
    metadata = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    parameters = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
    table = b"regi" + bytes(4) + struct.pack("<II", 1, 0) + metadata + struct.pack("<QII", 2 * MIB, MIB, 1)
    entries = b"metadata" + struct.pack("<HH", 0, 1) + bytes(20) + parameters + struct.pack("<II", 65536, 8)
    region = entries + bytes(65536 - len(entries)) + struct.pack("<II", MIB, has_parent << 1)
    content = b"vhdxfile" + bytes(192 * 1024 - 8) + table
    return content + bytes(2 * MIB - len(content)) + region + bytes(MIB)


CONTENTS = {
    "qcow2": QCOW2,
    "backed": BACKED,
    "iso": ISO,
    "gzip": gzip.compress(b"disk"),
    "vmdk descriptor": VMDK,
    "boot sector": SECTOR,
    "nothing known": b"disk",
    "fixed vhd": bytes(512) + VHD,
    "fixed vhd that boots": SECTOR + VHD,
    "kernel": bytes(0x202) + b"HdrS",
    "initrd": b"070701",
    "vhdx": a_vhdx(0),
    "vhdx with a parent": a_vhdx(1),
    "differencing vhd": SECTOR + DIFFERENCING,
}
FOOTERS = {VHD, DIFFERENCING}
OTHER_ERRORS = {
    *(("vhdx with a parent", declared) for declared in (None, "raw", "vhd", "qcow2")),
    ("fixed vhd that boots", "qcow2"),
    ("differencing vhd", "qcow2"),
}
"""Kinds of which more than one thing is wrong, and declared types: the first bytes tell one, and all bytes another."""


def long(content: bytes) -> bytes:
    """The same, with so many bytes in the middle that its end is not among the first."""
    footer = next((each for each in FOOTERS if content.endswith(each)), b"")
    return content.removesuffix(footer) + bytes(HEAD) + footer


def a_pipe(content: bytes, label: str = "disk", *, cut: int = MIB) -> Pipe:
    chunks = [content[at : at + cut] for at in range(0, len(content), cut)]
    return Pipe(stream=PeekableStream(iter(chunks)), label=label, name=label)


def outcome(machine: Callable[[], Artifact], format: str, reporter: Listening) -> tuple[type, *tuple[object, ...]]:
    """The image that *machine* becomes, or the error."""
    store = MemoryStore()
    try:
        request = PushRequest(format=format, write=TERMS, codec=PLAIN)
        pushed = push(machine(), MemorySink(store), request, options=TransferOptions(reporter=reporter))
    except EciError as error:
        assert not store.names
        return type(error), str(error), getattr(error, "__notes__", [])
    return PushResult, pushed.descriptor, sorted(map(str, store.blobs))


@pytest.mark.parametrize(
    ("format", "declared", "trusted"),
    [
        *(("artifacts", declared, trusted) for declared in ("raw", "vhd", "qcow2") for trusted in (False, True)),
        *((each, None, False) for each in ("artifacts", "ironcore", "kubevirt", "containerdisk", "legacy")),
        ("kubevirt", "raw", False),
        ("legacy", "raw", False),
    ],
)
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_piped_disk_is_what_a_file_is(
    kind: str, format: str, declared: str | None, trusted: bool, tmp_path: Path
) -> None:
    for content in (CONTENTS[kind], long(CONTENTS[kind])):
        (tmp_path / "disk").write_bytes(content)
        heard, expected = Listening(), Listening()

        def machine(disk: DiskContent, reporter: Listening) -> Callable[[], Artifact]:
            root = Disk(disk, type=declared, name="disk", trust_declared_type=trusted)
            return lambda: artifact_from_parts(root=root, reporter=reporter)

        of_file = outcome(machine(LocalFile(path=tmp_path / "disk", label="disk"), expected), format, expected)
        of_pipe = outcome(machine(a_pipe(content), heard), format, heard)

        if (kind, declared) in OTHER_ERRORS and issubclass(of_file[0], EciError):
            assert issubclass(of_pipe[0], EciError)
        else:
            assert of_pipe == of_file
        assert heard.warnings == expected.warnings or issubclass(of_pipe[0], EciError)


@pytest.mark.parametrize("role", ["kernel", "initrd"])
@pytest.mark.parametrize("format", ["artifacts", "legacy"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_piped_boot_file_is_looked_at_as_a_file_is(kind: str, format: str, role: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENTS[kind])
    heard, expected = Listening(), Listening()

    def machine(file: PartContent, reporter: Listening) -> Callable[[], Artifact]:
        kernel, initrd = (file, None) if role == "kernel" else (None, file)
        return lambda: artifact_from_parts(kernel=kernel, initrd=initrd, reporter=reporter)

    of_pipe = outcome(machine(a_pipe(CONTENTS[kind], "-"), heard), format, heard)
    of_file = outcome(machine(LocalFile(path=tmp_path / "file", label="-"), expected), format, expected)

    assert of_pipe == of_file
    assert heard.warnings == expected.warnings


@pytest.mark.parametrize("kind", ["gzip", "backed", "vmdk descriptor", "qcow2"])
def test_a_disk_that_is_refused_is_refused_by_its_first_bytes(kind: str) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield long(CONTENTS[kind])
        while True:
            read += MIB
            yield bytes(MIB)

    pipe = Pipe(stream=PeekableStream(endless()), label="-", name="standard input")
    result = outcome(lambda: artifact_from_parts(root=Disk(pipe, type="raw", name="root")), "artifacts", Listening())

    assert issubclass(result[0], EciError)
    assert read == 0


def test_an_iso_is_where_ironcore_wants_one() -> None:
    store = MemoryStore()
    request = PushRequest(format="ironcore", write=TERMS, codec=PLAIN)

    push(artifact_from_parts(root=Disk(a_pipe(ISO), name="root")), MemorySink(store), request)

    assert any(b"application/vnd.ironcore.image.iso" in blob for blob in store.blobs.values())


# What is spooled


def fails_to_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")


@pytest.mark.parametrize("format", WRITERS)
def test_only_formats_of_archives_need_files(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_to_spool(monkeypatch)
    machine = artifact_from_parts(
        kernel=a_pipe(b"kernel") if holds(format, Role.KERNEL) else None,
        initrd=a_pipe(b"initrd") if holds(format, Role.INITRD) else None,
        root=Disk(a_pipe(SECTOR), type="raw", name="root") if holds(format, Role.ROOT_DISK) else None,
    )

    result = outcome(lambda: machine, format, Listening())

    assert (result[0] is LocalError) is (format in TAR_LAYERS)


def test_a_pipe_before_a_disk_whose_type_has_to_be_detected_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = artifact_from_parts(
        kernel=a_pipe(b"kernel"),
        root=Disk(a_pipe(QCOW2), name="root"),
        disks=[Disk(a_pipe(b"data"), type="raw", name="data")],
    )
    with prepared_pipes(machine, reporter=Listening()) as prepared:
        assert [type(part.locator) for part in prepared.parts] == [LocalFile, Pipe, Pipe]
        assert [part.disk_type for part in prepared.parts] == [None, DiskType.QCOW2, DiskType.RAW]
        assert isinstance(prepared.parts[0].locator, LocalFile)
        assert prepared.parts[0].locator.path.read_bytes() == b"kernel"


def test_two_pipes_of_which_nothing_has_to_be_detected_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_to_spool(monkeypatch)
    machine = artifact_from_parts(kernel=a_pipe(b"kernel"), root=Disk(a_pipe(b"data"), type="raw", name="root"))

    assert outcome(lambda: machine, "artifacts", Listening())[0] is PushResult


def test_a_type_that_the_last_bytes_may_tell_is_left_open() -> None:
    machine = artifact_from_parts(root=Disk(a_pipe(long(SECTOR)), name="root"))
    with prepared_pipes(machine, reporter=Listening()) as prepared:
        assert prepared.parts[0].disk_type is None


def test_all_are_files_where_an_engine_builds() -> None:
    machine = artifact_from_parts(kernel=a_pipe(b"kernel"), root=Disk(a_pipe(SECTOR), name="root"))
    with prepared_pipes(machine, reporter=Listening(), as_files=True) as prepared:
        assert all(isinstance(part.locator, LocalFile) for part in prepared.parts)
        assert prepared.parts[1].disk_type is DiskType.RAW


@pytest.mark.parametrize("error", [UsageError("standard input is empty"), LocalError("input/output error")])
def test_what_breaks_in_a_pipe_comes_out_as_it_is(error: EciError) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(MIB)
        raise error

    for declared in ("raw", None):
        pipe = Pipe(stream=PeekableStream(broken()), label="disk.raw", name="disk.raw")
        machine = artifact_from_parts(root=Disk(pipe, type=declared))
        result = outcome(lambda: machine, "artifacts", Listening())  # noqa: B023 - called at once
        assert result == (type(error), str(error), [])


def test_a_declared_type_is_not_looked_up_before_it_is_written() -> None:
    machine = artifact_from_parts(root=Disk(a_pipe(QCOW2), type="raw", name="root"))
    with prepared_pipes(machine, reporter=Listening()) as prepared:
        assert prepared == machine

    with pytest.raises(DiskTypeError, match="declared as raw"):
        push(machine, MemorySink(MemoryStore()), PushRequest(format="artifacts", write=TERMS, codec=PLAIN))
