"""What `docker save` and its like have written over the years, made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eci_convert.oci.digest import Digest
from tests.support.images import Hard, ImageBuilder, Link, wrapped

Member = bytes | Link | Hard | None


def contents(*entries: Mapping[str, Any]) -> bytes:
    """manifest.json."""
    return json.dumps(list(entries)).encode()


def config_name(image: ImageBuilder) -> str:
    """`HEX.json`."""
    return f"{Digest.of(image.config_blob()[0]).hex}.json"


def docker_1_10(image: ImageBuilder, *tags: str) -> dict[str, Member]:
    """Docker 1.10 to 24: a directory for each layer, named by a chain of ids, not by content."""
    files: dict[str, Member] = {config_name(image): image.config_blob()[0]}
    paths = []
    for number, (_, blob) in enumerate(image.layers):
        name = Digest.of(b"%d" % number + blob).hex
        files |= {f"{name}/": None, f"{name}/VERSION": b"1.0", f"{name}/json": b"{}", f"{name}/layer.tar": blob}
        paths.append(f"{name}/layer.tar")
    entry = {"Config": config_name(image), "RepoTags": list(tags) or None, "Layers": paths}
    return files | {"manifest.json": contents(entry), "repositories": b"{}"}


def with_a_layer_twice(image: ImageBuilder, *tags: str) -> dict[str, Member]:
    """The same for an image with one layer twice: the second `layer.tar` is a link to the first."""
    files = docker_1_10(image, *tags)
    layers = [name for name in files if name.endswith("layer.tar")]
    files[layers[-1]] = Link(f"../{layers[0]}")
    return files


def skopeo(image: ImageBuilder, *tags: str) -> dict[str, Member]:
    """skopeo and podman: layers by their diff ids, and directories that link to them."""
    files: dict[str, Member] = {config_name(image): image.config_blob()[0]}
    paths = [f"{Digest.of(blob).hex}.tar" for _, blob in image.layers]
    for number, (path, (_, blob)) in enumerate(zip(paths, image.layers, strict=True)):
        files |= {path: blob, f"v1-{number}/layer.tar": Link(f"../{path}"), f"v1-{number}/json": b"{}"}
    entry = {"Config": config_name(image), "RepoTags": list(tags), "Layers": paths}
    return files | {"repositories": b"{}", "manifest.json": contents(entry)}


def gzipped_inside(image: ImageBuilder, *tags: str) -> dict[str, Member]:
    """Some builders wrap the layers."""
    files = skopeo(image, *tags)
    for name, blob in files.items():
        if name.endswith(".tar") and isinstance(blob, bytes):
            files[name] = wrapped(blob, "gzip")
    return files


def docker_25(image: ImageBuilder, *tags: str) -> dict[str, Member]:
    """Docker 25 and later, and BuildKit: an OCI layout, and manifest.json beside it."""
    found = image.build()
    files: dict[str, Member] = {"blobs/": None, "blobs/sha256/": None}
    files |= {f"blobs/sha256/{digest.hex}": blob for digest, blob in sorted(found.blobs.items())}
    entries = [
        {
            **found.resolve().json(),
            "annotations": {
                "io.containerd.image.name": f"docker.io/library/{tag}",
                "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
            },
        }
        for tag in tags
    ] or [found.resolve().json()]
    entry = {
        "Config": f"blobs/sha256/{Digest.of(image.config_blob()[0]).hex}",
        "RepoTags": list(tags) or None,
        "Layers": [f"blobs/sha256/{descriptor.digest.hex}" for descriptor, _ in image.layers],
    }
    index = {"schemaVersion": 2, "manifests": entries}
    files["index.json"] = json.dumps(index).encode()
    return files | {"manifest.json": contents(entry), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}


def together(*archives: dict[str, Member]) -> dict[str, Member]:
    """One archive of several images."""
    files = {name: what for archive in archives for name, what in archive.items()}
    files["manifest.json"] = contents(*(entry for archive in archives for entry in json_in(archive, "manifest.json")))
    if all("index.json" in archive for archive in archives):
        entries = [entry for archive in archives for entry in json_in(archive, "index.json")["manifests"]]
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


def json_in(archive: dict[str, Member], name: str) -> Any:
    """What the JSON file *name* in *archive* says."""
    content = archive[name]
    assert isinstance(content, bytes)
    return json.loads(content)
