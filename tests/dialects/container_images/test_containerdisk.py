"""KubeVirt's containerdisks: how they are recognised, read and written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import read_with
from eci_convert.errors import CannotHoldError, UnknownDialectError
from eci_convert.model import Artifact, DiskType, Role, RootfsFile
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.operations.verify import verify_image
from eci_convert.tar import entries
from tests.support.images import an_image
from tests.support.machines import TERMS, an_image_of, contents, image, part, written

TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER = Descriptor.of(b"x", f"{TAR}+gzip")


def a_disk(name: str = "r.qcow2", disk_type: DiskType | None = DiskType.QCOW2) -> Artifact:
    return Artifact(parts=(part(Role.ROOT_DISK, name, b"disk", disk_type),))


def test_the_disk_is_the_only_file_in_its_directory_and_qemu_may_read_it() -> None:
    source, _ = written(a_disk(), "containerdisk")
    [layer] = image(source).manifest.layers

    members = [(each.name, each.uid, each.gid, each.mode) for each in entries((source.blobs[layer.digest],))]

    assert members == [("disk/", 107, 107, 0o755), ("disk/r.qcow2", 107, 107, 0o440)]
    assert not image(source).config.labels


@pytest.mark.parametrize(
    ("name", "stored"),
    [("my disk.raw", "my-disk.raw"), ("50%.raw", "50-.raw"), ("a%20b", "a-20b"), ("dïsk\U0001f600.raw", "d-sk-.raw"),
     ("a?b#c", "a-b-c"), ('q"\\.raw', "q--.raw"), ("V1.2_a~b+c:d@e,f=g-h.raw", "V1.2_a~b+c:d@e,f=g-h.raw")],
)  # fmt: skip
@pytest.mark.parametrize("format", ["containerdisk", "legacy"])
def test_the_disk_has_a_name_that_a_url_holds_as_it_is(format: str, name: str, stored: str) -> None:
    """CDI's importer finds no other."""
    terms = replace(TERMS, extra_dialects=("containerdisk",) if format == "legacy" else ())
    source, _ = written(a_disk(name), format, terms)
    [layer] = image(source).manifest.layers

    assert [each.name for each in entries((source.blobs[layer.digest],))] == ["disk/", f"disk/{stored}"]
    assert contents(source, dialects.read(image(source))[1]) == {(Role.ROOT_DISK, None, ""): b"disk"}


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_the_layer_of_the_disk_is_the_same_whichever_format_it_serves(codec: str) -> None:
    also = replace(TERMS, extra_dialects=("containerdisk",))

    made = [
        image(written(a_disk(), format, terms, codec=Codec.parse(codec))[0])
        for format, terms in (  # noqa: A001
            ("containerdisk", TERMS),
            ("legacy", also),
        )
    ]

    assert made[0].manifest.layers[0].digest == made[1].manifest.layers[0].digest
    assert made[0].config.diff_ids == made[1].config.diff_ids
    assert {tuple(one.config.fields["config"]["Entrypoint"]) for one in made} == {("no-entrypoint",)}


def test_a_layer_tells_the_size_and_the_path_of_its_file() -> None:
    [layer] = image(written(a_disk(), "containerdisk")[0]).manifest.layers

    assert layer.annotations["io.eci-convert.file.size"] == "4"
    assert layer.annotations["io.eci-convert.file.path"] == "/disk/r.qcow2"


def test_a_legacy_image_serves_kubevirt_only_with_a_disk_that_it_boots() -> None:
    for machine in (a_disk("r", DiskType.VMDK), Artifact(parts=(part(Role.KERNEL, "", b"k"),))):
        with pytest.raises(CannotHoldError, match="containerdisk"):
            written(machine, "legacy", replace(TERMS, extra_dialects=("containerdisk",)))


