"""One containers/storage store: index files, locks and driver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import is_directory
from eci_convert.transports.containers_storage import locks
from eci_convert.transports.containers_storage.drivers.base import StorageDriver
from eci_convert.transports.containers_storage.drivers.overlay import Overlay
from eci_convert.transports.containers_storage.drivers.staging import Staging
from eci_convert.transports.containers_storage.drivers.vfs import Vfs
from eci_convert.transports.containers_storage.index_files import LayerRecord, StoredImage, read_images, read_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersStore:
    """The store *root*. *lock_timeout*: seconds to wait for its locks. *contents*: the
    index files as of `snapshot`, None to read them each time."""

    root: Path
    driver: StorageDriver
    lock_timeout: float
    contents: tuple[dict[str, LayerRecord], tuple[StoredImage, ...]] | None = None

    @property
    def layers_file(self) -> Path:
        return self.root / f"{self.driver.name}-layers" / "layers.json"

    @property
    def images_file(self) -> Path:
        return self.root / f"{self.driver.name}-images" / "images.json"

    @property
    def containers_file(self) -> Path:
        """The index file of containers, which use images and layers."""
        return self.root / f"{self.driver.name}-containers" / "containers.json"

    def exists(self) -> bool:
        """Whether there is a store of this driver."""
        return is_directory(self.images_file.parent)

    def make(self) -> None:
        """Creates the directories of a store, accessible to their owner only, if there are none."""
        with local_errors(self.root):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.root, self.driver.home, self.layers_file.parent, self.images_file.parent):
                path.mkdir(mode=0o700, exist_ok=True)

    def staging(self) -> Staging:
        """Creates a staging directory in this store, which is created if necessary."""
        self.make()
        with locks.exclusive_lock(self.layers_file.with_name("layers.lock"), self.lock_timeout):
            return Staging.create(self.driver.home)

    def snapshot(self) -> ContainersStore:
        """The store as it is now, with its index files read once."""
        return replace(self, contents=(self.layers(), self.images()))

    def layers(self) -> dict[str, LayerRecord]:
        """All layers, by id."""
        if self.contents:
            return self.contents[0]
        with locks.shared_lock(self.layers_file.with_name("layers.lock"), self.lock_timeout):
            return read_layers(self.layers_file)

    def images(self) -> tuple[StoredImage, ...]:
        """All images."""
        if self.contents:
            return self.contents[1]
        with locks.shared_lock(self.images_file.with_name("images.lock"), self.lock_timeout):
            return read_images(self.images_file)

    def split_file(self, layer: str) -> Path:
        """The file with the layer's tar-split data."""
        return self.layers_file.parent / f"{layer}.tar-split.gz"

    def image_directory(self, image: str) -> Path:
        """The directory with the manifests and the config of an image."""
        return self.images_file.parent / image


def open_store(root: Path, driver: str, lock_timeout: float) -> ContainersStore:
    """The store in the directory *root*; *driver* is "overlay" or "vfs"."""
    return ContainersStore(
        root=root, driver=Overlay(root) if driver == "overlay" else Vfs(root), lock_timeout=lock_timeout
    )
