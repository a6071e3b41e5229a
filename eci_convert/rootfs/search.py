"""Finds the entries of layers that paths refer to, and passes their content to a consumer while reading.

Reads the entries of one layer after the other, the top layer first. A file that may match a requested path is passed on
speculatively. Later entries or lower layers can invalidate the match.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eci_convert.errors import AmbiguousRoleError, EciError, FormatError, MissingPartError
from eci_convert.rootfs import (
    Budget,
    Directory,
    FileNode,
    Found,
    LayerTree,
    Lookup,
    MergedDirectory,
    Missing,
    Special,
    Stack,
    Undecided,
    components,
    resolve_symlink_writes,
)
from eci_convert.rootfs.consumer import FileConsumer
from eci_convert.tar import EntryType, TarEntry

ONLY_FILE = ""
"""The path that refers to the only regular file."""

_LINKS = (EntryType.SYMLINK, EntryType.HARDLINK)
_MAX_RETHINKS = 1000  # links on the way to a requested file in one layer; each can change which entries are passed on


@dataclass(slots=True)
class _WantedPaths:
    """The entries to pass on while a layer is read: *names*, everything in *directories*, or the first file."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    directories: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    first: bool = False
    _sorted: list[str] | None = None

    def add(self, path: str, name: str) -> None:
        """*path* is decided by *name*, or by what is in it if that ends in a slash."""
        if path == ONLY_FILE:
            self.first = True
        elif name.endswith("/"):
            self.directories[name[:-1]].append(path)
        else:
            self.names[name].append(path)

    def is_on_the_way(self, path: str) -> bool:
        """Whether a wanted entry is at *path*, or below it."""
        if self._sorted is None:
            self._sorted = sorted({*self.names, *self.directories})
        for first in (path, path + "/"):
            at = bisect_left(self._sorted, first)
            if at < len(self._sorted) and (self._sorted[at] == path or self._sorted[at].startswith(path + "/")):
                return True
        return False


