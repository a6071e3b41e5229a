"""What a file's bytes say it is, what its owner says, and what it wants read beside itself."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

import pytest

from eci_convert.disks import declared
from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.disks.probe import ContentProbe
from eci_convert.errors import DiskTypeError, LocalError, UsageError
from eci_convert.model import DiskType
from eci_convert.reading.local_disks import resolve_type
from eci_convert.reading.local_parts import parse_disk_argument
from eci_convert.tar import TarMember, archived

MBR = bytes(510) + b"\x55\xaa" + bytes(512)
QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(504)
ISO = bytes(0x8000) + b"\x01CD001\x01" + bytes(2041)
VHD_FOOTER = b"conectix" + bytes(504)
OVA = b"".join(archived([(TarMember(name="machine.ovf", size=3), (b"<a>",))]))


def at(offset: int, magic: bytes) -> bytes:
    return bytes(offset) + magic + bytes(4096)


def detect(content: bytes) -> DiskType | None:
    return detect_disk_type(content[:HEAD], len(content), content[-TAIL:])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (QCOW2, DiskType.QCOW2),
        (b"QFI\xfb" + (2).to_bytes(4, "big") + bytes(504), DiskType.QCOW2),
        (b"QFI\xfb" + (1).to_bytes(4, "big") + bytes(504), DiskType.QCOW),
        (b"vhdxfile" + bytes(504), DiskType.VHDX),
        (b"KDMV" + bytes(508), DiskType.VMDK),
        (b"COWD" + bytes(508), DiskType.VMDK),
        (b"# Disk DescriptorFile\nversion=1\n", DiskType.VMDK),
        (b"# qemu asks for no more\n  \r\nversion=3\r\n", DiskType.VMDK),
        (b"version=1\n".ljust(510, b"#") + b"\x55\xaa", DiskType.VMDK),
        (VHD_FOOTER + bytes(1024), DiskType.VHD),
        (MBR + VHD_FOOTER, DiskType.VHD),
        (bytes(1024) + VHD_FOOTER[:511], DiskType.VHD),
        (ISO, DiskType.ISO),
        (MBR[:512] + ISO[512:], DiskType.ISO),
        (OVA, DiskType.OVA),
        (MBR, DiskType.RAW),
        (at(512, b"EFI PART"), DiskType.RAW),
        (at(4096, b"EFI PART"), DiskType.RAW),
        (at(0x438, b"\x53\xef"), DiskType.RAW),
        (at(0, b"XFSB"), DiskType.RAW),
        (at(0x10040, b"_BHRfS_M"), DiskType.RAW),
        (at(0, b"hsqs"), DiskType.RAW),
    ],
)
def test_a_type_is_told_by_its_magic(content: bytes, expected: DiskType) -> None:
    assert detect(content) is expected


@pytest.mark.parametrize(
    "content",
    [b"", b"\x55\xaa", bytes(1 << 20), b"root.raw", b"QFI\xfb", b"QFI\xfb\0\0\0\x09" + bytes(600), b"\x7fELF" * 300],
)
def test_what_could_be_anything_is_none_and_never_raw(content: bytes) -> None:
    assert detect(content) is None


def test_an_archive_that_does_not_begin_with_a_description_is_no_ova() -> None:
    archive = b"".join(archived([(TarMember(name="disk.vmdk", size=1), (b"x",)), (TarMember(name="a.ovf"), ())]))

    assert detect(archive) is None


@pytest.mark.parametrize("kind", list(DiskType))
def test_a_type_is_the_last_word_behind_a_colon(kind: DiskType) -> None:
    assert parse_disk_argument(f"a:b:{kind}") == (Path("a:b"), kind)


def test_what_exists_as_it_is_written_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "disk:raw").write_bytes(b"")

    assert parse_disk_argument(f"{tmp_path}/disk:raw") == (tmp_path / "disk:raw", None)
    assert parse_disk_argument(f"{tmp_path}/disk:raw:qcow2") == (tmp_path / "disk:raw", DiskType.QCOW2)


def test_a_file_with_a_type_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")

    with pytest.raises(UsageError, match=r"'rwa' .* raw, vhd, vmdk"):
        parse_disk_argument(f"{tmp_path}/disk:rwa")


def test_a_file_that_is_not_there_keeps_its_colons() -> None:
    assert parse_disk_argument("no/such:file") == (Path("no/such:file"), None)


def test_a_type_without_a_path_is_refused() -> None:
    with pytest.raises(UsageError, match="has no file name"):
        parse_disk_argument(":raw")


def test_bytes_that_contradict_the_declared_type_are_refused_and_both_named(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(QCOW2)

    with pytest.raises(DiskTypeError, match="declared as raw, but its content is qcow2"):
        resolve_type(tmp_path / "disk", DiskType.RAW)
    assert resolve_type(tmp_path / "disk", DiskType.RAW, trusted=True) is DiskType.RAW
    assert resolve_type(tmp_path / "disk", None) is DiskType.QCOW2


def test_the_sectors_of_an_iso_lie_as_those_of_a_raw_disk() -> None:
    assert not declared.contradicts(DiskType.RAW, DiskType.ISO)
    assert declared.contradicts(DiskType.ISO, DiskType.RAW)


def test_bytes_that_tell_nothing_contradict_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"disk1.qcow2")

    assert resolve_type(tmp_path / "disk", DiskType.QCOW2) is DiskType.QCOW2
    with pytest.raises(UsageError, match="could be any type of disk") as caught:
        resolve_type(tmp_path / "disk", None)
    assert ":raw" in caught.value.__notes__[0]


def test_a_disk_that_cannot_be_read_is_an_error_of_this_computer(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="No such file"):
        resolve_type(tmp_path / "disk", None)


def qcow2(backing: bytes = b"", *, version: int = 3, features: int = 0, extension: bytes = b"", at: int = 512) -> bytes:
    """A header of qcow2 (docs/interop/qcow2.txt), with the name of a backing file *at* so many bytes."""
    offset = at if backing else 0
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, offset, len(backing), 16, 1 << 20, 0, 1, 0, 0, 1, 0, 0)
    if version >= 3:
        header += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return (header + extension).ljust(512, b"\0") + backing.ljust(65536, b"\0")


def refers(content: bytes) -> str | None:
    seen = ContentProbe([content[at : at + 100_000] for at in range(0, len(content), 100_000)])
    assert b"".join(seen) == content
    return seen.foreign_reference


def test_a_backing_file_is_a_foreign_reference() -> None:
    assert refers(qcow2(b"/etc/shadow")) == "the backing file '/etc/shadow'"
    assert refers(qcow2(b"/etc/shadow", version=2)) == "the backing file '/etc/shadow'"
    assert refers(qcow2(b"/etc/shadow", version=1)) == "the backing file '/etc/shadow'"
    assert refers(qcow2(b"\xff\n\x1b[2J")) == repr(r"\xff" + "\n\x1b[2J").join(("the backing file ", ""))


def qed(features: int, *, offset: int = 64, length: int = 11) -> bytes:
    header = struct.pack("<4sIIIQQQQQII", b"QED\0", 1 << 16, 4, 1, features, 0, 0, 1 << 16, 1 << 20, offset, length)
    return (header + b"/etc/shadow").ljust(1 << 16, b"\0")


def test_a_backing_file_of_a_qed_is_one_too_whatever_the_disk_is_called() -> None:
    record = qed(1)[:510] + b"\x55\xaa" + bytes(0x8001 - 512) + b"CD001" + bytes(4096)

    assert refers(qed(1)) == refers(qed(5)) == refers(record) == "the backing file '/etc/shadow'"
    assert refers(qed(1, offset=1 << 31)) == "the backing file that it does not name"
    assert refers(qed(1) + VHD_FOOTER) == "the backing file '/etc/shadow'"
    assert refers(qed(0)) is refers(qed(2)) is refers(qed(1 | 1 << 9)) is None


def test_an_external_data_file_is_a_foreign_reference() -> None:
    name = struct.pack(">II", 0x44415441, 11) + b"/etc/shadow" + bytes(5)
    other = struct.pack(">II", 0x6803F857, 3) + b"abc" + bytes(5)

    assert refers(qcow2(features=4, extension=other + name)) == "the external data file '/etc/shadow'"
    assert refers(qcow2(features=4)) == "the external data file that it does not name"


def test_a_whole_qcow2_refers_to_nothing() -> None:
    assert refers(qcow2()) is None
    assert refers(qcow2(features=3)) is None


def test_a_header_that_qemu_refuses_refers_to_nothing() -> None:
    assert refers(qcow2(b"x" * 1024)) is None
    assert refers(qcow2(b"x", at=1 << 40)[:4096]) is None
    assert refers(qcow2(features=1 << 40 | 4)) is None


def vmdk(*extents: str, parent: str = "ffffffff", hint: str = "") -> bytes:
    lines = ["# Disk DescriptorFile", "version=1", f"parentCID={parent}", *extents]
    return ("\n".join([*lines, f'parentFileNameHint="{hint}"' if hint else ""]) + "\n").encode()


def sparse_vmdk(descriptor: bytes, capacity: int = 2048, *, sector: int = 1, said: int = 1, length: int = 20) -> bytes:
    """A sparse extent with a descriptor in *sector*, where the header *said* that it is, *length* sectors long."""
    header = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, capacity, 128, said, length)
    return header.ljust(512 * sector, b"\0") + descriptor.ljust(20 * 512, b"\0") + bytes(65536)


def test_extents_that_lie_elsewhere_are_foreign_references() -> None:
    assert refers(vmdk('RW 2048 FLAT "/etc/shadow" 0')) == "the extent '/etc/shadow'"
    assert refers(vmdk('RW 2048 SPARSE "a-s001.vmdk"')) == "the extent 'a-s001.vmdk'"
    assert refers(sparse_vmdk(vmdk('RW 2048 SPARSE "a.vmdk"', 'RW 2048 FLAT "/etc/shadow" 0'))) is not None
    assert refers(sparse_vmdk(vmdk('RW 2048 SPARSE "a.vmdk"'), capacity=0)) == "the extent 'a.vmdk'"


def test_a_parent_disk_is_a_foreign_reference() -> None:
    assert (
        refers(sparse_vmdk(vmdk('RW 2048 SPARSE "a.vmdk"', parent="1234abcd", hint="p.vmdk")))
        == "the parent disk 'p.vmdk'"
    )
    assert refers(VHD_FOOTER[:60] + struct.pack(">I", 4) + bytes(2000)) == "a parent disk"


def test_a_sparse_vmdk_and_a_vhd_of_one_piece_refer_to_nothing() -> None:
    assert refers(sparse_vmdk(vmdk('RW 2048 SPARSE "a.vmdk"'))) is None
    assert refers(vmdk("RW 2048 ZERO")) is None
    assert refers(VHD_FOOTER[:60] + struct.pack(">I", 3) + bytes(2000)) is None
    assert refers(MBR) is None


@pytest.mark.parametrize(
    "line",
    ['RW 9FLAT "/x" 0', 'RW\v9\fFLAT "/x" 0', 'RW\n9\n FLAT\n"/x" 0', 'RW +9 FLAT "/x" 0', ' \r\tRW 9 VMFS "/x"'],
)
def test_an_extent_is_what_qemu_takes_for_one(line: str) -> None:
    assert refers(vmdk(line)) == "the extent '/x'"
    assert refers(vmdk(line).replace(b"# Disk DescriptorFile\n", b"")) == "the extent '/x'"
    assert refers(vmdk(line).replace(b"# Disk DescriptorFile\nversion=1", b'createType="custom"')) == "the extent '/x'"


def test_a_comment_is_no_extent() -> None:
    assert refers(vmdk('# RW 9 FLAT "/x" 0', "# Extent description", "RW 9 ZERO")) is None


def test_a_parent_is_named_whatever_its_id_and_wherever_qemu_looks_for_it() -> None:
    child = vmdk('RW 9 SPARSE "a.vmdk"', hint="/x")

    assert refers(sparse_vmdk(child)) == "the parent disk '/x'"
    assert refers(sparse_vmdk(child, said=0)) == "the parent disk '/x'"
    assert refers(sparse_vmdk(child, said=40)) == "the parent disk '/x'"
    assert refers(b"COWD" + sparse_vmdk(child)[4:]) == "the parent disk '/x'"
    assert refers(sparse_vmdk(vmdk('RW 9 SPARSE "a.vmdk"', 'parentFileNameHint=""'))) is None


def test_a_description_is_as_long_as_it_is_and_not_as_the_header_says() -> None:
    assert refers(sparse_vmdk(vmdk('RW 9 FLAT "/x" 0'), capacity=0, length=0)) == "the extent '/x'"


def test_a_description_that_is_not_read_whole_may_refer_to_anything() -> None:
    far = sparse_vmdk(vmdk('RW 9 FLAT "/x" 0'), capacity=0, sector=1024, said=1024)
    long = b"# Disk DescriptorFile\n" + b"#" * HEAD + b'\nRW 9 FLAT "/x" 0\n'

    assert refers(far) == refers(long) == "a description at an offset that is too large"


def vhdx(flags: int, *, at: int = 3 << 20, table: int = 192 << 10, said: int = 1 << 20) -> bytes:
    """What MS-VHDX has of a disk up to its metadata, which are *at* so many bytes, as a region *table* says."""
    disk = bytearray(at + (1 << 20))
    disk[:8] = b"vhdxfile"
    entry = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le + struct.pack("<QII", at, said, 1)
    disk[table : table + 48] = struct.pack("<4sIII", b"regi", 0, 1, 0) + entry
    item = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le + struct.pack("<IIII", 65536, 8, 4, 0)
    disk[at : at + 64] = struct.pack("<8sHH20x", b"metadata", 0, 1) + item
    disk[at + 65536 : at + 65544] = struct.pack("<II", 1 << 20, flags)
    return bytes(disk)


def test_a_parent_of_a_vhdx_is_a_foreign_reference() -> None:
    assert refers(vhdx(2)) == "a parent disk"
    assert refers(vhdx(3, at=11 << 20, table=256 << 10)) == "a parent disk"
    assert refers(vhdx(2, said=(1 << 32) - 1)) == "a parent disk"
    assert refers(vhdx(1)) is None
    assert refers(vhdx(2)[:HEAD]) is None


def test_a_parent_of_a_vhd_may_stand_in_either_footer() -> None:
    child = VHD_FOOTER[:60] + struct.pack(">I", 4) + bytes(448)

    assert refers(VHD_FOOTER + bytes(4096) + child) == "a parent disk"
    assert refers(bytes(4096) + child[:511]) == "a parent disk"