def test_it_is_found_where_kubevirt_looks() -> None:
    name, found = dialects.read(image(written(a_disk(), "containerdisk")[0]))

    assert name == "containerdisk"
    assert [each.locator for each in found.parts] == [RootfsFile(path="disk/")]


def test_kernel_and_initrd_are_told_by_labels() -> None:
    machine = Artifact(parts=(*a_disk().parts, part(Role.KERNEL, "", b"k"), part(Role.INITRD, "", b"i")))

    name, found = dialects.read(image(written(machine, "containerdisk")[0]))

    assert name == "labels"
    assert {str(each.locator.path) for each in found.parts} == {  # type: ignore[union-attr]
        "/boot/vmlinuz", "/boot/initrd", "/disk/r.qcow2"
    }  # fmt: skip


@pytest.mark.parametrize("disk_type", [DiskType.VMDK, DiskType.VHD, DiskType.OVA, DiskType.QCOW])
def test_a_type_that_kubevirt_does_not_take_is_refused(disk_type: DiskType) -> None:
    with pytest.raises(CannotHoldError, match=str(disk_type)):
        written(a_disk("r", disk_type), "containerdisk")


@pytest.mark.parametrize(
    "step",
    [
        "ADD --chown=107:107 x.qcow2 /disk/",
        "COPY x.qcow2 /disk/ # buildkit",
        "ADD --chown=107:107 x.qcow2 /disk # buildkit",
        "/bin/sh -c #(nop) ADD --chown=107:107 file:0123 in /disk/ ",
        'COPY ["x.qcow2", "/disk/"]',
        "COPY x.qcow2 /disk/boot.qcow2",
        "eci-convert: disk-root-x.qcow2",
    ],
)
@pytest.mark.parametrize("settings", [{}, {"Cmd": ["sh"]}])
def test_a_build_step_that_copies_into_the_directory_is_a_mark(step: str, settings: dict[str, object]) -> None:
    built = an_image_of([LAYER], settings=settings, fields={"history": [{"created_by": step}]})

    assert dialects.read(built)[0] == "containerdisk"


@pytest.mark.parametrize(
    "step",
    [
        "RUN true",
        "RUN cp x /disk/",
        "/bin/sh -c ls /sys/class/disk/",
        "RUN echo ADD x /disk/",
        "COPY disk/ /diskutils/",
        "COPY /disk/a /srv/",
        "COPY x /mnt/disk/",
        "WORKDIR /disk",
        "eci-convert: kernel",
        "",
    ],
)
def test_another_build_step_is_no_mark(step: str) -> None:
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of([LAYER], fields={"history": [{"created_by": step}]}))


@pytest.mark.parametrize("history", [None, [], [1], [{"created_by": 1}], "/disk", {"created_by": "ADD x /disk/"}])
@pytest.mark.parametrize("settings", [{}, {"Cmd": ["sh"]}, {"Env": ["PATH=/bin"]}])
def test_a_container_image_that_declares_nothing_is_no_containerdisk(
    history: object, settings: dict[str, object]
) -> None:
    """Every image of a distribution, and `FROM scratch` with one text file."""
    undeclared = an_image_of([LAYER], settings=settings, fields={"history": history})

    with pytest.raises(UnknownDialectError, match="declares no parts") as caught:
        dialects.read(undeclared)
    assert any("--dialect containerdisk" in note for note in caught.value.__notes__)
    assert read_with("containerdisk", undeclared)[0] == "containerdisk"


def test_the_root_disk_of_a_legacy_image_is_no_containerdisk() -> None:
    """Its history names the disk in the words of an old containerDisk of ours; its label says that /disk is not where
    it is."""
    built = image(written(a_disk(), "legacy")[0])

    assert dialects.served_dialects(built) == ("eci-legacy", "labels")


