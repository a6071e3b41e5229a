from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.errors import (
    DigestMismatchError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedImageError,
    UsageError,
)
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import to_json
from eci_convert.oci.platform import parse_platform
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports import open_source
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings
from tests.support.images import a_container, a_machine, an_image, an_index, files_in
from tests.support.layouts_by_hand import add_blobs, blob_in, laid_out, manifest_digest

ONE, OTHER = a_machine(kernel=b"one"), a_machine(kernel=b"other")


def opened(layout: Path, name: str = "") -> Source:
    return open_source(f"oci:{layout}{name}", Settings())


def kernel_of(source: Source) -> bytes:
    return load_document(source, load_image(source).manifest.layers[0])


def everything(source: Source) -> list[bytes]:
    return [load_document(source, layer) for layer in load_image(source).manifest.layers]


def changed_index(layout: Path, **changes: object) -> None:
    path = layout / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_flaws_of_the_original_eci_are_read(tmp_path: Path) -> None:
    name = f"docker.io/lfedge/eci-nginx:1@{manifest_digest(ONE)}"
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: name}), index={"schemaVersion": 0})
    (layout / "oci-layout").unlink()

    for spelling in ("", ":docker.io/lfedge/eci-nginx:1", f":{name}", f"@{manifest_digest(ONE)}"):
        assert kernel_of(opened(layout, spelling)) == b"one"
    with pytest.raises(NotFoundError):
        opened(layout, ":docker.io/other/thing:zzz").resolve()


def test_the_doubled_entry_of_onmetal_is_one_image(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}), (ONE, {REF_NAME: "ghcr.io/acme/machine:1"}))

    assert kernel_of(opened(layout)) == b"one"
    assert kernel_of(opened(layout, ":ghcr.io/acme/machine:1")) == b"one"


def test_a_layout_without_images_has_none(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", index={"manifests": None})

    with pytest.raises(NotFoundError, match="no image"):
        opened(layout).resolve()


def test_several_images_need_a_name(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "one"}), (OTHER, {IMAGE_NAME: "docker.io/library/o:1"}))

    with pytest.raises(UnsupportedImageError, match=r"2 images.*'one', 'docker\.io/library/o:1'"):
        opened(layout).resolve()
    assert kernel_of(opened(layout, ":one")) == b"one"
    assert kernel_of(opened(layout, ":o:1")) == b"other"
    assert kernel_of(opened(layout, f":@{manifest_digest(OTHER)}")) == b"other"
    assert kernel_of(opened(layout, ":@1")) == b"other"
    with pytest.raises(NotFoundError) as caught:
        opened(layout, ":two").resolve()
    assert "'one'" in caught.value.__notes__[0]


def test_one_name_for_two_images_is_refused(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "1"}), (OTHER, {REF_NAME: "1"}))

    with pytest.raises(UnsupportedImageError, match="2 images"):
        opened(layout, ":1").resolve()


def test_one_name_for_several_platforms_is_an_index(tmp_path: Path) -> None:
    images = [an_image().platform(f"linux/{name}").tar_layer({"a": name.encode()}) for name in ("amd64", "arm64")]
    layout = laid_out(tmp_path / "layout", *((image, {REF_NAME: "1"}) for image in images))
    text = json.loads((layout / "index.json").read_text())
    for entry, image in zip(text["manifests"], images, strict=True):
        assert image.runs_on
        entry["platform"] = image.runs_on.json()
    (layout / "index.json").write_text(json.dumps(text))

    source = opened(layout, ":1")

    assert isinstance(load_root(source)[1], Index)
    for image in images:
        assert load_image(source, image.runs_on).config.diff_ids == image.diff_ids


def test_an_attestation_beside_an_image_is_no_second_image(tmp_path: Path) -> None:
    layout = laid_out(
        tmp_path / "layout",
        (ONE, {REF_NAME: "1"}),
        (OTHER, {REF_NAME: "1", "vnd.docker.reference.type": "attestation-manifest"}),
    )

    assert kernel_of(opened(layout, ":1")) == b"one"


def test_an_image_within_an_index_has_a_digest(tmp_path: Path) -> None:
    images = [an_image().platform(f"linux/{name}").tar_layer({"a": name.encode()}) for name in ("amd64", "arm64")]
    index = an_index(*images)
    layout = laid_out(tmp_path / "layout")
    add_blobs(layout, index.build())
    changed_index(layout, manifests=[index.build().resolve().json()])

    found = load_image(opened(layout, f"@{manifest_digest(images[1])}"))

    assert found.platform == parse_platform("linux/arm64")
    with pytest.raises(NotFoundError):
        opened(layout, f"@{Digest.of(b'nothing')}").resolve()


