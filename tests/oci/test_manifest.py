from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from eci_convert.errors import DigestMismatchError, FormatError, IntegrityError, LimitExceededError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_root
from eci_convert.transports.memory import MemorySource, MemoryStore
from tests.support.images import a_container, an_image

DIGEST = str(Digest.of(b"blob"))
BLOB = {"mediaType": media_types.OCI_LAYER, "digest": DIGEST, "size": 4}
CONFIG = {"mediaType": media_types.OCI_CONFIG, "digest": DIGEST, "size": 4}
MANIFEST = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": CONFIG, "layers": [BLOB]}
INDEX = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [BLOB]}


def parsed(data: dict[str, Any], media_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(data).encode(), media_type)


def with_layer(**changes: Any) -> dict[str, Any]:
    layer = {key: value for key, value in {**BLOB, **changes}.items() if value is not ...}
    return {**MANIFEST, "layers": [layer]}


def test_a_manifest_is_what_it_says() -> None:
    found = parsed({**MANIFEST, "annotations": {"a": "b"}, "artifactType": "x/y", "subject": BLOB, "unknown": [1]})

    assert found == Manifest(
        config=Descriptor(media_type=media_types.OCI_CONFIG, digest=Digest.parse(DIGEST), size=4),
        layers=(Descriptor(media_type=media_types.OCI_LAYER, digest=Digest.parse(DIGEST), size=4),),
        annotations={"a": "b"},
        artifact_type="x/y",
        subject=Descriptor(media_type=media_types.OCI_LAYER, digest=Digest.parse(DIGEST), size=4),
    )


def test_what_is_rendered_is_read_again() -> None:
    descriptor = Descriptor(
        media_type="x/y",
        digest=Digest.of(b"blob", "sha512"),
        size=2**63 - 1,
        annotations={"b": "<&>\u2028", "a": "ä"},
        platform=Platform(os="linux", architecture="arm", variant="v7", os_version="1", os_features=("win32k",)),
        artifact_type="a/b",
        urls=("https://example.com/x",),
        data=b"blob",
    )
    for document in (
        Manifest(config=descriptor, layers=(descriptor, descriptor), annotations={"x": "y"}, subject=descriptor),
        Index(manifests=(descriptor,), annotations={"x": "y"}, artifact_type="a/b", subject=descriptor),
    ):
        assert parse_manifest(to_json(document), "") == document
        assert to_json(parse_manifest(to_json(document), "")) == to_json(document)


def test_a_document_is_rendered_as_go_does() -> None:
    manifest = Manifest(
        config=Descriptor.of(b"", media_types.OCI_CONFIG), layers=(), annotations={"b": "<&>\u2028", "a": "ä"}
    )

    text = to_json(manifest).decode()

    assert text.startswith('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"')
    assert text.endswith(',"layers":[],"annotations":{"a":"ä","b":"\\u003c\\u0026\\u003e\\u2028"}}')


@pytest.mark.parametrize("version", [0, None, ...])
def test_the_schema_version_that_eci_forgets_is_forgiven(version: object) -> None:
    data = {key: value for key, value in {**MANIFEST, "schemaVersion": version}.items() if value is not ...}

    assert isinstance(parsed(data), Manifest)


@pytest.mark.parametrize("version", [1, 3, -1, "2", 2.0, True, [2]])
def test_other_schema_versions_are_refused(version: object) -> None:
    with pytest.raises(FormatError, match=r"schema 1 is not supported|schemaVersion: "):
        parsed({**MANIFEST, "schemaVersion": version})


@pytest.mark.parametrize("media_type", sorted(media_types.DOCKER_SCHEMA1))
def test_schema_1_is_refused(media_type: str) -> None:
    with pytest.raises(FormatError, match="schema 1"):
        parsed({"schemaVersion": 1, "name": "x", "fsLayers": []})
    with pytest.raises(FormatError, match="schema 1"):
        parsed(MANIFEST, media_type)


@pytest.mark.parametrize(
    "data",
    [
        {**MANIFEST, "manifests": []},
        {**INDEX, "layers": []},
        {**INDEX, "config": CONFIG},
        {**MANIFEST, "mediaType": media_types.OCI_INDEX},
        {**INDEX, "mediaType": media_types.OCI_MANIFEST},
        {**INDEX, "mediaType": media_types.DOCKER_MANIFEST},
        {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX},
    ],
)
def test_a_document_that_is_two_things_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="manifest"):
        parsed(data)


