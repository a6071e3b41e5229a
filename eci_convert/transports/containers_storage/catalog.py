"""Lists, tags and deletes the images of a store; images of additional stores are listed and read only."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from eci_convert.errors import LocalError, UsageError
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.base import CatalogEntry, Source, shared_id_error
from eci_convert.transports.containers_storage.index_files import LayerRecord, StoredImage
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.containers_storage.lookup import ImageQuery, existing_stores, find_image
from eci_convert.transports.containers_storage.removal import NameRemoval, add_names, remove_names
from eci_convert.transports.containers_storage.source import StorageSource
from eci_convert.transports.containers_storage.store import ContainersStore, open_store
from eci_convert.transports.ids import check_is_name
from eci_convert.transports.settings import Settings


class StorageCatalog:
    """The images of the store at *location*; *name* is what the reference named."""

    def __init__(self, location: StoreLocation, settings: Settings) -> None:
        self._location = location
        self._settings = settings
        self._stores = tuple(
            open_store(root, location.driver, settings.timeout) for root in (location.root, *location.more)
        )
        self._listed: tuple[ContainersStore, ...] = ()
        self.name = location.name

    @property
    def place(self) -> str:
        return f"containers-storage:[{self._location.driver}@{self._location.root}]"

    def images(self) -> tuple[CatalogEntry, ...]:
        stores = [store.snapshot() for store in existing_stores(self._stores, self._location)]
        self._listed = tuple(stores)
        layers = {identity: layer for store in reversed(stores) for identity, layer in store.layers().items()}
        return tuple(
            CatalogEntry(name=name, digest=Digest("sha256", image.id), size=_size(image, layers))
            for store in stores
            for image in store.images()
            for name in image.names or ("",)
        )

    def open_image(self, entry: CatalogEntry) -> Source | None:
        identity = entry.digest.hex if entry.digest else ""
        return StorageSource(self._located(f"@{identity}"), self._settings, self._listed)

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        names = [_writable(title) for title in new]
        store, image = self._writable_image(name)
        if not self._settings.dry_run:
            add_names(store, image.id, names)
        return Digest("sha256", image.id)

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        to_delete: dict[str, list[str]] = {}
        store = self._stores[0]
        for name in names:
            store, image = self._writable_image(name)
            own = [title for title in ImageQuery.parse(name).spelt if title in image.names]
            if len(image.names) > 1 and not own and not all_tags:
                raise shared_id_error(self.place, name, image.names)
            to_delete.setdefault(image.id, []).extend(image.names if all_tags or not own else own[:1])
        if not self._settings.dry_run:
            remove_names(
                store, [NameRemoval(id=identity, names=tuple(titles)) for identity, titles in to_delete.items()]
            )
        return tuple(
            CatalogEntry(name=title, digest=Digest("sha256", identity))
            for identity, titles in to_delete.items()
            for title in dict.fromkeys(titles or [""])
        )

    def _writable_image(self, name: str) -> tuple[ContainersStore, StoredImage]:
        """The image *name*, and the store that it is in. Raises LocalError for one of an additional store."""
        if not name:
            raise UsageError(f"{self.place} has no image name")
        existing_stores(self._stores[:1], self._location)
        store, image = find_image(self._stores, self._located(name))
        if store is not self._stores[0]:
            raise LocalError(f"{name!r} is in the additional store {str(store.root)!r}, which is read only")
        return store, image

    def _located(self, name: str) -> StoreLocation:
        where = self._location
        return StoreLocation(
            text=f"[{where.driver}@{where.root}]{name}",
            root=where.root,
            driver=where.driver,
            name=name,
            more=where.more,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def _writable(text: str) -> str:
    check_is_name(text)
    reference = Reference.parse(text)
    if reference.digest:
        raise UsageError(f"{text!r} has a digest: a new name needs a tag instead")
    return reference.store_name


def _size(image: StoredImage, layers: dict[str, LayerRecord]) -> int:
    """The total size in bytes of the archives of its layers."""
    size, seen, identity = 0, set[str](), image.layer
    while identity in layers and identity not in seen:
        seen.add(identity)
        size += layers[identity].diff_size
        identity = layers[identity].parent
    return size
