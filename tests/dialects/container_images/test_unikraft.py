"""KraftKit's images, against what its Go code makes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.container_images.command_line import join_command_line, split_command_line
from eci_convert.errors import CannotHoldError, FormatError, UnknownDialectError
from eci_convert.model import Artifact, Blob, Member, Role, RootfsFile
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.platform import Platform
from eci_convert.reading.images import load_image
from tests.support.machines import AMD64, an_image_of, image, part, written

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "unikraft.json").read_text())
TAR = "application/vnd.oci.image.layer.v1.tar"
NAMED = WriteOptions(platform=AMD64, name="localhost:5000/acme/hello:1.2@sha256:" + 64 * "0")


def a_unikernel(command_line: str | None = None) -> Artifact:
    parts = (part(Role.KERNEL, "", b"kernel"), part(Role.INITRD, "", b"initrd"))
    return Artifact(parts=parts, command_line=command_line)


def test_layers_are_byte_for_byte_kraftkits_and_never_compressed() -> None:
    source, _ = written(a_unikernel(), "unikraft", codec=Codec.parse("gzip"))

    for layer, vector in zip(image(source).manifest.layers, VECTORS["layer_tars"], strict=True):
        assert (str(layer.digest), layer.media_type) == (vector["diff_id"], TAR)
        assert layer.annotations[f"org.unikraft.kernel.{'image' if 'kernel' in vector['name'] else 'initrd'}"] == (
            "/" + vector["name"]
        )
    assert [str(diff_id) for diff_id in image(source).config.diff_ids] == [
        vector["diff_id"] for vector in VECTORS["layer_tars"]
    ]


def test_the_documents_are_as_kraftkit_needs_them() -> None:
    source, packed = written(a_unikernel("-v  net"), "unikraft", NAMED)

    index = json.loads(source.blobs[packed.descriptor.digest])
    manifest = json.loads(source.blobs[image(source).descriptor.digest])
    config = json.loads(source.blobs[image(source).manifest.config.digest])

    assert list(manifest) == ["schemaVersion", "mediaType", "config", "layers", "annotations"]
    assert manifest["config"]["platform"] == {"architecture": "x86_64", "os": "qemu"}
    assert manifest["annotations"]["sh.kraftkit.version"]
    assert manifest["annotations"]["org.unikraft.image.name"] == "localhost:5000/acme/hello"
    assert index["manifests"][0]["platform"] == {"architecture": "x86_64", "os": "qemu"}
    assert index["manifests"][0]["annotations"] == manifest["annotations"]
    assert set(index["annotations"]) == {
        "sh.kraftkit.version", "io.containerd.image.name", "org.opencontainers.image.ref.name"
    }  # fmt: skip
    assert list(config) == ["architecture", "os", "config", "rootfs"]
    assert config["config"] == {"Cmd": ["-v", "", "net"]}


def test_a_unikernels_own_platform_is_kept_and_its_features_are_in_order() -> None:
    platform = Platform(
        os="fc", architecture="arm64", os_version="0.16", os_features=("CONFIG_B=1", "10", "CONFIG_A=y", "9")
    )
    source, _ = written(a_unikernel(), "unikraft", WriteOptions(platform=platform))

    config = json.loads(source.blobs[image(source).manifest.config.digest])

    assert (config["os"], config["architecture"], config["os.version"]) == ("fc", "arm64", "0.16")
    assert config["os.features"] == ["10", "9", "CONFIG_A=y", "CONFIG_B=1"]


def test_other_formats_name_the_platform_in_gos_words() -> None:
    source, _ = written(a_unikernel(), "legacy", WriteOptions(platform=Platform(os="xen", architecture="x86_64")))

    assert str(image(source).platform) == "linux/amd64"


def layer(key: str, path: str, media_type: str = TAR) -> Descriptor:
    return Descriptor.of(key.encode(), media_type, {f"org.unikraft.kernel.{key}": path})


def test_annotations_say_where_things_are() -> None:
    layers = [layer("image", "/boot/k", f"{TAR}+gzip"), layer("initrd", "/i", "application/vnd.unikraft.initrd.v1")]

    name, found = dialects.read(an_image_of(layers, settings={"Cmd": ["a", "b c"]}))

    assert name == "unikraft"
    assert [each.locator for each in found.parts] == [
        Member(descriptor=layers[0], path="boot/k"),
        Blob(descriptor=layers[1]),
    ]
    assert found.command_line == 'a "b c"'


@pytest.mark.parametrize("form", ["artifacts", "legacy", "ironcore"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-c", "hello world"], '-c "hello world"'),
        (["quiet", "greeting=hello world", "--", "x=1"], 'quiet greeting="hello world" -- x=1'),
        (["-v", "", "net"], "-v  net"),
        (['vfs.fstab=[ "initrd0:/" ]'], 'vfs.fstab="[ "\'"\'"initrd0:/"\'"\'" ]"'),
        (['5"', "disk"], '"5"\'"\'"" disk'),
    ],
)
def test_arguments_stay_apart_in_other_formats_and_on_their_way_back(
    form: str, arguments: list[str], text: str
) -> None:
    read = dialects.read(an_image_of([layer("image", "/boot/k")], settings={"Cmd": arguments}))[1]
    elsewhere, _ = written(replace(read, parts=a_unikernel().parts), form)
    found = dialects.read(load_image(elsewhere))[1]
    assert found.command_line == text

    back, _ = written(replace(found, parts=a_unikernel().parts), "unikraft")

    assert load_image(back).config.fields["config"] == {"Cmd": arguments}


@given(st.text("\" ='ab", max_size=20))
def test_a_command_line_is_the_same_after_it_was_a_list(text: str) -> None:
    assert join_command_line(split_command_line(text)) == text


@given(st.lists(st.text("\" ='ab", max_size=8), max_size=4))
def test_a_list_is_the_same_after_it_was_a_command_line(arguments: list[str]) -> None:
    """But for quotes that are the very ones that a word gets: KraftKit, which adds none, wants them in the list."""
    same = split_command_line(join_command_line(arguments))

    assert join_command_line(same) == join_command_line(arguments)
    for before, after in zip(arguments or [""], same, strict=True):
        assert (
            before == after
            or before in (f'{name}="{value}"' for name, equals, value in [after.partition("=")])
            or (before == f'"{after}"')
        )


@pytest.mark.parametrize("form", ["artifacts", "legacy", "unikraft"])
def test_the_environment_comes_along(form: str) -> None:
    layers = [layer("image", "/boot/k")]
    words = ["HOME=/", 'WORDS=a "b" <c>']
    machine = dialects.read(an_image_of(layers, settings={"Env": words}))[1]
    machine = replace(machine, parts=a_unikernel().parts)

    source, _ = written(machine, form)
    found = dialects.read(load_image(source))[1]

    assert found.environment == tuple(words)
    if form == "unikraft":
        assert load_image(source).config.fields["config"] == {"Env": words}


def test_an_environment_for_which_there_is_no_place_is_named() -> None:
    with pytest.raises(CannotHoldError, match="ironcore has no place for the environment 'HOME=/'"):
        written(replace(a_unikernel(), environment=("HOME=/",)), "ironcore")
    with pytest.raises(FormatError, match=r"config\.Env"):
        dialects.read(an_image_of([layer("image", "/boot/k")], settings={"Env": [1]}))


def test_an_image_that_is_marked_but_whose_layers_say_nothing_has_things_where_kraftkit_puts_them() -> None:
    bare = [Descriptor.of(b"k", TAR), Descriptor.of(b"i", TAR)]
    mark = {"sh.kraftkit.version": "v0.9"}

    two = dialects.read(an_image_of(bare, annotations=mark))[1]
    one = dialects.read(an_image_of(bare[:1], entry=mark))[1]

    assert [each.locator for each in two.parts] == [
        RootfsFile(path="/unikraft/bin/kernel"),
        RootfsFile(path="/unikraft/bin/initrd"),
    ]
    assert [each.role for each in one.parts] == [Role.KERNEL]
    with pytest.raises(UnknownDialectError):
        dialects.read(an_image_of(bare, settings={"Cmd": ["x"]}))


@pytest.mark.parametrize("path", ["/", "/boot/", "/..", "/a\0b"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(FormatError, match=r"manifest\.layers\[0\]"):
        dialects.read(an_image_of([layer("image", path)]))


def test_arguments_that_are_no_texts_are_refused() -> None:
    with pytest.raises(FormatError, match=r"Cmd\[1\]"):
        dialects.read(an_image_of([layer("image", "/k")], settings={"Cmd": ["a", 1]}))
