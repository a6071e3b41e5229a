"""Removes names, images and layers from a store's index files, and then from the disk.

All three locks are held, in containers/storage's order. An image is removed from images.json before any of its layers,
and a layer is recorded as incomplete before its files are removed: if the process is killed in between, all images are
complete, and incomplete layers are removed by containers/storage, or by us, as after a crash. A layer is kept if
another image, a layer above it or a container uses it, or if it has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from eci_convert.errors import NotFoundError, TransportError
from eci_convert.files.errors import local_errors
from eci_convert.oci import json_fields
from eci_convert.transports.containers_storage import locks
from eci_convert.transports.containers_storage.drivers.staging import remove_tree
from eci_convert.transports.containers_storage.index_files import (
    LayerRecord,
    Record,
    StoredImage,
    load_records,
    save_records,
)
from eci_convert.transports.containers_storage.store import ContainersStore


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRemoval:
    """The *names* to remove from the image *id*, which is removed if it has no other."""

    id: str
    names: tuple[str, ...]


def add_names(store: ContainersStore, identity: str, names: Sequence[str]) -> None:
    """Adds *names* to the image *identity*, removing them from other images. Raises NotFoundError, TransportError."""
    with _images_locked(store) as record_write:
        records = load_records(store.images_file)
        target = _record(records, identity, store)
        for record in records:
            if record is not target:
                _set_names(record, [name for name in _names(record) if name not in names])
        _set_names(target, list(dict.fromkeys([*_names(target), *names])))
        history = json_fields.optional(target, "names-history", list, "image", [])
        target["names-history"] = list(dict.fromkeys([*reversed(names), *history]))
        save_records(store.images_file, records)
        record_write()


def remove_names(store: ContainersStore, removals: Sequence[NameRemoval]) -> None:
    """Removes names, images without any names left, and the layers that nothing else uses.

    Raises NotFoundError, and TransportError if a container uses an image to be removed; then nothing is changed.
    """
    with (
        locks.exclusive_lock(store.layers_file.with_name("layers.lock"), store.lock_timeout) as record_layers_write,
        _images_locked(store) as record_images_write,
        locks.shared_lock(store.containers_file.with_name("containers.lock"), store.lock_timeout),
    ):
        records = load_records(store.images_file)
        to_delete = []
        for removal in removals:
            record = _record(records, removal.id, store)
            _set_names(record, [name for name in _names(record) if name not in removal.names])
            if not _names(record):
                to_delete.append(StoredImage.parse(record, str(store.images_file)))
        containers = load_records(store.containers_file)
        _check_unused(to_delete, containers, store)
        gone = {image.id for image in to_delete}
        kept = [record for record in records if record.get("id") not in gone]
        layers = load_records(store.layers_file)
        unused = _unused_layers(
            store, layers, to_delete, _roots(kept, containers)
        )  # raises before anything has changed
        save_records(store.images_file, kept)
        record_images_write()
        for image in to_delete:
            remove_tree(store.image_directory(image.id))
        _remove_layers(store, layers, unused, record_layers_write)


def _unused_layers(
    store: ContainersStore, records: Sequence[Record], to_delete: Sequence[StoredImage], roots: set[str]
) -> list[str]:
    """The layers of *records* that are unused without the images *to_delete*, and the incomplete ones."""
    layers = {layer.id: layer for layer in _parsed(records, store)}
    unused = _unused([image.layer for image in to_delete], records, layers, roots)
    return unused + [layer.id for layer in layers.values() if not layer.complete and layer.id not in unused]


def _remove_layers(
    store: ContainersStore, records: Sequence[Record], unused: Sequence[str], record_write: Callable[[], None]
) -> None:
    if not unused:
        return
    marked = [{**record, "flags": {"incomplete": True}} if record.get("id") in unused else record for record in records]
    save_records(store.layers_file, marked)
    record_write()
    for layer in unused:
        store.driver.discard(layer)
        with local_errors(store.split_file(layer)):
            store.split_file(layer).unlink(missing_ok=True)
    save_records(store.layers_file, [record for record in records if record.get("id") not in unused])
    record_write()


def _unused(
    tops: Sequence[str], records: Sequence[Record], layers: dict[str, LayerRecord], roots: set[str]
) -> list[str]:
    """The layers from *tops* downwards that nothing uses, the highest first."""
    named = {record.get("id") for record in records if record.get("names")}
    children: dict[str, int] = {}
    for layer in layers.values():
        children[layer.parent] = children.get(layer.parent, 0) + 1
    unused: list[str] = []
    for top in tops:
        layer_id = top
        while layer_id in layers and layer_id not in unused:
            if children.get(layer_id) or layer_id in roots | named:
                break
            unused.append(layer_id)
            layer_id = layers[layer_id].parent
            children[layer_id] = children.get(layer_id, 1) - 1
    return unused


def _roots(images: Sequence[Record], containers: Sequence[Record]) -> set[str]:
    """The ids of the layers that images and containers use directly."""
    roots = {str(record.get("layer", "")) for record in (*images, *containers)}
    for record in images:
        roots |= set(map(str, json_fields.optional(record, "mapped-layers", list, "image", [])))
    return roots - {""}


def _check_unused(to_delete: Sequence[StoredImage], containers: Sequence[Record], store: ContainersStore) -> None:
    for image in to_delete:
        users = [str(record.get("id", ""))[:12] for record in containers if record.get("image") == image.id]
        if users:
            raise TransportError(f"{store.root}: image {image.id[:12]} is used by container {', '.join(users)}")


def _parsed(records: Sequence[Record], store: ContainersStore) -> Iterator[LayerRecord]:
    for place, record in enumerate(records):
        yield LayerRecord.parse(record, f"{store.layers_file}[{place}]")


@contextmanager
def _images_locked(store: ContainersStore) -> Iterator[Callable[[], None]]:
    with locks.exclusive_lock(store.images_file.with_name("images.lock"), store.lock_timeout) as record_write:
        yield record_write


def _record(records: Sequence[Record], identity: str, store: ContainersStore) -> Record:
    for record in records:
        if record.get("id") == identity:
            return record
    raise NotFoundError(f"the image store {str(store.root)!r} has no image {identity[:12]!r} any more")


def _names(record: Record) -> list[str]:
    return list(map(str, json_fields.optional(record, "names", list, "image", [])))


def _set_names(record: Record, names: list[str]) -> None:
    if names:
        record["names"] = names
    else:
        record.pop("names", None)
