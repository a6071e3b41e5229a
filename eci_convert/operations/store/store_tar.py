"""A containers-storage tree as a tar archive, with the owners, devices and attributes that the images have, whoever
writes it (docs/specs/containers-storage.md#12).

What an ordinary user's files cannot say is in the tar-split data of each layer: its own headers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from eci_convert.files.errors import local_errors
from eci_convert.operations.store.layer_members import LayerMember, layer_members, member_below
from eci_convert.operations.store.merged_layers import MergedLayers
from eci_convert.tar import EntryType, TarMember, archived
from eci_convert.transports.containers_storage.index_files import read_layers
from eci_convert.transports.containers_storage.store import ContainersStore

_PIECE = 1 << 20
_BESIDE_DIFF = frozenset({"link", "lower", "merged", "work", "empty"})


def store_archive(store: ContainersStore, prefix: str, mtime: int) -> Iterator[bytes]:
    """The tar archive of *store*, all of it below the directory *prefix*. *mtime* is of what no image dates."""
    yield from archived(_members(store, PurePosixPath(prefix.strip("/")), mtime))


def _members(store: ContainersStore, top: PurePosixPath, mtime: int) -> Iterator[LayerMember]:
    for parent in reversed(top.parents[:-1]):
        yield _directory(parent, 0o755, mtime)
    if top.name:
        yield _directory(top, 0o700, mtime)
    yield from _overlay(store, top, mtime) if store.driver.name == "overlay" else _vfs(store, top, mtime)
    for name in ("images", "layers"):
        folder = f"{store.driver.name}-{name}"
        yield from _files(store.root / folder, top / folder, mtime)


def _overlay(store: ContainersStore, top: PurePosixPath, mtime: int) -> Iterator[LayerMember]:
    home = top / "overlay"
    yield _directory(home, 0o700, mtime)
    yield _directory(home / "l", 0o755, mtime)
    with local_errors(store.driver.home):
        links = sorted((path.name, os.readlink(path)) for path in (store.driver.home / "l").iterdir())
    for name, target in links:
        yield TarMember(name=f"{home}/l/{name}", mode=0o777, type=EntryType.SYMLINK, linkname=target, mtime=mtime), ()
    for layer in _layer_ids(store):
        here = home / layer
        yield _directory(here, 0o700, mtime)
        yield _directory(here / "diff", 0o555, mtime)  # what is in it comes at once: afterwards nobody may write there
        for member, chunks in layer_members(store.split_file(layer), store.driver.content(layer), mtime):
            yield member_below(member, f"{here}/diff"), chunks
        with local_errors(store.driver.home):
            others = sorted(path for path in (store.driver.home / layer).iterdir() if path.name in _BESIDE_DIFF)
        for path in others:
            yield _directory(here / path.name, 0o700, mtime) if path.is_dir() else _file(path, here, 0o644, mtime)


def _vfs(store: ContainersStore, top: PurePosixPath, mtime: int) -> Iterator[LayerMember]:
    home = top / "vfs" / "dir"
    yield _directory(home.parent, 0o700, mtime)
    yield _directory(home, 0o700, mtime)
    merged = MergedLayers(store, mtime)
    for layer in _layer_ids(store):
        yield _directory(home / layer, 0o555, mtime)
        for member, chunks in merged.members(layer):
            yield member_below(member, f"{home}/{layer}"), chunks


def _layer_ids(store: ContainersStore) -> list[str]:
    """The layers, parents before children."""
    return [layer.id for layer in read_layers(store.layers_file).values() if layer.complete]


def _files(folder: Path, here: PurePosixPath, mtime: int) -> Iterator[LayerMember]:
    yield _directory(here, 0o700, mtime)
    with local_errors(folder):
        paths = sorted(folder.iterdir())
    for path in paths:
        if path.is_dir():
            yield from _files(path, here / path.name, mtime)
        else:
            yield _file(path, here, 0o644 if path.suffix == ".lock" else 0o600, mtime)


def _directory(path: PurePosixPath, mode: int, mtime: int) -> LayerMember:
    return TarMember(name=f"{path}/", mode=mode, type=EntryType.DIR, mtime=mtime), ()


def _file(path: Path, here: PurePosixPath, mode: int, mtime: int) -> LayerMember:
    with local_errors(path):
        size = path.stat().st_size
    return TarMember(name=f"{here}/{path.name}", size=size, mode=mode, mtime=mtime), _content(path)


def _content(path: Path) -> Iterator[bytes]:
    with local_errors(path), open(path, "rb") as file:
        while chunk := file.read(_PIECE):
            yield chunk