def test_a_manifest_that_nobody_lists_is_verified(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout")
    add_blobs(layout, ONE.build())
    blob_in(layout, manifest_digest(ONE)).write_bytes(to_json(OTHER.manifest()))

    with pytest.raises(DigestMismatchError):
        opened(layout, f"@{manifest_digest(ONE)}").resolve()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    for reference in (f"{tmp_path}/nothing", f"{tmp_path}", f"{tmp_path}/nothing:1"):
        with pytest.raises(NotFoundError):
            opened(Path(reference)).resolve()

    assert files_in(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_layout_of_another_version_is_refused(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')

    with pytest.raises(FormatError, match=r"2\.0\.0"):
        opened(layout).resolve()


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"manifests": 1}', '{"manifests": [1]}', "\xff", "{}"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    (layout / "index.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(FormatError, match=r"index.json"):
        opened(layout).resolve()


def test_a_manifest_in_place_of_the_index_is_refused(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    (layout / "index.json").write_bytes(to_json(ONE.manifest()))

    with pytest.raises(FormatError, match="has the media type"):
        opened(layout).resolve()


def test_an_index_without_end_is_not_read(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    os.truncate(layout / "index.json", 1 << 40)

    with pytest.raises(LimitExceededError, match=r"index.json is 1099511627776 bytes"):
        opened(layout).resolve()


def put_in_place_of(path: Path, kind: str) -> None:
    """Something else in the place of the file."""
    moved = path.with_name(path.name + ".moved")
    path.rename(moved)
    if kind == "link":
        path.symlink_to(moved)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "device":
        path.symlink_to("/dev/zero")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "dangling", "device"])
@pytest.mark.parametrize("what", ["index.json", "oci-layout", "manifest", "layer", "blobs/sha256", "blobs"])
def test_nothing_but_files_is_opened(tmp_path: Path, what: str, kind: str) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    named = {"manifest": manifest_digest(ONE), "layer": ONE.manifest().layers[0].digest}
    put_in_place_of(blob_in(layout, named[what]) if what in named else layout / what, kind)

    with pytest.raises((FormatError, NotFoundError), match=r"index.json|oci-layout|blobs|not found"):
        kernel_of(opened(layout))


def test_a_layout_may_be_behind_a_link(tmp_path: Path) -> None:
    laid_out(tmp_path / "layout", (ONE, {}))
    (tmp_path / "link").symlink_to("layout")

    assert kernel_of(opened(tmp_path / "link")) == b"one"


@pytest.mark.parametrize("blob", [b"", b"on", b"ones", b"one" * 1000])
def test_a_blob_of_another_size_is_refused(tmp_path: Path, blob: bytes) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    blob_in(layout, ONE.manifest().layers[0].digest).write_bytes(blob)

    with pytest.raises(SizeMismatchError):
        kernel_of(opened(layout))


def test_a_blob_of_another_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    layer = ONE.manifest().layers[0]

    with pytest.raises(SizeMismatchError), opened(layout).fetch(replace(layer, size=layer.size + 1)):
        pytest.fail("it was opened")


@pytest.mark.parametrize("which", range(5))
def test_every_spoilt_blob_is_refused(tmp_path: Path, which: int) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    digest = sorted(ONE.build().blobs)[which]
    path = blob_in(layout, digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")

    with pytest.raises(IntegrityError, match=r"digest mismatch|size mismatch"):
        everything(opened(layout))


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {}))
    layer = ONE.manifest().layers[0]
    blob_in(layout, layer.digest).unlink()

    with pytest.raises(NotFoundError, match=layer.digest.hex):
        kernel_of(opened(layout))


def test_addresses_of_foreign_layers_are_not_followed(tmp_path: Path) -> None:
    layer = replace(ONE.manifest().layers[0], urls=("http://127.0.0.1:1/layer", "file:///etc/passwd"))
    image = replace(ONE, layers=((layer, b"one"), *ONE.layers[1:]))
    layout = laid_out(tmp_path / "layout", (image, {}))
    assert kernel_of(opened(layout)) == b"one"
    blob_in(layout, layer.digest).unlink()

    with pytest.raises(NotFoundError, match=layer.digest.hex):
        kernel_of(opened(layout))


def test_holes_are_read_as_zeros(tmp_path: Path) -> None:
    blob = b"a" + bytes(5 << 20) + b"b" + bytes(3 << 20)
    image = an_image().layer("application/x-disk", blob)
    layout = laid_out(tmp_path / "layout", (image, {}))
    path = blob_in(layout, image.manifest().layers[0].digest)
    with path.open("wb") as file:
        os.pwrite(file.fileno(), b"a", 0)
        os.pwrite(file.fileno(), b"b", (5 << 20) + 1)
        file.truncate(len(blob))

    source = opened(layout)
    for skip in (0, 1, 4096, (5 << 20) + 1, (5 << 20) + 2, len(blob) - 1):
        with source.fetch(image.manifest().layers[0], skip) as chunks:
            assert b"".join(chunks) == blob[skip:]


def test_names_from_an_index_are_not_printed_raw(tmp_path: Path) -> None:
    layout = laid_out(tmp_path / "layout", (ONE, {REF_NAME: "\x1b[2Jone\n"}), (OTHER, {REF_NAME: "\u202eother"}))

    with pytest.raises(UnsupportedImageError) as caught:
        opened(layout).resolve()

    assert str(caught.value).isprintable()


def test_referrers_are_listed_or_tagged(tmp_path: Path) -> None:
    image = a_container()
    subject = image.descriptor()
    listed = an_image().layer("text/plain", b"listed").subject(subject)
    tagged = an_image().layer("text/plain", b"tagged").subject(subject).annotation("who", "me")
    stranger = an_image().layer("text/plain", b"stranger").subject(ONE.descriptor())
    layout = laid_out(tmp_path / "layout", (image, {REF_NAME: "1"}), (listed, {}), (stranger, {}))
    add_blobs(layout, tagged.build())
    tag = to_json(Index(manifests=(tagged.descriptor(),)))
    blob_in(layout, Digest.of(tag)).write_bytes(tag)
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    name = f"sha256-{subject.digest.hex}"
    entry = {**Descriptor.of(tag, "application/vnd.oci.image.index.v1+json").json(), "annotations": {REF_NAME: name}}
    changed_index(layout, manifests=[*entries, entry])

    found = opened(layout, ":1").referrers(subject.digest)

    assert {one.digest for one in found} == {manifest_digest(listed), manifest_digest(tagged)}
    assert {one.annotations.get("who") for one in found} == {None, "me"}
    assert all(one.artifact_type == "application/vnd.oci.image.config.v1+json" for one in found)


def test_a_digest_that_is_none_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a sha256 digest"):
        opened(tmp_path, "@sha256:12")