class Search:
    """A search for *paths*. A path that ends in "/" is the only file in that directory; "" is the only file of all.

    All methods raise CorruptStreamError and LimitExceededError for hostile layers, and FormatError if data would have
    to be taken back that was already written.
    """

    def __init__(self, paths: Iterable[str], consumer: FileConsumer) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._consumer = consumer
        self._stack = Stack(Budget())
        self.input = self._stack.work.metered
        """Wraps an archive so that reading it is charged; raises LimitExceededError."""
        self._taken: dict[str, tuple[int, int, str]] = {}
        self._settled: dict[str, tuple[Found, FileNode]] = {}
        self._failed: dict[str, EciError] = {}

    def read(self, entries: Iterable[TarEntry], *, last: bool) -> bool:
        """Reads the next layer, *last* if there is none below it; returns whether all paths are decided."""
        number = len(self._stack.layers)
        layer = LayerTree(self._stack.work)
        self._stack.layers.append(layer)
        wanted_paths, rethinks = self._find_wanted_paths(), 0
        for count, entry in enumerate(entries):
            path = layer.add(entry.name, entry.type, entry.linkname)
            if path is None:
                continue
            if entry.type is EntryType.FILE:
                self._take(self._paths_settled_by(wanted_paths, path, number), entry, (number, count, path))
            elif entry.type in _LINKS and wanted_paths.is_on_the_way(path) and rethinks < _MAX_RETHINKS:
                rethinks += 1
                wanted_paths = self._find_wanted_paths()
        self._stack.complete = last
        return self._try_to_settle()

    def missed_files(self) -> Mapping[int, Mapping[int, tuple[str, ...]]]:
        """Paths of files that were read without being passed on, by the number of the layer (0 is the top one) and that
        of the entry."""
        missed: dict[int, dict[int, tuple[str, ...]]] = defaultdict(dict)
        for path, (location, file) in self._settled.items():
            if self._taken.get(path, ())[:2] != (location.layer, file.entry):
                missed[location.layer][file.entry] = (*missed[location.layer].get(file.entry, ()), path)
        return missed

    def read_again(self, entries: Iterable[TarEntry], missed: Mapping[int, tuple[str, ...]], number: int) -> None:
        """Passes on the *missed* entries of layer *number*, whose *entries* are read once more."""
        for count, entry in enumerate(entries):
            if count in missed:
                self._take(missed[count], entry, (number, count, entry.name))

    def settled(self) -> Mapping[str, Found]:
        """The location of every path. Raises the first of `failed`."""
        for error in self._failed.values():
            raise error
        return self.found()

    def found(self) -> Mapping[str, Found]:
        """The locations of the paths that were found."""
        return {path: location for path, (location, _) in self._settled.items()}

    def failed(self) -> Mapping[str, EciError]:
        """The errors for the other paths: MissingPartError, AmbiguousRoleError for a directory with two files,
        FormatError for broken links."""
        return self._failed

    def _find_wanted_paths(self) -> _WantedPaths:
        wanted_paths = _WantedPaths()
        for path in self._paths:
            lookup = self._lookup(path)
            if isinstance(lookup, Undecided):
                wanted_paths.add(path, lookup.path)
        return wanted_paths

    def _lookup(self, path: str) -> Lookup:
        """Looks *path* up. Undecided with a path that ends in "/" depends on what else is in that directory."""
        if path == ONLY_FILE:
            return self._only_file()
        result = self._stack.lookup(path)
        if not path.endswith("/") or isinstance(result, Missing):
            return result
        if isinstance(result, Undecided):
            return Undecided(result.path + "/")
        if not isinstance(result.node, MergedDirectory):
            return Missing(result.path + "/")
        if result.node.open:
            return Undecided(result.path + "/")
        names = result.node.names()
        return self._stack.lookup(f"{result.path}/{names[0]}") if len(names) == 1 else result

    def _only_file(self) -> Lookup:
        if not self._stack.complete:
            return Undecided("")
        matches: list[Found] = []
        pending = [("", self._stack.layers[0].root)] if self._stack.layers else []
        while pending and len(matches) < 2:
            where, directory = pending.pop()
            for name, node in directory.children.items():
                if isinstance(node, Directory):
                    pending.append((f"{where}{name}/", node))
                elif isinstance(node, FileNode):
                    matches.append(Found(where + name, node))
        if len(matches) > 1:
            return Found("", self._stack.root(0))
        return matches[0] if matches else Missing("")

    def _paths_settled_by(self, target: _WantedPaths, path: str, number: int) -> tuple[str, ...]:
        """The paths that the file *path*, an entry just added to layer *number*, may decide."""
        matches = target.names.get(path, [])
        others = target.directories.get(path.rpartition("/")[0], [])
        if target.first:
            others = [*others, ONLY_FILE]
        if not others:
            return tuple(matches)
        lookup = self._stack.lookup(path)
        if isinstance(lookup, Found) and lookup.layer == number:
            matches = [*matches, *(other for other in others if self._taken.get(other, (0, 0, path))[2] == path)]
        return tuple(matches)

    def _take(self, paths: tuple[str, ...], entry: TarEntry, where: tuple[int, int, str]) -> None:
        if not paths:
            return
        for path in paths:
            if path in self._taken and not self._consumer.can_retake:
                raise FormatError(
                    f"{path or entry.name!r} occurs twice in the image; the first copy was already written to the "
                    "output and cannot be replaced"
                )
            self._taken[path] = where
        self._consumer.take(paths, entry.size, entry.chunks)

    def _try_to_settle(self) -> bool:
        """Whether all paths are decided."""
        answers = {path: self._lookup(path) for path in self._paths}
        if any(isinstance(lookup, Undecided) for lookup in answers.values()):
            return False
        if resolve_symlink_writes(self._stack, max(map(self._depth, answers.values()), default=0)):
            return False
        answers = {path: self._lookup(path) for path in self._paths}
        if any(isinstance(lookup, Undecided) for lookup in answers.values()):
            return False
        for path, lookup in answers.items():
            if isinstance(lookup, Found) and isinstance(lookup.node, FileNode):
                self._settled[path] = lookup, lookup.node
            else:
                self._failed[path] = _failure(path, lookup)
        return True

    def _depth(self, lookup: Lookup) -> int:
        """The number of layers that the result depends on."""
        if isinstance(lookup, Found) and not isinstance(lookup.node, MergedDirectory):
            return lookup.layer
        return len(self._stack.layers)


def _failure(path: str, lookup: Lookup) -> EciError:
    """The error for the lookup result *lookup* of *path*."""
    match lookup:
        case Found(node=Special(what=what, broken=True)):
            return FormatError(f"{path!r} is {what}")
        case Found(node=Special(what=what)):
            return MissingPartError(f"{path!r} is {what}, not a regular file")
        case _ if path == ONLY_FILE:
            if isinstance(lookup, Missing):
                return MissingPartError("no file in the archive")
            return AmbiguousRoleError("the archive contains more than one file: name one of them")
        case Found(node=MergedDirectory() as view) if path.endswith("/"):
            names = sorted(view.names())
            if names:
                return AmbiguousRoleError(f"{path!r} contains more than one file: {names[0]!r} and {names[1]!r}")
            return MissingPartError(f"no file in {path!r}")
        case Found():
            return MissingPartError(f"{path!r} is a directory, not a regular file")
        case _ if components(path) != components(lookup.path):
            return MissingPartError(f"{path!r} is a link to {lookup.path!r}, which is not in the image")
        case _:
            return MissingPartError(f"{path!r} is not in the image")
