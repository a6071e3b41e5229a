"""Layouts as other tools leave them, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import to_json
from eci_convert.transports.memory import MemorySource
from tests.support.images import ImageBuilder

MARKER = b'{"imageLayoutVersion": "1.0.0"}'


def laid_out(
    directory: Path, *images: tuple[ImageBuilder, Mapping[str, str]], index: Mapping[str, Any] | None = None
) -> Path:
    """A layout in *directory*: each image with its annotations in index.json, whose other fields are *index*."""
    entries = []
    for image, notes in images:
        add_blobs(directory, image.build())
        found = {**image.descriptor().json(), "annotations": dict(notes)}
        found.pop("platform", None)
        entries.append(found)
    directory.mkdir(exist_ok=True, parents=True)
    (directory / "oci-layout").write_bytes(MARKER)
    text = {"schemaVersion": 2, "manifests": entries, **(index or {})}
    (directory / "index.json").write_text(json.dumps(text, indent=2))
    return directory


def add_blobs(directory: Path, source: MemorySource) -> None:
    """All blobs of the image, and its manifest."""
    for digest, content in source.blobs.items():
        path = blob_in(directory, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def blob_in(directory: Path, digest: Digest) -> Path:
    """Where the layout keeps the blob."""
    return directory / "blobs" / digest.algorithm / digest.hex


def manifest_digest(image: ImageBuilder) -> Digest:
    """The digest of the image's manifest."""
    return Digest.of(to_json(image.manifest()))
