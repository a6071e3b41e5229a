"""Adds staged layers and images to a store, atomically for other processes.

Both locks are held, so that no other process removes a layer that the new image shares. A layer is recorded as
incomplete before its files are moved into place, and as complete afterwards: incomplete layers are removed by the next
process, as containers/storage does after a crash.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from eci_convert.errors import FormatError, TransportError
from eci_convert.files.atomic import atomic_write
from eci_convert.files.errors import local_errors
from eci_convert.oci import json_fields
from eci_convert.oci.digest import Digest
from eci_convert.transports.containers_storage import index_files, locks
from eci_convert.transports.containers_storage.drivers.staging import Staged, sweep
from eci_convert.transports.containers_storage.index_files import Record, load_records, save_records
from eci_convert.transports.containers_storage.store import ContainersStore

_EPOCH: Final = "1970-01-01T00:00:00Z"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLayer:
    """A layer of the new image: *staged*, or None if the store should have it."""

    id: str
    parent: str
    staged: Staged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """The new image. *manifest* and *config* are keyed by their digests."""

    name: str
    layers: tuple[NewLayer, ...]
    manifest: tuple[Digest, bytes]
    config: tuple[Digest, bytes]
    created: str


def layer_id(parent: str, diff_id: Digest) -> str:
    """The id of the layer with *diff_id* above the layer *parent*, "" for none (docs/specs/containers-storage.md#2).

    >>> layer_id("", Digest.of(b""))[:8]
    'e3b0c442'
    """
    return hashlib.sha256(f"{parent}+{diff_id.hex}".encode()).hexdigest() if parent else diff_id.hex


def commit(store: ContainersStore, image: NewImage) -> None:
    """Adds *image* to *store* under its name. Raises TransportError, FormatError and LocalError."""
    if any(layer.staged for layer in image.layers):
        _to_disk(store.driver.home)
    layers_lock = store.layers_file.with_name("layers.lock")
    images_lock = store.images_file.with_name("images.lock")
    with (
        locks.exclusive_lock(layers_lock, store.lock_timeout) as record_layers_write,
        locks.exclusive_lock(images_lock, store.lock_timeout) as record_images_write,
    ):
        images = load_records(store.images_file)  # where they cannot be read, no layer is added either
        _add_layers(store, image.layers, record_layers_write)
        _add_image(store, images, image, record_images_write)
        sweep(store.driver.home)  # also if nothing was staged because the store has all layers


def _add_layers(store: ContainersStore, layers: tuple[NewLayer, ...], record_write: Callable[[], None]) -> None:
    records = load_records(store.layers_file)
    present = {record.get("id") for record in records if not _incomplete(record)}
    new = [layer for layer in layers if layer.id not in present]
    for layer in new:
        if layer.staged is None:
            raise TransportError(f"the layer {layer.id[:12]} was removed from the store by another process; try again")
    if not new:
        return
    ids = {layer.id for layer in new}
    records = [record for record in records if record.get("id") not in ids]
    added = [_layer_record(layer, layer.staged) for layer in new if layer.staged]
    save_records(store.layers_file, [*records, *({**record, "flags": {"incomplete": True}} for record in added)])
    record_write()
    for layer in new:
        if layer.staged:
            _copy_split(layer.staged.split, store.split_file(layer.id))
            store.driver.place(layer.staged, layer.id, layer.parent)
    save_records(store.layers_file, [*records, *added])
    record_write()


def _to_disk(path: Path) -> None:
    """Flushes what was unpacked, many files at once, before it is recorded."""
    with local_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)


def _copy_split(staged: Path, target: Path) -> None:
    """Copies the file: podman mounts the driver's directory on itself, and nothing can be moved out of a mount."""
    with local_errors(staged), open(staged, "rb") as source, atomic_write(target) as file:
        os.fchmod(file.fileno(), 0o600)
        shutil.copyfileobj(source, file, 1 << 20)


def _incomplete(record: Record) -> bool:
    flags = record.get("flags")
    return isinstance(flags, dict) and flags.get("incomplete") is True


def _layer_record(layer: NewLayer, staged: Staged) -> Record:
    record: Record = {"id": layer.id}
    if layer.parent:
        record["parent"] = layer.parent
    record |= {
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "compressed-diff-digest": str(staged.blob.digest),
        "compressed-size": staged.blob.size,
        "diff-digest": str(staged.diff_id),
        "diff-size": staged.size,
    }
    if staged.compression:
        record["compression"] = staged.compression
    return record | {"uidset": list(staged.uids), "gidset": list(staged.gids)}


def _add_image(
    store: ContainersStore, records: list[Record], image: NewImage, record_write: Callable[[], None]
) -> None:
    identity = image.config[0].hex
    documents = {
        str(image.config[0]): image.config[1],
        f"manifest-{image.manifest[0]}": image.manifest[1],
        "manifest": image.manifest[1],
    }
    directory = store.image_directory(identity)
    if os.path.islink(directory):
        raise FormatError("the directory of an image is a symbolic link", where=str(directory))
    with local_errors(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
    for key, content in documents.items():
        with atomic_write(index_files.document_path(directory, key)) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
    for record in records:
        if record.get("id") != identity:
            _take_name(record, image.name)
    existing = next((record for record in records if record.get("id") == identity), None)
    if existing is None:
        existing = {"id": identity}
        records.append(existing)
    _describe(existing, image, documents)
    save_records(store.images_file, records)
    record_write()


def _take_name(record: Record, name: str) -> None:
    names = record.get("names")
    if isinstance(names, list) and name in names:
        record["names"] = [other for other in names if other != name]
        if not record["names"]:
            del record["names"]


def _describe(record: Record, image: NewImage, documents: Mapping[str, bytes]) -> None:
    """Updates *record* with the new image; unknown fields are kept."""
    names = json_fields.optional(record, "names", list, "image", [])
    history = json_fields.optional(record, "names-history", list, "image", [])
    record["digest"] = str(image.manifest[0])
    record["names"] = names if image.name in names else [*names, image.name]
    record["names-history"] = [image.name, *(name for name in history if name != image.name)]
    if image.layers:
        record["layer"] = image.layers[-1].id
    record["metadata"] = json.dumps({"signatures-sizes": {str(image.manifest[0]): []}}, separators=(",", ":"))
    keys = json_fields.optional(record, "big-data-names", list, "image", [])
    record["big-data-names"] = [*keys, *(key for key in documents if key not in keys)]
    sizes = json_fields.optional(record, "big-data-sizes", dict, "image", {})
    record["big-data-sizes"] = sizes | {key: len(content) for key, content in documents.items()}
    digests = json_fields.optional(record, "big-data-digests", dict, "image", {})
    record["big-data-digests"] = digests | {key: str(Digest.of(content)) for key, content in documents.items()}
    record["created"] = _time(image.created)


def _time(text: str) -> str:
    """*text* if Go can parse it as a time, else 1970: an unparsable time in a record would hide all images."""
    if not _TIME.fullmatch(text):
        return _EPOCH
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return _EPOCH
    return text
