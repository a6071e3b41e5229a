"""ECI's own formats: written, read back, and read as others wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.eci.media_types import MEDIA_TYPE, ROLE
from eci_convert.errors import AmbiguousRoleError, FormatError, UnknownDialectError, UsageError
from eci_convert.model import Artifact, Blob, DiskType, Member, Role
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from tests.support.machines import (
    AMD64,
    TERMS,
    a_whole_machine,
    an_image_of,
    contents,
    image,
    machines,
    part,
    saying,
    written,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "eci.json").read_text())
TAR = "application/vnd.oci.image.layer.v1.tar"
KERNEL = "application/vnd.lfedge.eci.kernel.layer.v1+kernel"
DISK = "application/vnd.lfedge.disk.layer.v1+"


def layer(media_type: str, role: str | None = None, title: str | None = None, says: str | None = None) -> Descriptor:
    notes = {ROLE: role, TITLE: title, MEDIA_TYPE: says}
    known = {key: text for key, text in notes.items() if text is not None}
    return Descriptor.of(f"{media_type}{known}".encode(), media_type, known)


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
@settings(deadline=None)
@given(machine=machines())
def test_what_is_written_is_read_back(format: str, machine: Artifact) -> None:
    source, _ = written(machine, format)

    name, found = dialects.read(image(source))

    assert name == f"eci-{format}"
    assert saying(found) == saying(machine)
    assert contents(source, found) == contents(source, machine)
    assert found.command_line == machine.command_line


@settings(deadline=None)
@given(machine=machines())
def test_a_legacy_image_whose_annotations_were_dropped_is_read_by_its_labels(machine: Artifact) -> None:
    if all(each.role is Role.OTHER for each in machine.parts):
        return
    source, _ = written(machine, "legacy")
    bare = image(source)
    stripped = an_image_of(
        [Descriptor(media_type=each.media_type, digest=each.digest, size=each.size) for each in bare.manifest.layers],
        labels=bare.config.labels,
    )

    name, found = dialects.read(stripped)

    assert name == "labels"
    assert sorted(row[:3] for row in saying(found)) == sorted(row[:3] for row in saying(machine))
    assert contents(source, found) == contents(source, machine)
    assert found.command_line == machine.command_line


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_writing_twice_gives_the_same_digest(format: str, codec: str) -> None:
    first = written(a_whole_machine(), format, codec=Codec.parse(codec))[1]
    second = written(a_whole_machine(), format, codec=Codec.parse(codec))[1]

    assert first.descriptor == second.descriptor


def test_legacy_layers_are_byte_for_byte_the_originals() -> None:
    for vector in VECTORS["layer_tars"]:
        name, file = vector["name"], vector["content"].encode()
        role, index = Role.KERNEL, None
        if name.startswith("disk-"):
            role, index = (Role.ROOT_DISK, None) if "root" in name else (Role.EXTRA_DISK, int(name.split("-")[1]))
        elif name == "initrd":
            role = Role.INITRD
        source, _ = written(Artifact(parts=(part(role, name, file, index=index),)), "legacy")

        assert str(image(source).config.diff_ids[0]) == vector["diff_id"]


def test_the_compression_changes_neither_diff_ids_nor_the_image_id() -> None:
    images = [
        image(written(a_whole_machine(), "legacy", codec=Codec.parse(text))[0]) for text in ("none", "gzip", "zstd")
    ]

    assert len({each.manifest.config.digest for each in images}) == 1
    assert len({each.manifest.layers[0].digest for each in images}) == 3


def test_a_generated_config_is_in_the_originals_order() -> None:
    source, _ = written(a_whole_machine(), "legacy")

    config = json.loads(source.blobs[image(source).manifest.config.digest])

    assert list(config)[:6] == ["created", "author", "architecture", "os", "config", "rootfs"]
    assert config["created"] == "2020-09-13T12:26:40Z"
    assert config["config"]["Labels"]["org.lfedge.eci.artifact.disk-1"] == "/disk-1-d2.iso"
    assert list(config["config"]["Labels"]) == sorted(config["config"]["Labels"])


def test_strict_artifacts_are_as_the_original_writes_them() -> None:
    machine = Artifact(parts=(part(Role.KERNEL, "kernel", b"kernel"),))
    source, packed = written(machine, "artifacts", WriteOptions(platform=AMD64, strict=True))

    manifest = json.loads(source.blobs[packed.descriptor.digest])

    assert list(manifest) == ["schemaVersion", "mediaType", "config", "layers"]
    assert manifest["config"]["annotations"] == {TITLE: "config.json"}
    assert manifest["layers"][0]["annotations"] == {MEDIA_TYPE: KERNEL, ROLE: "kernel", TITLE: "kernel"}


def test_a_config_of_the_users_takes_the_generated_ones_place() -> None:
    source, _ = written(a_whole_machine(), "artifacts")

    config = image(source).manifest.config

    assert config.media_type == "application/vnd.lfedge.eci.config.v1+json"
    assert source.blobs[config.digest] == b'{"abc":"def"}\n'
    assert config.annotations == {
        MEDIA_TYPE: "application/vnd.lfedge.eci.config.v1+json",
        ROLE: "",
        TITLE: "config.json",
    }


def test_the_sample_manifest_of_the_readme_is_read() -> None:
    config = Descriptor.of(
        b'{"abc":"def"}\n',
        "application/vnd.oci.image.config.v1+json",
        {MEDIA_TYPE: "application/vnd.lfedge.eci.config.v1+json", TITLE: "config.json"},
    )
    layers = [layer(TAR, "kernel", "kernel", KERNEL), layer(TAR, "disk-root", "disk-root-a.raw", f"{DISK}raw")]

    name, found = dialects.read(an_image_of(layers, config=config))

    assert name == "eci-legacy"
    assert [each.name for each in found.parts] == ["kernel", "disk-root-a.raw", "config.json"]
    assert found.parts[0].locator == Member(descriptor=layers[0], path="kernel", or_whole_blob=True)
    assert found.parts[2].locator == Blob(descriptor=config)


@pytest.mark.parametrize(
    ("spelling", "role"),
    [
        ("application/vnd.lfedge.eci.kernel.layer.v1.tar", Role.KERNEL),
        ("application/vnd.lfedge.eci.kernel.layer.v1+kernel", Role.KERNEL),
        ("application/vnd.lfedge.eci.initrd.layer.v1.tar", Role.INITRD),
        ("application/vnd.lfedge.eci.initrd.layer.v1+cpio", Role.INITRD),
        ("application/vnd.lfedge.disk.layer.v1+qcow2", Role.ROOT_DISK),
        ("application/vnd.lfedge.eci.layer.v1", Role.OTHER),
    ],
)
def test_a_media_type_alone_says_the_role_in_either_spelling(spelling: str, role: Role) -> None:
    [found] = dialects.read(an_image_of([layer(spelling)]))[1].parts

    assert found.role is role


def test_a_disk_of_unknown_type_has_none() -> None:
    legacy = dialects.read(an_image_of([layer(f"{TAR}+gzip", "disk-root", "disk-root-x.qcow2")]))[1]

    assert legacy.parts[0].disk_type is None


def test_disks_are_numbered_by_their_titles_and_else_in_order() -> None:
    layers = [
        layer(f"{DISK}iso", "disk-additional", "b.iso"),
        layer(f"{DISK}raw", "disk-additional", "disk-0-a.raw"),
        layer(f"{DISK}raw", "disk-additional", "disk-12-c.raw"),
        layer(f"{DISK}raw", "disk-additional"),
    ]

    found = dialects.read(an_image_of(layers))[1]

    assert [(each.index, each.name) for each in found.parts] == [
        (0, "disk-0-a.raw"),
        (1, "disk-1-b.iso"),
        (2, "disk-2-disk.raw"),
        (12, "disk-12-c.raw"),
    ]


@pytest.mark.parametrize(
    "layers",
    [
        [layer(KERNEL, "kernel", "kernel"), layer(KERNEL, "kernel", "kernel2")],
        [layer(f"{DISK}raw", "disk-additional", "disk-1-a"), layer(f"{DISK}raw", "disk-additional", "disk-1-b")],
        [layer(KERNEL, "initrd", "kernel")],
        [layer(f"{DISK}raw", "disk-root", "x", says=f"{DISK}qcow2")],
        [layer(f"{DISK}raw", None, "a"), layer(f"{DISK}raw", None, "b")],
        [layer("application/vnd.lfedge.eci.layer.v1", "", "kernel"), layer(KERNEL, "kernel", "kernel")],
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(layers: list[Descriptor]) -> None:
    with pytest.raises(AmbiguousRoleError):
        dialects.read(an_image_of(layers))


def test_the_only_disk_is_the_root_disk_and_one_beside_it_is_not() -> None:
    alone = dialects.read(an_image_of([layer(f"{DISK}raw")]))[1]
    beside = dialects.read(an_image_of([layer(f"{DISK}raw", "disk-root", "r"), layer(f"{DISK}iso")]))[1]

    assert [each.role for each in alone.parts] == [Role.ROOT_DISK]
    assert [(each.role, each.index) for each in beside.parts] == [(Role.ROOT_DISK, None), (Role.EXTRA_DISK, 0)]


@pytest.mark.parametrize(
    "title",
    ["../../etc/passwd", "/etc/passwd", "a/../b", "..", ".", "a/", "nul\0", "esc\x1b[2J", "line\nfeed", "x" * 256],
)
@pytest.mark.parametrize("media_type", [KERNEL, f"{TAR}+gzip"])
def test_a_hostile_title_is_refused_and_located(title: str, media_type: str) -> None:
    with pytest.raises(
        FormatError, match=r"^manifest\.layers\[0\]\.annotations\['org\.opencontainers\.image\.title'\]"
    ):
        dialects.read(an_image_of([layer(media_type, "kernel", title)]))


def test_a_title_with_directories_gives_the_file_a_name_without() -> None:
    [found] = dialects.read(an_image_of([layer(f"{TAR}+gzip", "disk-root", "./disk/disk-root-x.raw")]))[1].parts

    assert found.name == "disk-root-x.raw"
    assert isinstance(found.locator, Member)
    assert found.locator.path == "disk/disk-root-x.raw"


def test_a_name_that_grows_too_long_keeps_its_end() -> None:
    [found] = dialects.read(an_image_of([layer(f"{DISK}raw", "disk-root", "ä" * 120 + ".raw")]))[1].parts

    assert len(found.name.encode()) <= 255
    assert found.name.startswith("disk-root-ä")
    assert found.name.endswith("ä.raw")


def test_a_plain_image_is_of_no_dialect() -> None:
    with pytest.raises(UnknownDialectError) as caught:
        dialects.read(an_image_of([layer(f"{TAR}+gzip")], settings={"Cmd": ["sh"]}))

    assert any("--path" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("name", ["a/b", "line\nfeed", "x" * 256, "..", "\udcff", ""])
@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_a_name_that_no_reader_would_take_is_not_written(name: str, format: str) -> None:
    machine = Artifact(parts=(part(Role.OTHER, name, b"x"),))

    with pytest.raises(UsageError, match=r"is a path|cannot be written into an image"):
        writer(format)(machine, TERMS)


def test_labels_of_the_users_are_written_but_cannot_contradict_the_parts() -> None:
    machine = Artifact(parts=(part(Role.KERNEL, "kernel", b"kernel"),), labels={"kept": "1"})
    source, _ = written(machine, "legacy", WriteOptions(platform=AMD64, labels={"mine": "2"}))

    assert image(source).config.labels == {"kept": "1", "mine": "2", "org.lfedge.eci.artifact.kernel": "/kernel"}
    with pytest.raises(UsageError, match="is written by eci-convert"):
        written(machine, "legacy", WriteOptions(platform=AMD64, labels={"org.lfedge.eci.artifact.kernel": "/other"}))


def test_a_legacy_image_can_serve_kubevirt_as_well() -> None:
    machine = Artifact(parts=(part(Role.ROOT_DISK, "r.qcow2", b"disk", DiskType.QCOW2),))
    source, _ = written(machine, "legacy", WriteOptions(platform=AMD64, extra_dialects=("containerdisk",)))

    name, found = dialects.read(image(source))

    assert name == "eci-legacy"
    assert image(source).config.labels["org.lfedge.eci.artifact.root"] == "/disk/r.qcow2"
    assert saying(found) == saying(machine)
    assert contents(source, found) == contents(source, machine)


@pytest.mark.parametrize(("format", "also"), [("artifacts", "containerdisk"), ("legacy", "ironcore")])
def test_what_cannot_serve_two_says_so(format: str, also: str) -> None:
    with pytest.raises(UsageError, match=also):
        writer(format)(a_whole_machine(), WriteOptions(platform=AMD64, extra_dialects=(also,)))
