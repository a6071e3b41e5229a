"""Reads KraftKit's directory store as an OCI image layout (docs/specs/unikraft.md#8).

Blobs are `digests/ALGORITHM/HEX`; `indexes/HOST/REPOSITORY/TAG` is an absolute link to an index among them. Only the
last two components of a link count, so that a store can be moved, and nothing outside it is read.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from eci_convert.errors import FormatError, LimitExceededError, NotFoundError
from eci_convert.files.errors import local_errors
from eci_convert.files.safe_open import read_small_file
from eci_convert.files.temp_files import status_of
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.descriptor import MAX_LAYERS
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import to_json
from eci_convert.transports.layout.index import INDEX, MARKER, MARKER_TEXT, Read, blob_path

_BLOBS = "digests"
_NAMES = "indexes"
_MAX_DEPTH = 32


def is_store(directory: Path) -> bool:
    """Whether *directory* is a store of KraftKit's and not a layout."""
    with local_errors(directory):
        present = [status_of(directory / name) is not None for name in (_BLOBS, _NAMES, INDEX)]
    return present == [True, True, False]


def reader(directory: Path) -> Read:
    """A function that reads the files of *directory*, a layout or a store, by their paths in a layout."""
    return partial(_read, directory)


def blob_components(directory: Path, digest: Digest) -> tuple[str, ...]:
    """The path components of a blob in *directory*, a layout or a store."""
    if is_store(directory):
        return _BLOBS, digest.algorithm, digest.hex
    return tuple(blob_path(digest).split("/"))


def _read(directory: Path, path: str) -> bytes:
    if not is_store(directory):
        return read_small_file(directory, *path.split("/"))
    if path == INDEX:
        return _index(directory)
    if path == MARKER:
        return MARKER_TEXT
    first, _, rest = path.partition("/")
    return read_small_file(directory, *((_BLOBS, *rest.split("/")) if first == "blobs" else path.split("/")))


def _index(directory: Path) -> bytes:
    """The index.json of the store: one entry for each link."""
    entries: list[dict[str, Any]] = []
    for words, digest in _links(directory):
        if len(entries) >= MAX_LAYERS:
            raise LimitExceededError(f"more than {MAX_LAYERS} packages", where=str(directory))
        try:
            entries.append(_entry(directory, words, digest))
        except (NotFoundError, FormatError):  # KraftKit does not list such a package either
            continue
    return to_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries})


def _entry(directory: Path, words: tuple[str, ...], digest: Digest) -> dict[str, Any]:
    """The entry for the package *words*, whose link has *digest*. An index that does not have that digest is embedded:
    KraftKit's `delete` changes indexes in place (K6)."""
    content = read_small_file(directory, _BLOBS, digest.algorithm, digest.hex)
    data = json_fields.document(content, "/".join(words))
    annotations = json_fields.strings(data, "annotations", "index")
    actual = Digest.of(content, digest.algorithm)
    entry: dict[str, Any] = {
        "mediaType": json_fields.optional(data, "mediaType", str, "index", media_types.OCI_INDEX),
        "digest": str(actual),
        "size": len(content),
        "annotations": {REF_NAME: _name(words, annotations.get(IMAGE_NAME, ""))},
    }
    return entry if actual == digest else {**entry, "data": base64.b64encode(content).decode()}


def _name(words: tuple[str, ...], annotated: str) -> str:
    """The name of the package *words*, in whose path colons are slashes (K5); *annotated* is its name in the index, if
    any.

    >>> _name(("127.0.0.1", "5711", "uk", "x", "1"), "")
    '127.0.0.1:5711/uk/x:1'
    """
    if tuple(annotated.replace(":", "/").split("/")) == words:
        return annotated
    *path, tag = words
    if len(path) > 2 and path[1].isdigit() and ("." in path[0] or path[0] == "localhost"):
        path[:2] = [f"{path[0]}:{path[1]}"]
    return f"{'/'.join(path)}:{tag}"


def _links(directory: Path) -> Iterator[tuple[tuple[str, ...], Digest]]:
    """The links below `indexes`, sorted, as path components, and their digests; links to directories are not
    followed."""
    top = directory / _NAMES
    with local_errors(top):
        for folder, _, files in sorted(os.walk(top)):
            words = Path(folder).relative_to(top).parts
            if len(words) > _MAX_DEPTH:
                raise LimitExceededError(f"folders are nested more than {_MAX_DEPTH} deep", where=str(top))
            for name in sorted(files):
                if words and (digest := _target(Path(folder, name))):
                    yield (*words, name), digest


def _target(path: Path) -> Digest | None:
    try:
        algorithm, text = os.readlink(path).split("/")[-2:]
        return Digest.parse(f"{algorithm}:{text}")
    except (OSError, ValueError, FormatError):
        return None
