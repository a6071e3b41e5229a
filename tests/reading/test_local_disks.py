"""Tests of local_disks.py: blank, compressed and incomplete disks."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.dialects import WRITERS
from eci_convert.errors import CannotHoldError, DiskTypeError, UsageError
from eci_convert.model import DiskType, Memory, Role
from eci_convert.pack.image import ImageOrigin, pack
from eci_convert.reading.images import load_image
from eci_convert.reading.local_disks import resolve_type
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports.memory import MemorySink, MemoryStore
from tests.support.images import an_image, parts
from tests.support.machines import PLAIN, TERMS
from tests.support.reporters import Listening

SECTOR = bytes(510) + b"\x55\xaa"
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": lambda content: b"\x28\xb5\x2f\xfd" + content,
}
BACKED = b"QFI\xfb\0\0\0\3" + (104).to_bytes(8, "big") + (4).to_bytes(4, "big") + bytes(84) + b"base" + bytes(500)
"""A qcow2 with a backing file called `base`."""
VMDK = b'# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 8 FLAT "disk-flat.vmdk" 0\n'


@pytest.mark.parametrize("name", ["blank.raw", "blank.img", "BLANK.IMG", "x.qcow2.raw"])
@pytest.mark.parametrize("content", [b"", bytes(4096), b"anything"])
def test_a_blank_disk_is_raw_if_its_name_says_so(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    assert resolve_type(tmp_path / name, None) is DiskType.RAW


@pytest.mark.parametrize("name", ["blank", "blank.bin", "raw", ".img.x"])
def test_another_name_says_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bytes(4096))

    with pytest.raises(UsageError, match="could be any type") as caught:
        resolve_type(tmp_path / name, None)
    assert any(":raw" in note for note in caught.value.__notes__)


def test_bytes_go_before_the_name(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"QFI\xfb\0\0\0\3" + bytes(2000))

    assert resolve_type(tmp_path / "disk.img", None) is DiskType.QCOW2


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("name", ["disk.raw", "disk.img", "disk.raw.gz", "disk"])
@pytest.mark.parametrize("declared", [None, DiskType.RAW, DiskType.QCOW2])
def test_a_compressed_disk_is_never_packed_as_a_disk(
    name: str, declared: DiskType | None, compression: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(COMPRESSORS[compression](SECTOR * 4))

    with pytest.raises(DiskTypeError, match=compression) as caught:
        resolve_type(tmp_path / name, declared)
    assert any("cat " in note for note in caught.value.__notes__)
    assert any("--trust-type" in note for note in caught.value.__notes__)
    assert resolve_type(tmp_path / name, DiskType.RAW, trusted=True) is DiskType.RAW


@pytest.mark.parametrize(("content", "needed"), [(BACKED, "backing file 'base'"), (VMDK, "disk-flat.vmdk")])
@pytest.mark.parametrize("declared", [None, DiskType.RAW, DiskType.VMDK])
def test_a_disk_that_needs_another_file_is_refused(
    content: bytes, needed: str, declared: DiskType | None, tmp_path: Path
) -> None:
    (tmp_path / "disk").write_bytes(content)

    for trusted in (False, True):
        with pytest.raises(CannotHoldError, match=needed):
            resolve_type(tmp_path / "disk", declared, trusted=trusted)


def test_the_same_holds_for_a_disk_in_memory() -> None:
    with pytest.raises(CannotHoldError, match="base"):
        artifact_from_parts(root=Disk(content=BACKED, name="d", type=DiskType.QCOW2))
    with pytest.raises(DiskTypeError, match="gzip"):
        artifact_from_parts(root=Disk(content=gzip.compress(b"x"), name="d.raw"))
    assert artifact_from_parts(root=Disk(content=b"", name="d.raw")).parts[0].disk_type is DiskType.RAW


@pytest.mark.parametrize("format", ["legacy", "containerdisk", "artifacts", "ironcore"])
@pytest.mark.parametrize("layer", ["blob", "archive"])
def test_one_that_lies_in_an_image_is_not_written_into_another(format: str, layer: str) -> None:
    qcow2 = "application/vnd.lfedge.disk.layer.v1+qcow2"
    builder = (
        an_image().layer(qcow2, BACKED, role="disk-root", title="disk-root-d")
        if layer == "blob"
        else an_image().tar_layer({"disk": BACKED}).label("org.lfedge.eci.artifact.root", "/disk")
    )
    kernel = "application/vnd.lfedge.eci.kernel.layer.v1+kernel"
    builder = builder.layer(kernel, b"k", role="kernel") if layer == "blob" else builder
    source, store = builder.build(), MemoryStore()
    machine = artifact_from_parts(kernel=b"k", initrd=b"i")
    wanted = tuple(part for part in parts(source) if part.role is Role.ROOT_DISK)
    others = machine.parts if format == "ironcore" else ()

    with pytest.raises(CannotHoldError, match="base"):
        pack(
            WRITERS[format](replace(machine, parts=(*others, *wanted)), TERMS), MemorySink(store), codec=PLAIN,
            origin=ImageOrigin(source=source, image=load_image(source)),
        )  # fmt: skip


def test_files_that_are_mixed_up_are_warned_of(tmp_path: Path) -> None:
    kernel, initrd = b"MZ" + bytes(600), b"070701" + bytes(600)
    reporter = Listening()

    artifact_from_parts(kernel=initrd, initrd=kernel, root=Disk(content=kernel, name="r.raw"), reporter=reporter)

    assert [warning.split(" and looks like ")[1] for warning in reporter.warnings] == [
        "an initrd", "a kernel", "a kernel"
    ]  # fmt: skip
    assert "'kernel' is given as the kernel" in reporter.warnings[0]


def test_files_in_their_places_are_no_reason_for_a_warning() -> None:
    reporter = Listening()

    artifact_from_parts(
        kernel=b"MZ" + bytes(600), initrd=b"070701" + bytes(600), root=Disk(content=SECTOR, name="r"),
        config=b"070701", others={"o": b"MZ"}, reporter=reporter,
    )  # fmt: skip

    assert reporter.warnings == []


@pytest.mark.parametrize("name", ["kernel", "initrd", "config.json", "cmdline", "disk-root-r.raw"])
def test_another_part_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        artifact_from_parts(
            kernel=b"k", root=Disk(content=b"", name="r.raw"), others={name: Memory(content=b"").content}
        )


@pytest.mark.parametrize("name", ["a/b", "..", "", "/x", "a\nb"])
def test_the_name_of_another_part_is_a_files(name: str) -> None:
    with pytest.raises(UsageError, match=r"is a path|cannot be written into an image"):
        artifact_from_parts(others={name: b"x"})
