"""A small machine, real where it can be: a kernel, an initrd that says it booted, a root disk and one more.

Everything is standard library, so the demo can make one anywhere. What only some computers have makes it more real:
Debian's cloud kernel and busybox (`install_engines` brings both) make it boot, and mke2fs puts a filesystem on its root
disk.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from integration.engines.programs import Programs

GREETING = "eci-convert: it boots"
_INIT = f"""\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
echo "{GREETING}"
echo "command line: $(/bin/busybox cat /proc/cmdline)"
/bin/busybox poweroff -f
"""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The files that a machine is made of."""

    kernel: Path
    initrd: Path
    root: Path  # raw, with holes; its name ends in .img
    disk: Path  # a second one
    boots: bool  # False where the kernel is only made to look like one


def make(folder: Path, *, root_size: int = 64 * _MIB, programs: Programs | None = None) -> Machine:
    """Make the parts of a machine in *folder*, the same bytes each time where no filesystem is made."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = programs or Programs()
    kernel, initrd, root, disk = (folder / name for name in ("vmlinuz", "initrd.img", "root.img", "data.img"))
    boots = Path(programs.kernel).exists() and Path(programs.busybox).exists()
    if boots:
        shutil.copyfile(programs.kernel, kernel)
    else:
        kernel.write_bytes(made_up_kernel())
    initrd.write_bytes(_initrd(Path(programs.busybox)))
    _root_disk(root, root_size, programs.mke2fs)
    write_disk(disk, 16 * _MIB, {0: boot_sector(16 * _MIB), 4 * _MIB: b"data of the second disk\n"})
    return Machine(kernel=kernel, initrd=initrd, root=root, disk=disk, boots=boots)


def made_up_kernel(size: int = 6 * _MIB) -> bytes:
    """What `file` calls a Linux kernel: the header of the x86 boot protocol 2.15, then bytes that do not compress."""
    sectors, version = 4, b"6.1.0-made-up (eci-convert)\0"
    header = bytearray(512 * (sectors + 1))
    struct.pack_into("<BHI", header, 0x1F1, sectors, 0, (size - len(header)) // 16)
    struct.pack_into("<HH4sHII", header, 0x1FE, 0xAA55, 0x66EB, b"HdrS", 0x020F, 0, 0)
    struct.pack_into("<H", header, 0x20E, 0x400)  # where the version is, counted from 0x200
    struct.pack_into("<B", header, 0x211, 1)  # loaded high: a bzImage
    header[0x600 : 0x600 + len(version)] = version
    return bytes(header) + random.Random("kernel").randbytes(size - len(header))


def _initrd(busybox: Path) -> bytes:
    """A gzipped cpio archive with an /init that greets and powers off."""
    entries = [(name, stat.S_IFDIR | 0o755, b"", 0) for name in ("bin", "dev", "proc", "sys")]
    entries.append(("dev/console", stat.S_IFCHR | 0o600, b"", os.makedev(5, 1)))
    if busybox.exists():
        entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes(), 0))
    entries.append(("init", stat.S_IFREG | 0o755, _INIT.encode(), 0))
    return gzip.compress(cpio(entries), mtime=0)


def cpio(entries: Iterable[tuple[str, int, bytes, int]]) -> bytes:
    """An archive as `cpio -H newc` makes it, of (name, mode, contents, device). Linux, buffer-format.rst."""
    archive = bytearray()
    for number, (name, mode, contents, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", 0)]):
        path = name.encode() + b"\0"
        numbers = (number, mode, 0, 0, 1, 0, len(contents), 0, 0, os.major(device), os.minor(device), len(path), 0)
        archive += b"070701" + b"".join(b"%08X" % value for value in numbers) + path
        archive += bytes(-len(archive) % 4) + contents
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def _root_disk(path: Path, size: int, mke2fs: str) -> None:
    """An ext4 filesystem with a few files, or without mke2fs a disk with a boot sector and something here and there."""
    if not Path(mke2fs).exists():
        text = {at: b"%d bytes into the root disk\n" % at for at in range(_MIB, size, 8 * _MIB)}
        return write_disk(path, size, {0: boot_sector(size), 3 * _MIB: random.Random("root").randbytes(_MIB), **text})
    with tempfile.TemporaryDirectory() as tree:
        (Path(tree) / "etc").mkdir()
        (Path(tree) / "etc/hostname").write_text("small-machine\n")
        (Path(tree) / "incompressible").write_bytes(random.Random("root").randbytes(5 * _MIB))
        command = [mke2fs, "-q", "-F", "-t", "ext4", "-L", "root", "-d", tree, str(path), f"{size >> 10}k"]
        subprocess.run(command, check=True, capture_output=True)
    return None


def write_disk(path: Path, size: int, contents: Mapping[int, bytes]) -> None:
    """A file of *size* bytes with *contents* at their offsets, and holes elsewhere."""
    with open(path, "wb") as file:
        file.truncate(size)
        for offset, data in contents.items():
            file.seek(offset)
            file.write(data)


def boot_sector(size: int) -> bytes:
    """A master boot record with one Linux partition from the first MiB to the end."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", 2048, size // 512 - 2048)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def boot(
    kernel: Path, initrd: Path, *, command_line: str = "console=ttyS0", disks: Iterable[Path] = (), seconds: float = 180
) -> str:
    """What the machine said on its serial line until it powered off, in qemu without hardware help.

    Raises `subprocess.TimeoutExpired`, with what was said so far, after *seconds*.
    """
    command = [Programs().qemu, "-accel", "tcg", "-m", "256", "-nographic", "-no-reboot", "-nic", "none"]
    command += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", command_line]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,snapshot=on,if=virtio"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=True
    )
    return done.stdout.decode(errors="replace")
