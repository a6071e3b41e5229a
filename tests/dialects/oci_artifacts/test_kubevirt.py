"""KubeVirt's machines: as its enhancement 256 shows them, as its exporter writes them, and ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eci_convert import dialects
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.oci_artifacts import kubevirt
from eci_convert.errors import CannotHoldError, FormatError
from eci_convert.model import Artifact, Blob, DiskType, Role
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.platform import Platform
from tests.support.machines import AMD64, an_image_of, contents, image, part, written

DISK = "application/vnd.kubevirt.disk.raw+zstd"
TITLE = "org.opencontainers.image.title"
CONFIG = Descriptor.of(b"definition", "application/vnd.kubevirt.virtualmachine.config.v1+json")


def layer(volume: str, media_type: str = DISK, key: str = "io.kubevirt.disk.name", **more: str) -> Descriptor:
    notes = {key: volume, TITLE: f"{volume}.raw.zst"} | {key.replace("_", "."): text for key, text in more.items()}
    return Descriptor.of(volume.encode(), media_type, notes)


def booting(*disks: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"domain": {"devices": {"disks": list(disks)}}}}}}


def machine_of(layers: list[Descriptor], fields: dict[str, Any] | None = None, **more: Any) -> ImageMetadata:
    return an_image_of(layers, config=CONFIG, fields=fields, artifact_type=kubevirt.MACHINE, **more)


def test_the_sample_of_the_enhancement_is_read() -> None:
    layers = [layer("rootdisk", io_kubevirt_pvc_capacity="10Gi"), layer("datadisk", io_kubevirt_disk_size="5Gi")]

    name, found = dialects.read(machine_of(layers))

    assert name == "kubevirt"
    assert [(each.role, each.name, each.index, each.disk_type) for each in found.parts] == [
        (Role.ROOT_DISK, "disk-root-rootdisk.raw", None, DiskType.RAW),
        (Role.EXTRA_DISK, "disk-0-datadisk.raw", 0, DiskType.RAW),
        (Role.CONFIG, "config.json", None, None),
    ]
    assert found.parts[0].locator == Blob(descriptor=layers[0], compression="zstd")
    assert found.parts[1].locator == Blob(descriptor=layers[1], compression="zstd", size=5 << 30)


@pytest.mark.parametrize(
    "fields",
    [
        booting({"name": "a"}, {"name": "b", "bootOrder": 1}),
        booting({"name": "b"}, {"name": "a"}),
        {"spec": {"virtualMachine": booting({"name": "b", "bootOrder": 2}, {"name": "a", "bootOrder": 3})}},
    ],
)
@pytest.mark.parametrize("key", ["io.kubevirt.disk.name", "io.kubevirt.disk.names"])
def test_the_definition_says_which_disk_boots(fields: dict[str, Any], key: str) -> None:
    found = dialects.read(machine_of([layer("a", key=key), layer("b", key=key)], fields))[1]

    assert [each.name for each in found.parts[:2]] == ["disk-root-b.raw", "disk-0-a.raw"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"spec": None},
        {"spec": {"template": []}},
        booting({"name": 1}, {"bootOrder": "x"}),
        booting({"name": "nobody", "bootOrder": 1}),
        {"metadata": []},
    ],
)
def test_a_definition_that_says_nothing_of_use_leaves_it_to_the_order_of_layers(fields: dict[str, Any]) -> None:
    found = dialects.read(machine_of([layer("a"), layer("b")], fields))[1]

    assert [each.name for each in found.parts[:2]] == ["disk-root-a.raw", "disk-0-b.raw"]


@pytest.mark.parametrize("size", ["x", "-1", "1e3", "10G i", "1.5Gi", "9" * 16])
def test_a_size_that_is_none_is_refused_and_located(size: str) -> None:
    with pytest.raises(FormatError, match=r"^manifest\.layers\[0\]\.annotations\['io\.kubevirt\.disk\.size'\]"):
        dialects.read(machine_of([layer("a", io_kubevirt_disk_size=size)]))


def test_a_hostile_title_is_refused() -> None:
    with pytest.raises(FormatError, match=r"manifest\.layers\[0\]"):
        dialects.read(machine_of([layer("../../a")]))


def test_other_spellings_of_disks_are_read() -> None:
    types = {"raw+gzip": ("gzip", DiskType.RAW), "raw": ("", DiskType.RAW), "qcow2": ("", DiskType.QCOW2)}
    for spelling, (compression, disk_type) in types.items():
        disk = Descriptor.of(b"x", f"application/vnd.kubevirt.disk.{spelling}", {})
        [found] = dialects.read(an_image_of([disk], config=Descriptor.of(b"{}", "application/vnd.oci.empty.v1+json"),
                                            fields={"metadata": {"annotations": {"io.eci-convert.generated": "true"}}})
                                )[1].parts  # fmt: skip
        assert (found.locator, found.disk_type) == (Blob(descriptor=disk, compression=compression), disk_type)


def test_the_documents_are_as_kubevirt_has_them() -> None:
    machine = Artifact(
        parts=(
            part(Role.ROOT_DISK, "Fedora 42.raw", b"root" * 1000, DiskType.RAW),
            part(Role.EXTRA_DISK, "d.iso", b"iso", DiskType.ISO, 3),
        )
    )
    source, packed = written(machine, "kubevirt", WriteOptions(platform=AMD64, name="host/vm:1"))

    index = json.loads(source.blobs[packed.descriptor.digest])
    manifest = json.loads(source.blobs[image(source).descriptor.digest])
    definition = json.loads(source.blobs[image(source).manifest.config.digest])

    assert index["artifactType"] == manifest["artifactType"] == "application/vnd.kubevirt.virtualmachine.v1"
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert index["annotations"] == {"org.opencontainers.image.created": "1970-01-01T00:00:00Z"}
    assert manifest["config"]["mediaType"] == CONFIG.media_type
    notes = manifest["layers"][0]["annotations"]
    assert notes["io.kubevirt.disk.name"] == notes["io.kubevirt.disk.names"] == "fedora-42"
    assert notes["io.kubevirt.disk.size"] == notes["io.kubevirt.pvc.capacity"] == "4000"
    assert notes[TITLE] == "Fedora 42.raw.zst"
    spec = definition["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["fedora-42", "d"]
    assert [disk["bootOrder"] for disk in spec["domain"]["devices"]["disks"]] == [1, 2]
    assert definition["metadata"]["name"] == "vm-1"


def test_the_number_of_a_disk_survives_gaps_and_a_made_up_definition_is_no_part() -> None:
    machine = Artifact(
        parts=(
            part(Role.EXTRA_DISK, "a.raw", b"a", DiskType.RAW, 2),
            part(Role.EXTRA_DISK, "b.raw", b"b", DiskType.RAW, 7),
        ),
        command_line="quiet",
    )
    source, _ = written(machine, "kubevirt")

    found = dialects.read(image(source))[1]

    assert [(each.role, each.index) for each in found.parts] == [(Role.EXTRA_DISK, 2), (Role.EXTRA_DISK, 7)]
    assert contents(source, found) == contents(source, machine)
    assert found.command_line == "quiet"


def test_a_definition_of_the_users_is_the_config() -> None:
    machine = Artifact(
        parts=(part(Role.ROOT_DISK, "r", b"r", DiskType.RAW), part(Role.CONFIG, "", b'{"kind":"VirtualMachine"}'))
    )
    source, _ = written(machine, "kubevirt")

    assert source.blobs[image(source).manifest.config.digest] == b'{"kind":"VirtualMachine"}'
    assert contents(source, dialects.read(image(source))[1]) == contents(source, machine)


@pytest.mark.parametrize(("architecture", "bus"), [("amd64", "sata"), ("arm64", "scsi")])
def test_a_made_up_definition_has_a_cd_drive_that_the_architecture_has(architecture: str, bus: str) -> None:
    machine = Artifact(parts=(part(Role.ROOT_DISK, "live.iso", b"iso", DiskType.ISO),))
    terms = WriteOptions(platform=Platform(os="linux", architecture=architecture))

    definition = image(written(machine, "kubevirt", terms)[0]).config.fields
    [disk] = definition["spec"]["template"]["spec"]["domain"]["devices"]["disks"]

    assert disk == {"name": "live", "bootOrder": 1, "cdrom": {"bus": bus}}


def test_volumes_have_names_of_their_own_that_kubernetes_takes() -> None:
    names = ["x.raw", "x.qcow2", "ÄÖ.raw", "-" * 70 + "y" * 80 + ".raw", ".hidden"]
    disks = [part(Role.EXTRA_DISK, name, b"", DiskType.RAW, index) for index, name in enumerate(names)]
    source, _ = written(Artifact(parts=tuple(disks)), "kubevirt")

    volumes = [each.annotations["io.kubevirt.disk.name"] for each in image(source).manifest.layers]

    assert volumes == ["x", "disk-1", "disk-2", "y" * 63, "disk-4"]


def test_a_disk_that_is_not_raw_is_refused_with_advice() -> None:
    machine = Artifact(parts=(part(Role.ROOT_DISK, "r.qcow2", b"r", DiskType.QCOW2),))

    with pytest.raises(CannotHoldError, match=r"the root disk 'disk-root-r\.qcow2' is qcow2") as caught:
        written(machine, "kubevirt")

    assert any("qemu-img" in note for note in caught.value.__notes__)
