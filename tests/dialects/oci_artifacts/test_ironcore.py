"""ironcore's and onmetal's images, against what the originals made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert import dialects
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.oci_artifacts import ironcore
from eci_convert.errors import AmbiguousRoleError, CannotHoldError, FormatError
from eci_convert.model import Artifact, DiskType, RemoteBlob, Role
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.platform import Platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.pack.image import pack
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import an_image, an_index
from tests.support.machines import AMD64, PLAIN, TERMS, an_image_of, image, part, written
from tests.support.memory_stores import HasEverything

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ironcore.json").read_text())
ONE, TWO, THREE = "application/vnd.onmetal.image.", "application/vnd.ironcore.image.", "application/vnd.ironcore.image."


def a_machine(command_line: str | None = None) -> Artifact:
    return Artifact(
        parts=(
            part(Role.KERNEL, "", b"kernel"),
            part(Role.INITRD, "", b"initramfs"),
            part(Role.ROOT_DISK, "rootfs", b"rootfs", DiskType.RAW),
        ),
        command_line=command_line,
    )


def layer(media_type: str, content: str = "") -> Descriptor:
    return Descriptor.of(f"{media_type}{content}".encode(), media_type)


@pytest.mark.parametrize("vector", VECTORS["builds"], ids=["with command line", "without"])
def test_onmetals_images_are_the_originals_byte_for_byte(vector: dict[str, object]) -> None:
    source, packed = written(a_machine(vector["commandLine"]), "onmetal")  # type: ignore[arg-type]

    found = image(source).manifest

    assert {"size": packed.descriptor.size, "digest": str(packed.descriptor.digest)} == vector["manifest"]
    assert {"size": found.config.size, "digest": str(found.config.digest)} == vector["config"]


def test_a_manifest_can_be_made_of_digests_and_sizes_alone() -> None:
    vector = VECTORS["descriptors_only"]

    def known(name: str) -> RemoteBlob:
        return RemoteBlob(digest=Digest.parse(vector[name]["digest"]), size=vector[name]["size"])

    machine = Artifact(
        parts=(
            part(Role.KERNEL, "", known("kernel")),
            part(Role.INITRD, "", known("initramfs")),
            part(Role.ROOT_DISK, "rootfs", known("rootfs")),
        ),
        command_line=vector["commandLine"],
    )

    packed = pack(writer("onmetal")(machine, TERMS), HasEverything(), codec=PLAIN)

    assert {"size": packed.descriptor.size, "digest": str(packed.descriptor.digest)} == vector["manifest"]
    assert packed.bytes_reused == 231536600 + 16583520 + 13212832 + 147


def test_ironcores_images_are_in_an_index_that_names_the_architecture() -> None:
    source, packed = written(a_machine(), "ironcore", WriteOptions(platform=Platform(os="linux", architecture="arm64")))

    index = json.loads(source.blobs[packed.descriptor.digest])

    assert list(index) == ["schemaVersion", "mediaType", "manifests"]
    assert index["manifests"][0]["platform"] == {"architecture": "arm64", "os": "linux"}
    assert list(json.loads(source.blobs[image(source).descriptor.digest])) == ["schemaVersion", "config", "layers"]


def test_all_generations_are_read_and_the_newest_counts() -> None:
    one = [f"{ONE}rootfs.v1alpha1.rootfs", f"{ONE}initramfs.v1alpha1.initramfs", f"{ONE}vmlinuz.v1alpha1.vmlinuz"]
    two = [each.replace(ONE, TWO) for each in one] + [f"{TWO}squashfs.v1alpha1.squashfs"]
    three = [f"{THREE}{word}" for word in ("rootfs", "initramfs", "kernel", "squashfs", "uki", "iso")]

    for types, names in [
        (one, ["kernel", "initrd", "disk-root-rootfs"]),
        (two, ["kernel", "initrd", "disk-root-rootfs", "squashfs"]),
        (three, ["kernel", "initrd", "disk-root-rootfs", "disk-0-iso", "squashfs", "uki"]),
    ]:
        name, found = dialects.read(an_image_of([layer(each) for each in reversed(types)]))
        assert name == "ironcore"
        assert sorted(each.name for each in found.parts) == sorted(names)

    both = dialects.read(an_image_of([layer(three[2]), layer(two[2])]))[1]
    assert both.parts[0].locator.descriptor == layer(three[2])  # type: ignore[union-attr]


def test_a_type_that_stands_twice_is_refused() -> None:
    with pytest.raises(AmbiguousRoleError):
        dialects.read(an_image_of([layer(f"{THREE}kernel", "a"), layer(f"{THREE}kernel", "b")]))


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        (["iso"], [(Role.ROOT_DISK, None)]),
        (["disk.img"], [(Role.ROOT_DISK, None)]),
        (["disk.img", "iso"], [(Role.ROOT_DISK, None), (Role.EXTRA_DISK, 0)]),
        (["iso", "disk.img", "rootfs"], [(Role.ROOT_DISK, None), (Role.EXTRA_DISK, 0), (Role.EXTRA_DISK, 1)]),
    ],
)
def test_a_whole_disk_is_the_root_disk_where_there_is_no_other(words: list[str], roles: list[object]) -> None:
    found = dialects.read(an_image_of([layer(f"{THREE}{word}") for word in words]))[1]

    assert [(each.role, each.index) for each in found.parts] == roles


def test_an_iso_beside_the_root_disk_has_a_place_and_any_other_disk_has_none() -> None:
    root = part(Role.ROOT_DISK, "r", b"r", DiskType.RAW)
    fits = Artifact(parts=(root, part(Role.EXTRA_DISK, "d.iso", b"d", DiskType.ISO, 0)))

    found = dialects.read(image(written(fits, "ironcore")[0]))[1]

    assert [(each.role, each.index, each.disk_type) for each in found.parts] == [
        (Role.ROOT_DISK, None, None),
        (Role.EXTRA_DISK, 0, DiskType.ISO),
    ]
    for extra in (part(Role.EXTRA_DISK, "d", b"d", DiskType.RAW, 0), part(Role.EXTRA_DISK, "d", b"d", DiskType.ISO, 1)):
        with pytest.raises(CannotHoldError, match=f"disk {extra.index}"):
            written(Artifact(parts=(root, extra)), "ironcore")


def test_what_ironcore_alone_has_goes_through_eci_and_back() -> None:
    machine = Artifact(parts=(part(Role.OTHER, "uki", b"uki"), part(Role.OTHER, "squashfs", b"squashfs")))
    there = dialects.read(image(written(machine, "artifacts")[0]))[1]

    back = writer("ironcore")(there, TERMS)

    assert [recipe.media_type for recipe in back.recipes] == [f"{THREE}squashfs", f"{THREE}uki"]


def test_a_command_line_that_is_no_text_is_refused() -> None:
    with pytest.raises(FormatError, match=r"config\.commandLine"):
        dialects.read(an_image_of([layer(f"{THREE}kernel")], fields={"commandLine": ["ro"]}))


def test_the_config_escapes_as_go_does() -> None:
    source, _ = written(a_machine("a<b>&c"), "onmetal")

    config = source.blobs[image(source).manifest.config.digest]

    assert config == b'{"commandLine":"a\\u003cb\\u003e\\u0026c"}'
    assert dialects.read(load_image(source))[1].command_line == "a<b>&c"
    assert ironcore.ONMETAL.config == image(source).manifest.config.media_type
    assert WriteOptions(platform=AMD64) == TERMS.__class__(platform=AMD64)


def test_an_index_said_again_keeps_its_annotations_and_those_in_it() -> None:
    wanted = {"ours": "2", "theirs": "1"}
    before, _ = written(a_machine(), "ironcore", WriteOptions(platform=AMD64, annotations={"theirs": "1"}))
    sink = MemorySink(MemoryStore())

    copy(before, sink, CopyRequest(format="ironcore", write=WriteOptions(platform=AMD64, annotations={"ours": "2"})))

    again = MemorySource(sink.store)
    assert load_root(again)[1].annotations == wanted
    assert [layer.digest for layer in image(again).manifest.layers] == [
        layer.digest for layer in image(before).manifest.layers
    ]


def test_annotations_of_manifest_and_entry_and_layers_are_kept() -> None:
    """OCI-SPEC.md of ironcore has a manifest tell its variant, though the builder does not write it."""
    layer = an_image().layer("application/vnd.ironcore.image.kernel", b"kernel", annotations={"a": "layer"})
    index = an_index(layer.annotation("variant", "metal")).annotated(0, {"c": "entry"})
    sink = MemorySink(MemoryStore())

    copy(replace(index, annotations={"b": "index"}).build(), sink, CopyRequest(format="ironcore"))

    _, found = load_root(MemorySource(sink.store))
    assert isinstance(found, Index)
    assert found.annotations == {"b": "index"}
    assert found.manifests[0].annotations == {"c": "entry"}
    manifest = image(MemorySource(sink.store)).manifest
    assert manifest.annotations == {"variant": "metal"}
    assert manifest.layers[0].annotations == {"a": "layer"}
