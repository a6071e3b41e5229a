"""Files are found in random stacks of layers as umoci unpacks them; disks of qemu-img are known for what they are."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.disks.references import external_reference
from eci_convert.errors import UnsupportedImageError
from eci_convert.model import DiskType
from eci_convert.reading.files import read_files
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from integration.engines.programs import Programs
from tests.support.images import Files, Hard, Link, an_image, copied
from tests.support.layer_stacks import PATHS, Basket, distinct_files, whiteout
from tests.support.reference_unpacker import DIR, HARDLINK, SYMLINK, LayerEntry

STACKS = 60


def a_stack(random: Random) -> list[list[LayerEntry]]:
    """Layers of random entries, with entries for the directories that they are in."""
    return distinct_files([[_entry(random) for _ in range(random.randint(0, 6))] for _ in range(random.randint(1, 4))])


def _entry(random: Random) -> LayerEntry:
    path = random.choice(PATHS)
    match random.randrange(10):
        case 0 | 1 | 2 | 3:
            return LayerEntry(path)
        case 4 | 5:
            return LayerEntry(path, DIR)
        case 6:
            return LayerEntry(path, SYMLINK, random.choice(["", "/", "../"]) + random.choice(PATHS[:12]))
        case 7:
            return LayerEntry(path, HARDLINK, random.choice(PATHS))
        case 8:
            return whiteout(path)
        case _:
            return LayerEntry(f"{path}/.wh..wh..opq")


def _files(layer: Sequence[LayerEntry]) -> Files | None:
    """*layer* for the image builder, which has no names twice."""
    found: dict[str, bytes | Link | Hard | None] = {}
    for said in layer:
        special: dict[str, Link | Hard | None] = {SYMLINK: Link(said.text), HARDLINK: Hard(said.text), DIR: None}
        if said.name in found and said.kind is not DIR:
            return None
        found[said.name] = special.get(said.kind, said.text.encode())
    return found


@pytest.mark.parametrize("seed", range(STACKS))
def test_files_are_found_where_umoci_unpacks_them(tmp_path: Path, programs: Programs, seed: int) -> None:
    layers = [files for layer in a_stack(Random(seed)) if (files := _files(layer)) is not None]
    image = an_image()
    for files in layers:
        image = image.tar_layer(files)
    source = image.build()
    copied(source, open_sink(f"oci:{tmp_path}/image:x", Settings()))
    unpacked = subprocess.run(
        [programs.umoci, "raw", "unpack", "--rootless", "--image", f"{tmp_path}/image:x", tmp_path / "out"],
        capture_output=True,
        check=False,
    )
    if unpacked.returncode:
        return  # an archive that no unpacker takes: hard links to nothing, entries below files

    out = tmp_path / "out"
    for path in PATHS:
        here = out / path
        if any(parent.is_symlink() for parent in (here, *here.parents) if parent.is_relative_to(out)):
            continue  # what a link leads to outside of a container is not what it leads to inside
        basket = Basket()
        if here.is_file():
            read_files(source, load_image(source), [path], basket)
            assert basket.files[path] == here.read_bytes(), layers
        else:
            with pytest.raises(
                UnsupportedImageError, match=r"not in the image|not a regular file|no file|symbolic links|more than one"
            ):
                read_files(source, load_image(source), [path], basket)


DISKS = {
    "raw": ([], None),
    "qcow2": ([], DiskType.QCOW2),
    "qcow": ([], DiskType.QCOW),
    "vmdk": (["-o", "subformat=streamOptimized"], DiskType.VMDK),
    "vpc": (["-o", "subformat=fixed"], DiskType.VHD),
    "vhdx": ([], DiskType.VHDX),
}


def look(path: Path) -> tuple[DiskType | None, str | None]:
    data = path.read_bytes()
    head, tail = data[:HEAD], data[-TAIL:]
    return detect_disk_type(head, len(data), tail), external_reference(head, len(data), tail)


@pytest.mark.parametrize("form", DISKS)
def test_disks_of_qemu_are_known(tmp_path: Path, programs: Programs, form: str) -> None:
    options, expected = DISKS[form]
    subprocess.run([programs.qemu_img, "create", "-q", "-f", form, *options, tmp_path / "disk", "1M"], check=True)

    assert look(tmp_path / "disk") == (expected, None)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["-f", "qcow2", "-b", "base", "-F", "raw"], "the backing file 'base'"),
        (["-f", "qcow", "-b", "base", "-F", "raw"], "the backing file 'base'"),
        (["-f", "qed", "-b", "base", "-F", "raw"], "the backing file 'base'"),
        (["-f", "qcow2", "-o", "data_file=beside"], "the external data file 'beside'"),
        (["-f", "vmdk", "-o", "subformat=monolithicFlat"], "the extent 'disk-flat.vmdk'"),
    ],
)
def test_what_disks_of_qemu_refer_to_is_told(tmp_path: Path, programs: Programs, options: list[str], what: str) -> None:
    subprocess.run([programs.qemu_img, "create", "-q", "-f", "raw", "base", "1M"], cwd=tmp_path, check=True)
    subprocess.run([programs.qemu_img, "create", "-q", *options, "disk.vmdk", "1M"], cwd=tmp_path, check=True)

    assert look(tmp_path / "disk.vmdk")[1] == what
