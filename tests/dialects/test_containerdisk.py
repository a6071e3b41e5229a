"""KubeVirt's containerdisks, which bear no mark."""

from __future__ import annotations

import pytest

from eci_convert import dialects
from eci_convert.errors import CannotHold, UnknownDialect
from eci_convert.model import Artifact, DiskType, Role, Rootfs
from eci_convert.oci.manifest import Descriptor
from eci_convert.streams.tar import entries
from tests.dialects.machines import an_image_of, image, part, written

TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER = Descriptor.of(b"x", f"{TAR}+gzip")


def a_disk(name: str = "r.qcow2", disk_type: DiskType | None = DiskType.QCOW2) -> Artifact:
    return Artifact(parts=(part(Role.ROOT_DISK, name, b"disk", disk_type),))


def test_the_disk_is_the_only_file_in_its_directory_and_qemu_may_read_it() -> None:
    source, _ = written(a_disk(), "containerdisk")
    [layer] = image(source).manifest.layers

    [entry] = [(each.name, each.uid, each.gid, each.mode) for each in entries((source.blobs[layer.digest],))]

    assert entry == ("disk/r.qcow2", 107, 107, 0o440)
    assert not image(source).config.labels


def test_it_is_found_where_kubevirt_looks() -> None:
    name, found = dialects.read(image(written(a_disk(), "containerdisk")[0]))

    assert name == "containerdisk"
    assert [each.locator for each in found.parts] == [Rootfs(path="disk/")]


def test_kernel_and_initrd_are_told_by_labels() -> None:
    machine = Artifact(parts=(*a_disk().parts, part(Role.KERNEL, "", b"k"), part(Role.INITRD, "", b"i")))

    name, found = dialects.read(image(written(machine, "containerdisk")[0]))

    assert name == "labels"
    assert {str(each.locator.path) for each in found.parts} == {  # type: ignore[union-attr]
        "/boot/vmlinuz", "/boot/initrd", "/disk/r.qcow2"
    }  # fmt: skip


@pytest.mark.parametrize("disk_type", [DiskType.VMDK, DiskType.VHD, DiskType.OVA, DiskType.QCOW])
def test_a_type_that_kubevirt_does_not_take_is_refused(disk_type: DiskType) -> None:
    with pytest.raises(CannotHold, match=str(disk_type)):
        written(a_disk("r", disk_type), "containerdisk")


def test_an_image_that_runs_a_program_is_none_unless_its_history_tells_of_the_disk() -> None:
    runs = {"Cmd": ["sh"]}
    told = [{"created_by": "ADD --chown=107:107 x.qcow2 /disk/"}]

    assert dialects.read(an_image_of([LAYER]))[0] == "containerdisk"
    assert dialects.read(an_image_of([LAYER], settings=runs, fields={"history": told}))[0] == "containerdisk"
    for history in (None, [], [1], [{"created_by": "RUN true"}], "/disk"):
        with pytest.raises(UnknownDialect):
            dialects.read(an_image_of([LAYER], settings=runs, fields={"history": history}))
    assert dialects.read_as("containerdisk", an_image_of([LAYER], settings=runs))[0] == "containerdisk"


@pytest.mark.parametrize(
    "layers", [[], [Descriptor.of(b"x", "application/octet-stream")], [LAYER, Descriptor.of(b"x", "text/plain")]]
)
def test_what_is_no_container_image_is_none(layers: list[Descriptor]) -> None:
    with pytest.raises(UnknownDialect):
        dialects.read(an_image_of(layers))
