"""Writes images into a containers-storage tree for a machine's disk, where podman or CRI-O finds them without a
network: a directory, or a reproducible tar archive. Neither root nor podman nor skopeo is needed.

Layers that images share are there once. What a running engine keeps (locks' owners, mounts) is not in the tree.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from eci_convert.errors import LocalError, UsageError
from eci_convert.files.errors import local_errors
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference
from eci_convert.operations import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.options import TransferOptions, source_date_epoch
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.containers_storage import locks
from eci_convert.transports.containers_storage.drivers.staging import SPLIT, remove_tree
from eci_convert.transports.containers_storage.index_files import load_records, save_records
from eci_convert.transports.containers_storage.store import ContainersStore, open_store
from eci_convert.transports.settings import Settings

DRIVERS = ("overlay", "vfs")
DEFAULT_PREFIX = "var/lib/containers/storage"
_USUAL = "/var/tmp"  # noqa: S108 - where big files go


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadedImage:
    """An image that is in the tree: *name* is what engines call it, *id* its config's digest."""

    reference: str
    name: str
    id: str
    digest: Digest


def stored_name(reference: str, name: str) -> str:
    """The name in the store for the image that *reference* names by *name*. Raises UsageError if there is none."""
    if not name:
        raise UsageError(
            f"{reference!r} does not say what the image is to be called: name it, such as oci:DIR:NAME:TAG"
        )
    return Reference.parse(name).store_name


def preload(
    images: Sequence[tuple[str, str]],
    root: Path,
    settings: Settings,
    *,
    driver: str = "overlay",
    platform: Platform | None = None,
    dry_run: bool = False,
) -> tuple[PreloadedImage, ...]:
    """Puts *images*, references and what they are to be called, into the store *root*, which may have others already;
    *dry_run* writes nothing, and returns the same.

    Raises CannotHoldError for what is no container image, UsageError, and what the sources raise.
    """
    store = open_store(root, driver, settings.timeout)
    others = frozenset(store.layers()) if store.exists() else None
    settings = replace(settings, dry_run=dry_run)
    result = tuple(_add(reference, name, root, settings, driver, platform) for reference, name in images)
    if not dry_run:
        _tidy(store, others, source_date_epoch(settings.environ))
    return result


@contextmanager
def temporary_store(settings: Settings) -> Iterator[Path]:
    """A directory for a store, in `$TMPDIR` (else /var/tmp), which is gone after the block."""
    environ = settings.environ
    folder = environ.get("TMPDIR") or (_USUAL if os.access(_USUAL, os.W_OK) else tempfile.gettempdir())
    with local_errors(folder):
        path = Path(tempfile.mkdtemp(prefix="eci-convert-", dir=folder))
    try:
        yield path / "storage"
    finally:
        remove_tree(path)


def _tidy(store: ContainersStore, others: frozenset[str] | None, created: int) -> None:
    """Takes out of *store* what this run left, and makes what a store that is only read must have.

    Layers, but for those that it had before (*others*; None: there was no store), get the time *created* (seconds since
    1970), so that the same images make the same bytes; a new store's locks tell of no process.
    """
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    layers_lock = store.layers_file.with_name("layers.lock")
    images_lock = store.images_file.with_name("images.lock")
    with (
        locks.exclusive_lock(layers_lock, store.lock_timeout) as layers_written,
        locks.exclusive_lock(images_lock, store.lock_timeout),
        local_errors(store.root),
    ):
        layers = load_records(store.layers_file)
        ours = [layer for layer in layers if layer.get("id") not in (others or ())]
        for layer in ours:
            layer["created"] = moment
            if store.driver.name == "overlay":
                (store.driver.home / str(layer.get("id")) / SPLIT).unlink(missing_ok=True)  # the store has another
        if ours or not layers:
            save_records(store.layers_file, layers)
            layers_written()
        if store.driver.name == "overlay":
            (store.driver.home / "l").mkdir(mode=0o755, exist_ok=True)
        for lock in (layers_lock, images_lock) if others is None else ():
            os.truncate(lock, 0)


def _add(
    reference: str, name: str, root: Path, settings: Settings, driver: str, platform: Platform | None
) -> PreloadedImage:
    with (
        open_source(reference, settings, "") as source,
        open_sink(f"containers-storage:[{driver}@{_plain(root)}]{name}", settings) as sink,
    ):
        options = TransferOptions(
            reporter=settings.reporter, concurrency=settings.concurrency, dry_run=settings.dry_run
        )
        packed = copy.copy(source, sink, CopyRequest(platform=platform), options=options)
    manifest = packed.manifest
    identity = str(manifest.config.digest) if isinstance(manifest, Manifest) else ""
    return PreloadedImage(reference=reference, name=name, id=identity, digest=packed.descriptor.digest)


def _plain(root: Path) -> Path:
    """*root*, if a reference can say it. Raises LocalError."""
    path = root.absolute()
    if any(character in str(path) for character in "[]+:@"):
        raise LocalError(f"{path}: a store cannot be in a directory whose path has one of [ ] + : @")
    return path
