"""The trees of the vfs driver: each layer merged with those below it, with the attributes in the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from eci_convert.files.safe_tree import SafeTree
from eci_convert.files.sparse import file_chunks
from eci_convert.operations.store.layer_members import Deletions, LayerMember, Parts, layer_entries
from eci_convert.tar import EntryType, TarMember
from eci_convert.transports.containers_storage.index_files import read_layers
from eci_convert.transports.containers_storage.store import ContainersStore

_Merged = dict[Parts, TarMember]


class MergedLayers:
    """The layers of *store*; *mtime* is of directories that no image has."""

    def __init__(self, store: ContainersStore, mtime: int) -> None:
        self._store = store
        self._mtime = mtime
        self._parents = {layer.id: layer.parent for layer in read_layers(store.layers_file).values()}
        self._trees: dict[str, _Merged] = {}

    def members(self, layer: str) -> Iterator[LayerMember]:
        """Everything in *layer* and below it, parents before what is in them. Raises FormatError, NotFoundError."""
        linked: dict[tuple[int, int], str] = {}
        merged = self._merged(layer)
        with SafeTree(self._store.driver.content(layer)) as tree:
            for parts in sorted(merged):
                member = merged[parts]
                if member.type is not EntryType.FILE:
                    yield member, ()
                    continue
                descriptor = tree.open_file(parts)
                try:
                    state = os.fstat(descriptor)
                    first = linked.setdefault((state.st_dev, state.st_ino), member.name)
                    if first != member.name:
                        yield replace(member, size=0, type=EntryType.HARDLINK, linkname=first), ()
                    else:
                        yield replace(member, size=state.st_size), file_chunks(descriptor)
                finally:
                    os.close(descriptor)

    def _merged(self, layer: str) -> _Merged:
        if layer not in self._trees:
            below = dict(self._merged(parent)) if (parent := self._parents[layer]) else {}
            self._trees[layer] = self._apply(layer, below)
        return self._trees[layer]

    def _apply(self, layer: str, merged: _Merged) -> _Merged:
        split, content = self._store.split_file(layer), self._store.driver.content(layer)
        deletions = Deletions.of(split)
        for parts in deletions.opaque:
            _remove_below(merged, parts)
        for parts in deletions.hidden:
            merged.pop(parts, None)
            _remove_below(merged, parts)
        for member in layer_entries(split, content):
            parts = tuple(member.name.rstrip("/").split("/"))
            for length in range(1, len(parts)):
                self._make_directory(merged, parts[:length])
            if member.type is EntryType.HARDLINK:
                target = merged[tuple(member.linkname.split("/"))]
                member = replace(target, name=member.name)
            if member.type is not EntryType.DIR and parts in merged:
                _remove_below(merged, parts)
            merged[parts] = member
        return merged

    def _make_directory(self, merged: _Merged, parts: Parts) -> None:
        if parts not in merged or merged[parts].type is not EntryType.DIR:
            merged[parts] = TarMember(name="/".join(parts) + "/", mode=0o755, type=EntryType.DIR, mtime=self._mtime)


def _remove_below(merged: _Merged, parts: Parts) -> None:
    for other in [other for other in merged if len(other) > len(parts) and other[: len(parts)] == parts]:
        del merged[other]