def test_the_layouts_of_linuxkit_and_edera_are_no_containerdisks() -> None:
    """LinuxKit: a label and files in /; Edera: labels and /kernel."""
    for label in ("org.mobyproject.linuxkit.kernel.buildimage", "dev.edera.kernel.flavor"):
        with pytest.raises(UnknownDialectError):
            dialects.read(an_image_of([LAYER], labels={label: "x"}, fields={"history": [{"created_by": "COPY a /"}]}))


@pytest.mark.parametrize(
    "marked",
    [
        an_image_of([LAYER], artifact_type="application/vnd.kubevirt.containerdisk"),
        an_image_of([LAYER], labels={"source-image-format": "qcow2", "source-image-size": "5"}),
        an_image_of([LAYER], settings={"Entrypoint": ["no-entrypoint"]}),
    ],
    ids=["artifact type", "labels of Deckhouse", "entrypoint"],
)
def test_a_mark_in_manifest_or_config_is_enough(marked: ImageMetadata) -> None:
    name, artifact = dialects.read(marked)

    assert name == "containerdisk"
    assert [part.locator for part in artifact.parts] == [RootfsFile(path="disk/")]


def test_one_of_two_labels_is_no_mark() -> None:
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of([LAYER], labels={"source-image-format": "qcow2"}))


def test_openshifts_variable_tells_the_path_of_the_disk() -> None:
    settings = {"Env": ["PATH=/bin", "PODVM_IMAGE_PATH=/image/podvm.qcow2"]}

    name, artifact = dialects.read(an_image_of([LAYER], settings=settings))

    assert name == "containerdisk"
    assert [part.locator for part in artifact.parts] == [RootfsFile(path="/image/podvm.qcow2")]


@pytest.mark.parametrize(
    "layers", [[], [Descriptor.of(b"x", "application/octet-stream")], [LAYER, Descriptor.of(b"x", "text/plain")]]
)
def test_what_is_no_container_image_is_none(layers: list[Descriptor]) -> None:
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of(layers))


@pytest.mark.parametrize("extra", [{}, {"Cmd": ["x"]}, {"Env": ["PATH=/bin"], "Labels": {"shasum": "0"}}])
def test_one_of_kubevirts_own_is_known_by_the_entrypoint_that_is_none(extra: dict[str, object]) -> None:
    settings = {"Entrypoint": ["no-entrypoint"], **extra}

    found = an_image_of([LAYER], settings=settings, fields={"history": [{}]})

    assert dialects.read(found)[0] == "containerdisk"


@pytest.mark.parametrize("entrypoint", [["no-entrypoint", "x"], ["/no-entrypoint"], "no-entrypoint", ["sh"]])
def test_another_entrypoint_is_a_program(entrypoint: object) -> None:
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of([LAYER], settings={"Entrypoint": entrypoint}, fields={"history": [{}]}))


TITLED = Descriptor.of(b"x", TAR, {"org.opencontainers.image.title": "deploy.kernel"})


def test_an_artifact_of_titled_files_is_no_containerdisk() -> None:
    """ironic: a config of a container image's type with nothing in it, and a layer that says it is an archive."""
    for found in (
        an_image_of([TITLED], fields={"rootfs": None}),
        an_image_of([TITLED], fields={"rootfs": {"type": "layers", "diff_ids": []}}),
        an_image_of([TITLED], artifact_type="application/vnd.unknown.artifact.v1"),
        with_diff_ids(an_image_of([TITLED], artifact_type="application/vnd.unknown.artifact.v1")),
    ):
        with pytest.raises(UnknownDialectError):
            dialects.read(found)


def with_diff_ids(found: ImageMetadata) -> ImageMetadata:
    return replace(found, config=replace(found.config, diff_ids=tuple(layer.digest for layer in found.manifest.layers)))


def test_an_artifact_of_titled_files_is_not_unpacked_to_be_verified() -> None:
    builder = an_image().layer(TAR, b"no archive", title="deploy.kernel").config_field("rootfs", None)

    report = verify_image(builder.build())

    assert report.ok, report.problems
    assert "no dialect" in report.notes[0]
