"""layers.json and images.json, the index files of a store (docs/specs/containers-storage.md#3 to
docs/specs/containers-storage.md#5).

They are lists of objects; unknown fields are kept.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from eci_convert.errors import FormatError, NotFoundError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.safe_open import read_small_file
from eci_convert.oci import json_fields
from eci_convert.oci.digest import Digest

Record = dict[str, Any]

_MAX_INDEX: Final = 256 << 20
"""Bytes of an index file: a store of a hundred thousand layers has less."""

_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PLAIN_KEY: Final = re.compile(r"[.0-9a-z]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """An unpacked layer. *digest* and *size* (bytes) are those of the original blob, if recorded."""

    id: str
    parent: str
    diff_id: Digest | None
    diff_size: int
    digest: Digest | None
    size: int
    complete: bool

    @classmethod
    def parse(cls, data: Record, where: str) -> Self:
        flags = json_fields.optional(data, "flags", dict, where, {})
        return cls(
            id=_id(json_fields.required(data, "id", str, where), where),
            parent=_id(parent, where) if (parent := json_fields.optional(data, "parent", str, where, "")) else "",
            diff_id=_digest(data, "diff-digest", where),
            diff_size=json_fields.optional(data, "diff-size", int, where, 0),
            digest=_digest(data, "compressed-diff-digest", where),
            size=json_fields.optional(data, "compressed-size", int, where, 0),
            complete=flags.get("incomplete") is not True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image. *layer* is its top layer, "" for none; *keys* name its manifests and config."""

    id: str
    digest: str
    names: tuple[str, ...]
    layer: str
    keys: tuple[str, ...]

    @classmethod
    def parse(cls, data: Record, where: str) -> Self:
        return cls(
            id=_id(json_fields.required(data, "id", str, where), where),
            digest=json_fields.optional(data, "digest", str, where, ""),
            names=_strings(data, "names", where),
            layer=_id(layer, where) if (layer := json_fields.optional(data, "layer", str, where, "")) else "",
            keys=_strings(data, "big-data-names", where),
        )


def load_records(path: Path) -> list[Record]:
    """The records in the file *path*; empty if there is no such file. Raises FormatError."""
    try:
        records = json.loads(_read_index(path) or b"[]")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", where=str(path)) from error
    records = json_fields.typed([] if records is None else records, list, str(path))
    return [json_fields.typed(record, dict, f"{path}[{place}]") for place, record in enumerate(records)]


def _read_index(path: Path) -> bytes:
    try:
        return read_small_file(path.parent, path.name, limit=_MAX_INDEX)
    except NotFoundError:
        return b""


def save_records(path: Path, records: list[Record]) -> None:
    """Atomically replaces the file *path* with *records*. Raises LocalError."""
    with atomic_write(path) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(json.dumps(records, separators=(",", ":")).encode())


def read_layers(path: Path) -> dict[str, LayerRecord]:
    """The layers in the file *path*, by id."""
    records = (LayerRecord.parse(data, f"{path}[{place}]") for place, data in enumerate(load_records(path)))
    return {layer.id: layer for layer in records}


def read_images(path: Path) -> tuple[StoredImage, ...]:
    """The images in the file *path*."""
    return tuple(StoredImage.parse(data, f"{path}[{place}]") for place, data in enumerate(load_records(path)))


def document_path(image: Path, key: str) -> Path:
    """The path of the manifest or config *key* in the directory *image* of an image
    (docs/specs/containers-storage.md#5).

    >>> document_path(Path("/i"), "manifest").name, document_path(Path("/i"), "sha256:00").name
    ('manifest', '=c2hhMjU2OjAw')
    """
    return image / (key if _PLAIN_KEY.fullmatch(key) else "=" + base64.b64encode(key.encode()).decode())


def read_document(image: Path, key: str) -> bytes:
    """The manifest or config *key*. Raises NotFoundError, FormatError if it is too long."""
    path = document_path(image, key)
    try:
        return read_small_file(path.parent, path.name)
    except NotFoundError as error:
        raise NotFoundError(f"{path}: no such file in the store") from error


def _id(text: str, where: str) -> str:
    if not _ID.fullmatch(text):
        raise FormatError(f"{text[:80]!r} is not an id", where=where)
    return text


def _digest(data: Record, key: str, where: str) -> Digest | None:
    text = json_fields.optional(data, key, str, where, "")
    return Digest.parse(text, where=f"{where}.{key}") if text else None


def _strings(data: Record, key: str, where: str) -> tuple[str, ...]:
    values = json_fields.optional(data, key, list, where, [])
    return tuple(json_fields.typed(text, str, f"{where}.{key}[{place}]") for place, text in enumerate(values))
