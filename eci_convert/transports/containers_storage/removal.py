"""Names, images and layers removed from a store's records, and then from the disk.

All three locks are held, in containers/storage's order. An image goes from images.json before any of its layers, and a
layer is recorded as incomplete before its files go: whoever is killed in between leaves images whole, and layers that
containers/storage, and we, remove as it does after a crash. A layer that another image, a layer above it, a container
or a name of its own needs stays.
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
    """*names* to be taken from the image *id*; with the last of them the image goes too."""

    id: str
    names: tuple[str, ...]


def add_names(store: ContainersStore, identity: str, names: Sequence[str]) -> None:
    """Give the image *identity* *names*, which no other image has then. Raises NotFoundError, TransportError."""
    with _images_locked(store) as written:
        records = load_records(store.images_file)
        target = _record(records, identity, store)
        for record in records:
            if record is not target:
                _set_names(record, [name for name in _names(record) if name not in names])
        _set_names(target, list(dict.fromkeys([*_names(target), *names])))
        history = json_fields.optional(target, "names-history", list, "image", [])
        target["names-history"] = list(dict.fromkeys([*reversed(names), *history]))
        save_records(store.images_file, records)
        written()


def remove_names(store: ContainersStore, removals: Sequence[NameRemoval]) -> None:
    """Take names away; an image that has none left goes, with the layers that nothing else needs.

    Raises NotFoundError, and TransportError where a container uses an image that is to go; then nothing is changed.
    """
    with (
        locks.exclusive_lock(store.layers_file.with_name("layers.lock"), store.lock_timeout) as layers_written,
        _images_locked(store) as images_written,
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
        images_written()
        for image in to_delete:
            remove_tree(store.image_directory(image.id))
        _remove_layers(store, layers, unused, layers_written)


def _unused_layers(
    store: ContainersStore, records: Sequence[Record], to_delete: Sequence[StoredImage], roots: set[str]
) -> list[str]:
    """The layers of *records* that nothing needs without the images *to_delete*, and the incomplete ones."""
    layers = {layer.id: layer for layer in _parsed(records, store)}
    unused = _unused([image.layer for image in to_delete], records, layers, roots)
    return unused + [layer.id for layer in layers.values() if not layer.complete and layer.id not in unused]


def _remove_layers(
    store: ContainersStore, records: Sequence[Record], unused: Sequence[str], written: Callable[[], None]
) -> None:
    if not unused:
        return
    marked = [{**record, "flags": {"incomplete": True}} if record.get("id") in unused else record for record in records]
    save_records(store.layers_file, marked)
    written()
    for layer in unused:
        store.driver.discard(layer)
        with local_errors(store.split_file(layer)):
            store.split_file(layer).unlink(missing_ok=True)
    save_records(store.layers_file, [record for record in records if record.get("id") not in unused])
    written()


def _unused(
    tops: Sequence[str], records: Sequence[Record], layers: dict[str, LayerRecord], roots: set[str]
) -> list[str]:
    """The layers from *tops* downwards that nothing needs, the highest first."""
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
    """The layers that images and containers stand on."""
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
    with locks.exclusive_lock(store.images_file.with_name("images.lock"), store.lock_timeout) as written:
        yield written


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