@pytest.mark.parametrize(
    ("data", "promised"),
    [
        (MANIFEST, media_types.OCI_INDEX),
        (MANIFEST, media_types.DOCKER_LIST),
        (INDEX, media_types.OCI_MANIFEST),
        ({key: value for key, value in INDEX.items() if key != "mediaType"}, media_types.OCI_MANIFEST),
        ({key: value for key, value in MANIFEST.items() if key != "mediaType"}, media_types.OCI_INDEX),
    ],
)
def test_a_document_of_another_kind_than_was_promised_is_refused(data: dict[str, Any], promised: str) -> None:
    with pytest.raises(FormatError, match=r"media type|manifest.manifests: missing"):
        parsed(data, promised)


def test_a_document_that_does_not_say_is_what_was_promised() -> None:
    data = {key: value for key, value in MANIFEST.items() if key != "mediaType"}

    assert parsed(data, media_types.DOCKER_MANIFEST).media_type == media_types.DOCKER_MANIFEST
    assert parsed(data).media_type == media_types.OCI_MANIFEST
    assert parsed(data, "application/json").media_type == media_types.OCI_MANIFEST


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"size": ...}, "manifest.layers[0].size: missing"),
        ({"size": "4"}, "manifest.layers[0].size: expected int, not string"),
        ({"size": True}, "manifest.layers[0].size: expected int, not bool"),
        ({"size": 4.0}, "manifest.layers[0].size: expected int, not float"),
        ({"size": None}, "manifest.layers[0].size: expected int, not null"),
        ({"size": -1}, "manifest.layers[0].size: -1 is not a size"),
        ({"size": 2**63}, "manifest.layers[0].size: 9223372036854775808 is not a size"),
        ({"digest": ...}, "manifest.layers[0].digest: missing"),
        ({"digest": "sha256:../../etc/passwd"}, "manifest.layers[0].digest: "),
        ({"digest": "md5:d41d8cd98f00b204e9800998ecf8427e"}, "manifest.layers[0].digest: "),
        ({"digest": 1}, "manifest.layers[0].digest: expected string, not int"),
        ({"mediaType": 1}, "manifest.layers[0].mediaType: expected string, not int"),
        ({"annotations": []}, "manifest.layers[0].annotations: expected object, not array"),
        ({"annotations": {"a": 1}}, "manifest.layers[0].annotations['a']: expected string, not int"),
        ({"platform": []}, "manifest.layers[0].platform: expected object, not array"),
        ({"platform": {"os": 1}}, "manifest.layers[0].platform.os: expected string, not int"),
        ({"platform": {"os.features": [1]}}, "manifest.layers[0].platform.os.features[0]: "),
        ({"urls": "x"}, "manifest.layers[0].urls: expected array, not string"),
        ({"urls": [1]}, "manifest.layers[0].urls[0]: expected string, not int"),
        ({"data": "?"}, "manifest.layers[0].data: not base64"),
        ({"data": 1}, "manifest.layers[0].data: expected string, not int"),
    ],
)
def test_a_fault_in_a_descriptor_is_located(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(FormatError) as caught:
        parsed(with_layer(**changes))

    assert str(caught.value).startswith(where)


def test_the_largest_size_is_one() -> None:
    manifest = parsed(with_layer(size=2**63 - 1))
    assert isinstance(manifest, Manifest)
    assert manifest.layers[0].size == 2**63 - 1


@pytest.mark.parametrize("key", ["layers", "manifests"])
def test_a_document_lists_no_more_than_anybody_needs(key: str) -> None:
    data = {**(MANIFEST if key == "layers" else INDEX), key: [BLOB] * MAX_LAYERS}
    assert parsed(data)

    with pytest.raises(LimitExceededError, match=r"2001 entries \(limit 2000\)"):
        parsed({**data, key: [BLOB] * (MAX_LAYERS + 1)})


@pytest.mark.parametrize("layers", [None, ...])
def test_a_manifest_may_have_no_layers(layers: object) -> None:
    data = {key: value for key, value in {**MANIFEST, "layers": layers}.items() if value is not ...}

    manifest = parsed(data)
    assert isinstance(manifest, Manifest)
    assert manifest.layers == ()


def test_embedded_content_is_verified_like_any_other() -> None:
    image = a_container("none")
    blob = image.layers[0][1]
    store = MemoryStore(dict(image.build().blobs), {})

    def reading(data: bytes) -> bytes:
        manifest = json.loads(to_json(image.manifest()))
        manifest["layers"][0]["data"] = base64.b64encode(data).decode()
        text = json.dumps(manifest).encode()
        store.blobs[Digest.of(text)] = text
        store.names["image"] = Descriptor.of(text, media_types.OCI_MANIFEST)
        source = MemorySource(store)
        return load_document(source, load_image(source).manifest.layers[0])

    del store.blobs[Digest.of(blob)]
    assert reading(blob) == blob
    with pytest.raises(DigestMismatchError):
        reading(blob[:-1] + b"x")
    for wrong in (b"", blob + b"x", blob[:-1]):
        with pytest.raises(IntegrityError, match="expected 2560 bytes"):
            reading(wrong)


def test_a_config_tells_what_is_relied_on() -> None:
    found = ImageConfig.parse(a_container().config_blob()[0])

    assert found.platform == Platform(os="linux", architecture="amd64")
    assert found.diff_ids == a_container().diff_ids
    assert found.labels == a_container().labels
    assert found.fields["rootfs"]["type"] == "layers"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"config": None, "rootfs": None},
        {"config": {"Labels": None}, "rootfs": {"type": "layers", "diff_ids": None}},
    ],
)
def test_a_config_may_say_nothing(data: dict[str, Any]) -> None:
    found = ImageConfig.parse(json.dumps(data).encode())

    assert (found.platform, found.labels, found.diff_ids) == (None, {}, ())


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"config": []}, "config.config: "),
        ({"config": {"Labels": []}}, "config.config.Labels: "),
        ({"config": {"Labels": {"a": 1}}}, "config.config.Labels['a']: "),
        ({"config": {"Labels": {"a": ["b"]}}}, "config.config.Labels['a']: "),
        ({"rootfs": 1}, "config.rootfs: "),
        ({"rootfs": {"diff_ids": "x"}}, "config.rootfs.diff_ids: "),
        ({"rootfs": {"diff_ids": ["x"]}}, "config.rootfs.diff_ids[0]: "),
        ({"rootfs": {"diff_ids": [1]}}, "config.rootfs.diff_ids[0]: "),
        ({"os": 1}, "config.os: "),
        ({"architecture": ["amd64"]}, "config.architecture: "),
        ({"created": 1}, "config.created: "),
    ],
)
def test_a_fault_in_a_config_is_located(data: dict[str, Any], where: str) -> None:
    with pytest.raises(FormatError) as caught:
        ImageConfig.parse(json.dumps(data).encode())

    assert str(caught.value).startswith(where)


