"""The files of an oras artifact, written below one directory, and conversions for the arguments of oras-py."""

from __future__ import annotations

import json as json_
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from eci_convert.compression.codec import decompressed
from eci_convert.errors import FormatError, LocalError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.safe_open import read_chunks
from eci_convert.oci import media_types
from eci_convert.oci.index import Index, select
from eci_convert.oci.manifest import parse_manifest
from eci_convert.oci.reference import Reference
from eci_convert.oras_compat.names import OrasName
from eci_convert.tar import EntryType, entries
from eci_convert.transports.registry.http.url import Url

OURS = frozenset({"authorization", "content-length", "host", "transfer-encoding", "accept-encoding"})
"""Headers that a caller has no say in: they are made from what is sent, and to whom."""

_TITLE = "org.opencontainers.image.title"
_DIRECTORY = "application/vnd.oci.image.layer.v1.tar+gzip"
_NAME = re.compile(r"/v2/(?P<name>[^?]+?)/(?:blobs|manifests|tags|referrers)/", re.ASCII)


class FilesRegistry(Protocol):
    """What is needed of the registry to write files."""

    def download_blob(self, container: Any, digest: str, outfile: str) -> str: ...

    def get_manifest(self, container: Any, allowed_media_type: Sequence[str] | None = None) -> dict[str, Any]: ...


def image_manifest(registry: FilesRegistry, name: OrasName, allowed: Sequence[str] | None) -> dict[str, Any]:
    """The manifest that *name* stands for; of an index, that of the image for this computer."""
    manifest = registry.get_manifest(name, allowed)
    if "manifests" not in manifest:
        return manifest
    content = json_.dumps(manifest).encode()
    index = parse_manifest(content, manifest.get("mediaType") or media_types.OCI_INDEX, where=str(name))
    if not isinstance(index, Index):
        return manifest
    chosen = select(index, None, where=str(name))
    return registry.get_manifest(OrasName(f"{name.reference.name}@{chosen.digest}"))


def reference_of(url: Url) -> Reference:
    """The repository that *url* is about; its tag does not matter."""
    match = _NAME.match(url.target)
    return Reference(host=url.authority, repository=match["name"] if match else "")


def request_body(data: Mapping[str, Any] | bytes | None, json: Any) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a request's body, and the header that says what they are."""
    if json is not None:
        return json_.dumps(json).encode(), {"Content-Type": "application/json"}
    if data is None or isinstance(data, bytes):
        return data, {}
    return json_.dumps(dict(data)).encode(), {"Content-Type": "application/json"}


def write_layers(
    registry: FilesRegistry, container: Any, manifest: Mapping[str, Any], outdir: str | None, *, overwrite: bool
) -> list[str]:
    """Writes the layers of *manifest* below *outdir* (None: a new temporary directory), and returns the paths."""
    root = Path(outdir or tempfile.mkdtemp()).resolve()
    root.mkdir(parents=True, exist_ok=True)
    layers = manifest.get("layers") or []
    planned = [
        (layer, path_below(root, (layer.get("annotations") or {}).get(_TITLE) or layer["digest"])) for layer in layers
    ]
    paths = []
    for layer, path in planned:
        if path.exists() and not overwrite:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if layer.get("mediaType") == _DIRECTORY:
            _unpack(registry, container, layer["digest"], path.parent)
        else:
            registry.download_blob(container, layer["digest"], str(path))
        paths.append(str(path))
    return paths


def path_below(root: Path, name: str) -> Path:
    """The path *name* below *root*. Raises FormatError where it leads, or a symbolic link in it may lead, elsewhere."""
    words = name.split("/")
    if "\0" in name or not all(word and word not in (".", "..") for word in words):
        raise FormatError(f"{name!r} is no name for a file below a directory", where="title")
    path = root
    for word in words[:-1]:
        path = path / word
        if path.is_symlink():
            raise FormatError(f"{name!r} leads through a symbolic link", where="title")
    return path / words[-1]


def _unpack(registry: FilesRegistry, container: Any, digest: str, folder: Path) -> None:
    """Writes the regular files of a directory that oras packed. Links and devices are refused, not made."""
    with tempfile.TemporaryDirectory() as spool:
        packed = registry.download_blob(container, digest, os.path.join(spool, "packed"))
        for entry in entries(decompressed(read_chunks(packed), None)):
            path = path_below(folder, entry.name.removeprefix("./").removesuffix("/"))
            if entry.type is EntryType.DIR:
                path.mkdir(parents=True, exist_ok=True)
            elif entry.type is EntryType.FILE:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, entry.chunks)
            else:
                raise FormatError(f"{entry.name!r} is neither a file nor a directory", where=digest)


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    if path.is_dir():
        raise LocalError(f"{str(path)!r} is a directory")
    with atomic_write(path) as file:
        for chunk in chunks:
            file.write(chunk)