def test_many_labels_and_many_layers_are_read() -> None:
    image = an_image().config_field("config", {"Labels": {f"label-{number}": "x" for number in range(150_000)}})

    assert len(load_image(image.build()).config.labels) == 150_000


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", media_types.OCI_EMPTY, ""])
def test_a_config_that_is_none_is_empty(media_type: str) -> None:
    for blob in (b"{}", b"\0\1\2", b"not json", b'{"a": 1}'):
        found = load_image(an_image().config(blob, media_type).build()).config

        assert found.labels == {}
        assert found.fields == ({"a": 1} if blob == b'{"a": 1}' else {})


def test_documents_over_4_mib_are_not_read() -> None:
    big = b"{" + b" " * (4 << 20) + b"}"
    with pytest.raises(LimitExceededError, match=r"config: 4194306 bytes \(limit"):
        load_image(an_image().config(big).build())

    store = MemoryStore({Digest.of(big): big}, {"image": Descriptor.of(big, media_types.OCI_MANIFEST)})
    with pytest.raises(LimitExceededError, match=r"manifest: 4194306 bytes \(limit"):
        load_root(MemorySource(store))


def test_null_in_labels_and_annotations_is_empty() -> None:
    """Go reads it so, and Docker stores `"Labels": {"maintainer": null}` as it comes."""
    layer = {"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 0, "annotations": {"a": None, "b": "c"}}
    for document in ({"config": layer, "layers": [layer]}, {"manifests": [layer]}):
        found = parse_manifest(json.dumps({"schemaVersion": 2, "annotations": {"d": None}, **document}).encode(), "")
        entries = found.layers if isinstance(found, Manifest) else found.manifests
        assert found.annotations == {"d": ""}
        assert entries[0].annotations == {"a": "", "b": "c"}
    config = ImageConfig.parse(b'{"config":{"Labels":{"maintainer":null,"a":"b"}}}')
    assert config.labels == {"maintainer": "", "a": "b"}
    assert ImageConfig.parse(b'{"config":{"Labels":null}}').labels == {}
